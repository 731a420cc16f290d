"""What scripts for the original video predictor do, on a network of toy size and clips of noise.

The numbers are compared in tests/reference/sam2, the signatures in test_sam2.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image

from segma.compat.sam2 import SAM2VideoPredictor
from segma.errors import InputError, PromptError
from segma.media.source import ArraySource
from segma.tasks.preprocess import frame_to_model

LENGTH, HEIGHT, WIDTH = 6, 48, 80
CLICK: dict[str, Any] = {"points": np.array([[40, 20]], np.float32), "labels": np.array([1], np.int32)}


@pytest.fixture
def clip() -> ndarray:
    return np.random.default_rng(1).integers(0, 256, (LENGTH, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def state(video_predictor: SAM2VideoPredictor, clip: ndarray) -> Any:
    return video_predictor.init_state(clip)


def frames_of(run: Any) -> list[int]:
    return [frame for frame, _, _ in run]


def test_a_script_of_the_original(video_predictor: SAM2VideoPredictor, clip: ndarray, tmp_path: Path) -> None:
    for index, frame in enumerate(clip):
        Image.fromarray(frame).save(tmp_path / f"{index:05}.jpg")
    predictor = video_predictor
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        inference_state: Any = predictor.init_state(video_path=str(tmp_path), async_loading_frames=True)
        predictor.reset_state(inference_state)
        _, out_obj_ids, out_mask_logits = predictor.add_new_points_or_box(
            inference_state=inference_state, frame_idx=0, obj_id=1, **CLICK
        )
        assert out_obj_ids == [1] and out_mask_logits.shape == (1, 1, HEIGHT, WIDTH)
        predictor.add_new_points_or_box(
            inference_state, 2, obj_id=4, box=np.array([5, 5, 40, 30], np.float32)
        )
        video_segments = {
            out_frame_idx: {
                out_obj_id: (out_mask_logits[i] > 0.0).cpu().numpy()
                for i, out_obj_id in enumerate(out_obj_ids)
            }
            for out_frame_idx, out_obj_ids, out_mask_logits in predictor.propagate_in_video(inference_state)
        }
    assert list(video_segments) == list(range(LENGTH))
    assert all(list(masks) == [1, 4] for masks in video_segments.values())
    assert video_segments[0][4].shape == (1, HEIGHT, WIDTH)  # before its first prompt as well
    assert out_mask_logits.dtype == torch.float32


def test_the_state_has_the_keys_that_scripts_read(
    video_predictor: SAM2VideoPredictor, clip: ndarray, state: Any
) -> None:
    assert issubclass(type(state), dict)
    assert (state["num_frames"], state["video_height"], state["video_width"]) == (LENGTH, HEIGHT, WIDTH)
    assert state["device"] == state["storage_device"] == torch.device("cpu")
    assert (state["obj_ids"], state["obj_id_to_idx"], state["obj_idx_to_id"]) == ([], {}, {})
    assert not state["offload_video_to_cpu"] and not state["offload_state_to_cpu"]
    images = state["images"]
    assert len(images) == LENGTH and images.shape == (LENGTH, 3, 128, 128)
    expected = frame_to_model(clip[2], video_predictor.input_spec, torch.device("cpu"))[0][0]
    assert torch.equal(images[2], expected) and torch.equal(images[2 - LENGTH], expected)
    assert len(list(images)) == LENGTH
    with pytest.raises(IndexError, match="frame 6 of 6"):
        images[LENGTH]
    video_predictor.add_new_points_or_box(state, 0, "cat", **CLICK)
    video_predictor.add_new_points_or_box(state, 0, 7, **CLICK)
    assert state["obj_ids"] == ["cat", 7] and state["obj_id_to_idx"] == {"cat": 0, 7: 1}
    assert state["obj_idx_to_id"] == {0: "cat", 1: 7}
    offloaded = video_predictor.init_state(clip, offload_video_to_cpu=True, offload_state_to_cpu=True)
    assert offloaded["offload_state_to_cpu"] and offloaded["images"][0].device == torch.device("cpu")


def test_a_video_without_an_end_is_refused(video_predictor: SAM2VideoPredictor, clip: ndarray) -> None:
    class Camera(ArraySource):
        can_seek = False

    with pytest.raises(InputError, match=r"segma\.stream"):
        video_predictor.init_state(Camera(clip))
    with pytest.raises(InputError, match=r"nothing\.mp4"):
        video_predictor.init_state("nothing.mp4")


# prompts


def test_prompts_of_every_kind_of_number_are_the_same(
    video_predictor: SAM2VideoPredictor, clip: ndarray
) -> None:
    kinds: list[dict[str, Any]] = [
        CLICK,
        {"points": [[40, 20]], "labels": [1]},
        {"points": torch.tensor([[[40.0, 20.0]]]), "labels": torch.tensor([[1]])},
        {"points": np.array([[0.5, 20 / 48]]), "labels": [1], "normalize_coords": False},
    ]
    answers = [
        video_predictor.add_new_points_or_box(video_predictor.init_state(clip), np.int64(1), 1, **kind)[2]
        if number
        else video_predictor.add_new_points(video_predictor.init_state(clip), 1, 1, **kind)[2]
        for number, kind in enumerate(kinds)
    ]
    for other in answers[1:]:
        torch.testing.assert_close(other, answers[0], atol=1e-5, rtol=0)


def test_a_box_alone_or_as_labels_two_and_three(video_predictor: SAM2VideoPredictor, clip: ndarray) -> None:
    box, click = [5, 6, 40, 30], [[12, 14]]
    kinds: list[dict[str, Any]] = [
        {"box": box, "points": click, "labels": [0]},
        {"box": torch.tensor(box), "points": torch.tensor(click), "labels": torch.tensor([0])},
        {"box": np.array(box).reshape(1, 2, 2), "points": click, "labels": [0]},
        {"points": [[5, 6], [40, 30], [12, 14]], "labels": [2, 3, 0]},
        {"box": np.array(box) / [80, 48, 80, 48], "points": [[0.15, 14 / 48]], "labels": [0],
         "normalize_coords": False},
    ]  # fmt: skip
    answers = [
        video_predictor.add_new_points_or_box(video_predictor.init_state(clip), 0, 1, **kind)[2]
        for kind in kinds
    ]
    for other in answers[1:]:
        torch.testing.assert_close(other, answers[0], atol=1e-5, rtol=0)


def test_points_add_up_or_start_anew(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    add = video_predictor.add_new_points_or_box
    add(state, 0, 1, **CLICK)
    add(state, 0, 1, [[10, 10]], [0], clear_old_points=False)
    assert len(state.session.track("1").prompts[0]) == 2
    add(state, 0, 1, **CLICK)
    assert len(state.session.track("1").prompts[0]) == 1
    video_predictor.add_new_mask(state, 0, 1, np.ones((HEIGHT, WIDTH), bool))
    (prompt,) = state.session.track("1").prompts[0]
    assert prompt.mask is not None and prompt.points is None


def test_a_point_on_the_far_edge_is_inside(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    _, _, logits = video_predictor.add_new_points_or_box(
        state, 0, 1, [[1.0, 1.0]], [1], normalize_coords=False
    )
    assert logits.shape == (1, 1, HEIGHT, WIDTH)
    with pytest.raises(PromptError, match="outside the image"):
        video_predictor.add_new_points_or_box(state, 0, 1, [[WIDTH + 1, 3]], [1])


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (96, 160)])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda mask: mask.astype(int).tolist()])
def test_masks(video_predictor: SAM2VideoPredictor, state: Any, size: tuple[int, int], kind: Any) -> None:
    mask = np.zeros(size, bool)
    mask[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = True
    frame, ids, logits = video_predictor.add_new_mask(state, 3, "thing", kind(mask))
    assert (frame, ids) == (3, ["thing"])
    drawn = logits[0, 0] > 0
    expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    expected[12:24, 20:40] = True
    assert (drawn != expected).sum() < 40 and drawn.any()
    assert logits.abs().max() <= 10.001


def test_an_object_without_anything_on_a_frame_is_absent_there(
    video_predictor: SAM2VideoPredictor, state: Any
) -> None:
    video_predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    _, ids, logits = video_predictor.add_new_points_or_box(state, 4, 2, **CLICK)
    assert ids == [1, 2] and (logits[0] == -1024).all() and (logits[1] > -1000).any()


def test_wrong_prompts(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    add = video_predictor.add_new_points_or_box
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"points": [[1, 1]]}, "come together"),
        ({"labels": [1]}, "come together"),
        ({}, "Neither"),
        ({"box": [0, 0, 9, 9], "clear_old_points": False}, "before all points"),
        ({"points": np.array([["a", "b"]]), "labels": [1]}, "are numbers"),
        ({"points": [[1, 1], [2, 2]], "labels": [1]}, "one label a point"),
        ({"points": [[1, 1]], "labels": [0]}, "exclude"),
        ({"points": [[1, 1]], "labels": [5]}, "label is 1"),
        ({"box": [9, 9, 0, 0]}, "turned"),
    ]
    for arguments, message in wrong:
        with pytest.raises(PromptError, match=message):
            add(state, 0, 1, **arguments)
    assert state["obj_ids"] == []
    with pytest.raises(InputError, match="Frame 6"):
        add(state, LENGTH, 1, **CLICK)
    with pytest.raises(PromptError, match="height, width"):
        video_predictor.add_new_mask(state, 0, 1, np.ones((1, HEIGHT, WIDTH), bool))
    add(state, 0, 1, **CLICK)
    with pytest.raises(PromptError, match="look alike"):
        add(state, 0, "1", **CLICK)


# runs


def test_which_frames_a_run_gives(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    run = video_predictor.propagate_in_video
    with pytest.raises(RuntimeError, match="No object"):
        next(iter(run(state)))
    video_predictor.add_new_points_or_box(state, 2, 1, **CLICK)
    assert frames_of(run(state)) == [2, 3, 4, 5]
    assert frames_of(run(state, reverse=True)) == [2, 1, 0]
    assert frames_of(run(state, 0)) == list(range(LENGTH))
    assert frames_of(run(state, start_frame_idx=1, max_frame_num_to_track=2)) == [1, 2, 3]
    assert frames_of(run(state, 4, 1, True)) == [4, 3]
    assert frames_of(run(state, 4, 100)) == [4, 5]
    assert frames_of(run(state, 0, reverse=True)) == []
    assert frames_of(run(state, 3, 0)) == [3]
    with pytest.raises(InputError, match="Frame 9"):
        frames_of(run(state, 9))


def test_a_run_may_be_left_and_taken_up(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    video_predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    whole = {frame: logits for frame, _, logits in video_predictor.propagate_in_video(state)}
    for frame, _, _ in video_predictor.propagate_in_video(state):
        if frame == 2:
            break
    rest = {frame: logits for frame, _, logits in video_predictor.propagate_in_video(state, 3)}
    assert list(rest) == [3, 4, 5]
    for frame, logits in rest.items():
        torch.testing.assert_close(logits, whole[frame], atol=1e-3, rtol=0)


def test_corrections_stay(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    add = video_predictor.add_new_points_or_box
    add(state, 0, 1, **CLICK)
    before = {frame: logits for frame, _, logits in video_predictor.propagate_in_video(state)}
    _, _, corrected = add(state, 3, 1, [[60, 40], [10, 10]], [1, 0])
    assert not torch.equal(corrected, before[3])
    after = {frame: logits for frame, _, logits in video_predictor.propagate_in_video(state)}
    assert torch.equal(after[3], corrected) and torch.equal(after[0], before[0])
    assert not torch.equal(after[4], before[4])


def test_corrections_are_lost_where_the_original_loses_them(
    video_predictor: SAM2VideoPredictor, state: Any
) -> None:
    video_predictor.add_all_frames_to_correct_as_cond = False
    add = video_predictor.add_new_points_or_box
    add(state, 0, 1, **CLICK)
    before = {frame: logits for frame, _, logits in video_predictor.propagate_in_video(state)}
    add(state, 3, 1, [[60, 40], [10, 10]], [1, 0])
    after = {frame: logits for frame, _, logits in video_predictor.propagate_in_video(state)}
    torch.testing.assert_close(after[3], before[3], atol=1e-3, rtol=0)


def test_settings_reach_the_session(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    video_predictor.max_cond_frames_in_attn = 2
    video_predictor.memory_temporal_stride_for_eval = 20
    video_predictor.fill_hole_area = 0
    video_predictor.binarize_mask_from_pts_for_mem_enc = False
    video_predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    config = state.session.config
    assert (config.max_conditioning, config.stride, config.fill_hole_area) == (2, 20, 0)
    assert config.window == 160 and not config.binarize_prompted and config.corrections_condition
    assert config.cuts == "ignore" and config.before_first_prompt


def test_objects_do_not_overlap_if_so_wished(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 10:50] = True
    video_predictor.non_overlap_masks = True
    video_predictor.add_new_mask(state, 0, 1, mask)
    _, _, logits = video_predictor.add_new_mask(state, 0, 2, np.roll(mask, 15, 1))
    runs = [logits, *(each for _, _, each in video_predictor.propagate_in_video(state))]
    for each in runs:
        assert ((each > 0).sum(0) <= 1).all()
        assert each.min(0).values.max() <= -10
    video_predictor.non_overlap_masks = False
    _, _, logits = video_predictor.add_new_mask(state, 0, 2, np.roll(mask, 15, 1))
    assert ((logits > 0).sum(0) == 2).any()


def test_memories_around_a_prompt_can_be_cleared(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    add = video_predictor.add_new_points_or_box
    add(state, 0, 1, **CLICK)
    frames_of(video_predictor.propagate_in_video(state))
    assert len(state.session.track("1").recent) == LENGTH - 1
    video_predictor.clear_non_cond_mem_around_input = True
    add(state, 3, 1, **CLICK)
    assert len(state.session.track("1").recent) == LENGTH - 2
    video_predictor.propagate_in_video_preflight(state)
    assert state.session.track("1").recent == {}
    assert frames_of(video_predictor.propagate_in_video(state)) == list(range(LENGTH))


def test_frames_tracked_long_ago_have_their_masks(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    video_predictor.add_new_mask(state, 0, 1, np.ones((HEIGHT, WIDTH), bool))
    runs = {frame: logits for frame, _, logits in video_predictor.propagate_in_video(state)}
    state.session.track("1").recent.clear()
    video_predictor.add_new_points_or_box(state, 4, 2, **CLICK)
    logits = state.logits(4, non_overlap=False)
    assert logits[0].abs().max() <= 10.001
    changed = ((logits[0] > 0) != (runs[4][0] > 0)).float().mean()
    assert changed < 0.2


# clearing


def test_prompts_of_a_frame_can_be_cleared(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    clear = video_predictor.clear_all_prompts_in_frame
    video_predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    _, _, there = video_predictor.add_new_points_or_box(state, 3, 1, **CLICK)
    frame, ids, logits = clear(state, 3, 1) or pytest.fail("no answer")
    assert (frame, ids) == (3, [1]) and (logits == -1024).all()  # it was never tracked with
    _, _, again = video_predictor.add_new_points_or_box(state, 3, 1, **CLICK)
    assert torch.equal(again, there)
    frames_of(video_predictor.propagate_in_video(state))
    _, _, kept = clear(state, 3, 1) or pytest.fail("no answer")
    assert torch.equal(kept, there)
    assert clear(state, 3, 1, need_output=False) is None
    assert clear(state, 0, 1, need_output=False) is None
    with pytest.raises(RuntimeError, match="Object 1 has no points"):
        next(iter(video_predictor.propagate_in_video(state)))
    with pytest.raises(PromptError, match='no object "9"'):
        clear(state, 0, 9)


def test_objects_can_be_removed(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    remove = video_predictor.remove_object
    for name in (5, 6, 7):
        video_predictor.add_new_points_or_box(state, 0, name, **CLICK)
    video_predictor.add_new_points_or_box(state, 2, 6, **CLICK)
    ids, updated = remove(state, 6)
    assert ids == state["obj_ids"] == [5, 7] and state["obj_id_to_idx"] == {5: 0, 7: 1}
    assert [(frame, tuple(logits.shape)) for frame, logits in updated] == [
        (0, (2, 1, HEIGHT, WIDTH)), (2, (2, 1, HEIGHT, WIDTH)),
    ]  # fmt: skip
    assert remove(state, 6) == ([5, 7], [])
    with pytest.raises(RuntimeError, match="no object 6"):
        remove(state, 6, strict=True)
    assert remove(state, 5, need_output=False) == ([7], [])
    assert remove(state, 7) == ([], []) and state.session.names == ()
    video_predictor.add_new_points_or_box(state, 0, 6, **CLICK)
    assert state["obj_ids"] == [6]


def test_reset_drops_the_objects_and_keeps_the_video(video_predictor: SAM2VideoPredictor, state: Any) -> None:
    _, _, first = video_predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    frames_of(video_predictor.propagate_in_video(state))
    video_predictor.reset_state(state)
    assert (state["obj_ids"], state["obj_id_to_idx"], state["obj_idx_to_id"]) == ([], {}, {})
    assert state["num_frames"] == LENGTH
    _, ids, again = video_predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    assert ids == [1] and torch.equal(first, again)


def test_one_frame_is_a_video(video_predictor: SAM2VideoPredictor, clip: ndarray) -> None:
    state = video_predictor.init_state(clip[:1])
    video_predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    assert frames_of(video_predictor.propagate_in_video(state)) == [0]
    _, _, logits = video_predictor.add_new_points_or_box(state, 0, 1, [[10, 10]], [1], clear_old_points=False)
    assert logits.isfinite().all() and (logits > -1000).any()
