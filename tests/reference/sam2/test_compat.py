"""The original's calls give the original's numbers: image predictor, and video predictor on real frames.

Hole filling is off in the recorded numbers, so it is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from segma.checkpoints.match import fit
from segma.compat.sam2 import SAM2Base, SAM2ImagePredictor, SAM2VideoPredictor
from segma.compat.sam2_settings import settings_of
from segma.media.image import read_image
from segma.models.sam2.config import VARIANTS

Golden = dict[str, ndarray]
SETTINGS = settings_of(["++model.fill_hole_area=0"], apply_postprocessing=True)
BOXES = np.array([[75, 275, 1725, 850], [425, 600, 700, 875], [1375, 550, 1650, 800], [1240, 675, 1400, 750]])
CLICK: dict[str, Any] = {"point_coords": np.array([[500, 375]]), "point_labels": np.array([1])}


def rebuilt(kind: type[Any], network: Any) -> Any:
    """The same weights under the original's names."""
    with torch.device("meta"):
        made = kind(VARIANTS["sam2.1_hiera_tiny"], SETTINGS)
    fit(made, network.state_dict(), "made up")
    return made.eval()


# pictures


@pytest.fixture(scope="module")
def predictor(tiny: Any, truck: Any, shared: Path) -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(rebuilt(SAM2Base, tiny))
    predictor.set_image(read_image(shared / "media" / "truck.jpg"))
    np.testing.assert_allclose(predictor.get_image_embedding(), truck.features.embedding, atol=1e-4)
    return predictor


@pytest.fixture(scope="module")
def best(predictor: SAM2ImagePredictor) -> ndarray:
    """The best logits of the click."""
    _, quality, low_res = predictor.predict(**CLICK)
    return low_res[quality.argmax()][None]


@pytest.mark.parametrize("key", ["p1", "p2", "p3", "p4", "p5"])
def test_predict(
    predictor: SAM2ImagePredictor,
    best: ndarray,
    golden_file: Callable[[str], Golden],
    key: str,
    tolerance: Any,
) -> None:
    golden = golden_file("image")
    two = {"point_coords": np.array([[500, 375], [1125, 625]]), "point_labels": np.array([1, 1])}
    boxed = {"box": BOXES[1], "point_coords": np.array([[575, 750]]), "point_labels": np.array([0])}
    asked: dict[str, dict[str, Any]] = {
        "p1": CLICK,
        "p2": {**two, "mask_input": best, "multimask_output": False},
        "p3": {**boxed, "multimask_output": False},
        "p4": {"box": BOXES, "multimask_output": False},
        "p5": {"mask_input": best},
    }
    shapes = {"p1": (3,), "p2": (1,), "p3": (1,), "p4": (4, 1), "p5": (3,)}
    masks, quality, low_res = predictor.predict(**asked[key])
    assert masks.shape == (*shapes[key], 1200, 1800) and masks.dtype == np.float32
    assert quality.shape == shapes[key] and low_res.shape == (*shapes[key], 256, 256)
    np.testing.assert_allclose(quality.ravel(), golden[f"{key}/iou"].ravel(), atol=tolerance.score, rtol=0)
    absolute, relative = tolerance.logits
    expected = golden[f"{key}/logits_s2"].astype(np.float32).reshape(-1, 128, 128)
    found = low_res.reshape(-1, 256, 256)[:, ::2, ::2]
    np.testing.assert_allclose(found, expected, atol=absolute, rtol=relative)
    areas = masks.reshape(-1, 1200 * 1800).sum(1)
    assert np.abs(areas - golden[f"{key}/area"].ravel()).max() <= tolerance.area_pixels


# video


@pytest.fixture
def video(tiny: Any, shared: Path) -> tuple[SAM2VideoPredictor, Any]:
    predictor = rebuilt(SAM2VideoPredictor, tiny)
    return predictor, predictor.init_state(str(shared / "media" / "bedroom"))


def check_prompt(answer: Any, golden: Golden, key: str, frame: int, *, direct: bool) -> None:
    """What a prompting call returns; `direct`: no memory had a part in it."""
    found, ids, logits = answer
    assert found == frame and logits.shape == (len(ids), 1, 540, 960) and logits.dtype == torch.float32
    for name, one in zip(ids, logits[:, 0], strict=True):
        place = f"{key}/f{frame:02}/o{name}"
        expected = golden[f"{place}/video_s8"].astype(np.float32)
        off = np.abs(one[::8, ::8].numpy() - expected)
        allowed = (1.2e-2 if direct else 3e-2) + 1e-3 * np.abs(expected)
        assert (off <= allowed).mean() >= (1 if direct else 0.999), f"{place}: {off.max()}"
        area = int((one > 0).sum()) - int(golden[f"{place}/area"][0])
        assert abs(area) <= (30 if direct else 300), f"{place}: {area} pixels"


def check_run(
    run: Iterable[Any], state: Any, golden: Golden, key: str, frames: list[int], close: float = 0.999
) -> None:
    """What propagation yields, and what it holds of every frame then; `close`: share of close logits."""
    seen: list[int] = []
    for frame, ids, logits in run:
        seen.append(frame)
        for name, one in zip(ids, logits[:, 0], strict=True):
            place = f"{key}/f{frame:02}/o{name}"
            memory = state.session.track(str(name)).memory(frame)
            low_res = memory.low_res_logits[::2, ::2].numpy()
            off = np.abs(low_res - golden[f"{place}/logits_s2"].astype(np.float32))
            assert (off <= 3e-2 + 1e-3 * np.abs(low_res)).mean() >= close, f"{place}: {off.max()}"
            assert abs(memory.object_score - golden[f"{place}/score"][0]) <= 3e-3, place
            np.testing.assert_allclose(memory.pointer, golden[f"{place}/ptr"], atol=3e-3, err_msg=place)
            anchors = state.session.track(str(name)).anchors
            assert (frame in anchors) == bool(golden[f"{place}/cond"][0]), place
            area = int((one > 0).sum()) - int(golden[f"{place}/area"][0])
            assert abs(area) <= 300, f"{place}: {area} pixels"
    assert seen == frames


def start_a(predictor: SAM2VideoPredictor, state: Any, golden: Golden) -> None:
    clicks = np.array([[210, 350], [250, 220]], np.float32)
    answer = predictor.add_new_points_or_box(state, 0, 1, clicks, np.array([1, 1], np.int32))
    check_prompt(answer, golden, "A/add1", 0, direct=True)
    answer = predictor.add_new_points_or_box(state, frame_idx=0, obj_id=2, box=[300, 0, 500, 400])
    check_prompt(answer, golden, "A/add2", 0, direct=True)
    assert answer[1] == [1, 2]


def test_the_first_frames(video: Any, golden_file: Callable[[str], Golden]) -> None:
    predictor, state = video
    golden = golden_file("video_A")
    start_a(predictor, state, golden)
    run = predictor.propagate_in_video(state, max_frame_num_to_track=1)
    check_run(run, state, golden, "A", [0, 1])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_a_correction_and_a_run_in_reverse(video: Any, golden_file: Callable[[str], Golden]) -> None:
    predictor, state = video
    golden = golden_file("video_A") | golden_file("video_B")
    predictor.add_all_frames_to_correct_as_cond = False
    start_a(predictor, state, golden)
    check_run(predictor.propagate_in_video(state), state, golden, "A", list(range(12)))
    predictor.add_all_frames_to_correct_as_cond = True
    answer = predictor.add_new_points(
        state, 6, 1, torch.tensor([[82.0, 410.0]]), torch.tensor([0]), clear_old_points=False
    )
    check_prompt(answer, golden, "B/click6", 6, direct=False)
    # The corrected frame is remembered as 0 and 1: noise of 0.002 in its logits flips about 60 pixels there,
    # and changes its memory by 0.02 on average (unlike 2.5 where it is not made 0 and 1).
    forward = predictor.propagate_in_video(state, start_frame_idx=6)
    check_run(forward, state, golden, "Bfwd", list(range(6, 12)), close=0.995)
    reverse = predictor.propagate_in_video(state, start_frame_idx=8, reverse=True)
    check_run(reverse, state, golden, "Brev", list(range(8, -1, -1)), close=0.995)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_masks_more_clicks_and_clearing(video: Any, golden_file: Callable[[str], Golden]) -> None:
    predictor, state = video
    golden = golden_file("video_C")
    y, x = np.mgrid[:540, :960]
    ellipse = ((x - 400) / 120) ** 2 + ((y - 220) / 160) ** 2 < 1
    check_prompt(predictor.add_new_mask(state, 3, 7, ellipse), golden, "C/mask3", 3, direct=True)
    clicks = [[210, 350], [250, 220], [600, 100]]
    answer = predictor.add_new_points_or_box(state, 3, 8, points=clicks, labels=[1, 1, 0])
    check_prompt(answer, golden, "C/click3", 3, direct=True)
    answer = predictor.add_new_points_or_box(state, 3, 8, [[150, 300]], [1], clear_old_points=False)
    check_prompt(answer, golden, "C/click3more", 3, direct=True)
    forward = predictor.propagate_in_video(state, start_frame_idx=3, max_frame_num_to_track=2)
    check_run(forward, state, golden, "Cfwd", [3, 4, 5])
    check_run(predictor.propagate_in_video(state, reverse=True), state, golden, "Crev", [3, 2, 1, 0])
    answer = predictor.clear_all_prompts_in_frame(state, 3, 8)
    check_prompt(answer, golden, "C/clear", 3, direct=True)
