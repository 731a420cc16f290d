"""Everything mode over a model that paints discs: what each option does, and that counts add up."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from segma.errors import Cancelled, InputError
from segma.models.interfaces import InputSpec
from segma.results import Prediction
from segma.runtime import Runtime
from segma.tasks.everything import EverythingConfig, segment_everything, usual_config

CPU = Runtime(device="cpu", precision="fp32")
# Without filters every click gives three records.
ALL: dict[str, Any] = {
    "points_per_side": 4,
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
}
MIDDLE: dict[str, Any] = {"points_per_side": None, "point_grids": (np.array([[0.5, 0.5]]),)}


@pytest.fixture
def painter(make_painter: Any) -> Any:
    return make_painter(radii=(9, 8, 9, 10))


def run(painter: Any, picture: ndarray, **options: Any) -> Prediction:
    found = segment_everything(painter, picture, EverythingConfig(**{**ALL, **options}), runtime=CPU)
    removed = sum(found.counts[name] for name in ("low_iou", "unstable", "at_edge", "duplicate"))
    assert found.counts["candidates"] == 3 * found.counts["points"] == len(found) + removed
    return found


def test_every_click_gives_the_three_ambiguous_masks(painter: Any, picture: ndarray) -> None:
    found = run(painter, picture)
    assert len(found) == 48
    assert found.counts == {
        "points": 16,
        "candidates": 48,
        "low_iou": 0,
        "unstable": 0,
        "at_edge": 0,
        "duplicate": 0,
    }
    # Best first; x runs fastest among equals.
    assert found.predicted_iou.tolist() == pytest.approx([0.9] * 16 + [0.8] * 16 + [0.7] * 16)
    assert [record.points[0] for record in found[:2]] == [(16.0, 12.0), (48.0, 12.0)]
    for record in found:
        (x, y), (x0, y0, x1, y1) = record.points[0], record.box
        assert abs((x0 + x1) / 2 - x) <= 1 and abs((y0 + y1) / 2 - y) <= 1
        assert record.crop_box == (0, 0, 128, 96)
        assert record.low_res_logits is None and record.prompt_index == 0
    assert found.size == (96, 128) and found.image is picture
    assert set(found.timings) == {"encode", "decode", "total"}


def test_points_per_side(painter: Any, picture: ndarray) -> None:
    assert run(painter, picture, points_per_side=2).counts["points"] == 4


@pytest.mark.parametrize("points_per_batch", [1, 2, 64])
def test_points_per_batch_is_the_most_that_is_decoded_together(
    painter: Any, picture: ndarray, points_per_batch: int
) -> None:
    found = run(painter, picture, points_per_batch=points_per_batch)
    assert max(len(asked.coords) for asked in painter.asked) <= points_per_batch
    assert found == run(painter, picture)


def test_pred_iou_thresh_is_to_be_exceeded(painter: Any, picture: ndarray) -> None:
    found = run(painter, picture, pred_iou_thresh=0.75)
    assert len(found) == 32 and found.counts["low_iou"] == 16
    exactly = float(np.float32(0.8))
    assert len(run(painter, picture, pred_iou_thresh=exactly)) == 16
    assert len(run(painter, picture, pred_iou_thresh=-1.0)) == 48


def test_masks_of_low_predicted_iou_are_never_drawn(painter: Any, picture: ndarray) -> None:
    assert len(run(painter, picture, pred_iou_thresh=0.85)) == painter.drawn == 16


def test_stability_score_thresh_and_offset(painter: Any, picture: ndarray) -> None:
    every = run(painter, picture, stability_score_offset=1.0)
    scores = [record.stability_score for record in every]
    middle = float(np.median(np.array(scores)))
    found = run(painter, picture, stability_score_thresh=middle)
    assert found.counts["unstable"] == sum(score < middle for score in scores if score is not None)
    assert all(record.stability_score >= middle for record in found if record.stability_score is not None)
    wider = run(painter, picture, stability_score_offset=3.0)
    for near, far in zip(every, wider, strict=True):
        assert near.stability_score is not None and far.stability_score is not None
        assert far.stability_score < near.stability_score
    assert len(run(painter, picture, stability_score_thresh=1.0)) == 0


def test_stability_is_measured_around_the_models_threshold(painter: Any, picture: ndarray) -> None:
    plain = run(painter, picture)
    painter.mask_threshold = 2.0
    shifted = run(painter, picture)
    assert all(b.area < a.area for a, b in zip(plain, shifted, strict=True))


def test_empty_masks_are_unstable(make_painter: Any, picture: ndarray) -> None:
    nothing = make_painter(radii=(-9, -9, -9, -9))
    assert len(run(nothing, picture, stability_score_thresh=0.1)) == 0


def test_box_nms_thresh_keeps_the_better_of_two_alike(painter: Any, picture: ndarray) -> None:
    found = run(painter, picture, box_nms_thresh=0.5)
    assert found.predicted_iou.tolist() == pytest.approx([0.9] * 16)
    assert found.counts["duplicate"] == 32


def test_crop_n_layers_and_what_lies_at_the_edge_of_a_crop(make_painter: Any, picture: ndarray) -> None:
    painter = make_painter(radii=(6, 6, 6, 6), size=128)
    whole = run(painter, picture)
    assert painter.encoded == 1
    found = run(painter, picture, crop_n_layers=1, crop_nms_thresh=1.0)
    assert painter.encoded == 1 + 5
    assert found.counts["points"] == 5 * 16
    assert found.counts["at_edge"] > 0 == whole.counts["at_edge"]
    crops = {record.crop_box for record in found}
    assert (0, 0, 128, 96) in crops and len(crops) == 5
    for record in found:
        assert record.crop_box is not None
        x0, y0, x1, y1 = record.crop_box
        (x, y), box = record.points[0], record.box
        assert x0 <= x < x1 and y0 <= y < y1
        assert box[0] >= x0 and box[1] >= y0 and box[2] < x1 and box[3] < y1
        # Cut at 20 pixels from an edge inside the picture.
        assert x0 == 0 or box[0] > x0 + 20
        assert x1 == 128 or box[2] < x1 - 20
        assert y0 == 0 or box[1] > y0 + 20
        assert y1 == 96 or box[3] < y1 - 20


def test_crop_nms_thresh_prefers_small_crops(make_painter: Any, picture: ndarray) -> None:
    # One click in the picture's corner and one in each crop's; the first crop's is at the same place.
    painter = make_painter(radii=(30, 30, 30, 30), qualities=(0.5, 0.9, 0.1, 0.1))
    grids = (np.array([[0.1, 0.1]]), np.array([[0.1 * 128 / 81, 0.1 * 96 / 65]]))
    options: dict[str, Any] = {"points_per_side": None, "point_grids": grids, "pred_iou_thresh": 0.5}
    layers: dict[str, Any] = {**options, "crop_n_layers": 1}
    both = run(painter, picture, **layers, crop_nms_thresh=1.0)
    assert both[-1].crop_box == (0, 0, 128, 96)  # the largest crop is the last
    one = run(painter, picture, **layers, crop_nms_thresh=0.1)
    assert len(one) < len(both)
    assert all(record.crop_box != (0, 0, 128, 96) for record in one)


def test_crop_overlap_ratio(painter: Any, picture: ndarray) -> None:
    options: dict[str, Any] = {"crop_n_layers": 1, "crop_nms_thresh": 1.0, "points_per_side": 8}
    narrow = {r.crop_box for r in run(painter, picture, **options, crop_overlap_ratio=0.0)}
    wide = {r.crop_box for r in run(painter, picture, **options, crop_overlap_ratio=0.5)}
    assert (0, 0, 64, 48) in narrow
    assert (0, 0, 88, 72) in wide  # 48 pixels overlap: (48 + 128) / 2 wide, (48 + 96) / 2 high


def test_crop_n_points_downscale_factor(painter: Any, picture: ndarray) -> None:
    found = run(painter, picture, crop_n_layers=1, crop_n_points_downscale_factor=2)
    assert found.counts["points"] == 16 + 4 * 4


def test_point_grids_say_where(painter: Any, picture: ndarray) -> None:
    grid = np.array([[0.25, 0.5], [0.75, 0.5]])
    found = run(painter, picture, points_per_side=None, point_grids=(grid,))
    assert {record.points for record in found} == {((32.0, 48.0),), ((96.0, 48.0),)}
    assert len(found) == 6


def test_min_mask_region_area_cleans(make_painter: Any, picture: ndarray) -> None:
    painter = make_painter(radii=(9, 8, 9, 10), speckled=(1, 2, 3))
    options: dict[str, Any] = {**MIDDLE, "crop_nms_thresh": 1.0}
    raw = run(painter, picture, **options)
    cleaned = run(painter, picture, **options, min_mask_region_area=100)
    assert len(raw) == len(cleaned) == 3
    for before, after in zip(raw, cleaned, strict=True):
        assert before.mask[0, 0] and not after.mask[0, 0]
        assert before.box[0] == 0 and after.box[0] > 40
        assert 0 < before.area - after.area < 100
    assert list(run(painter, picture, **options, min_mask_region_area=3)) == list(raw)


def test_of_what_cleaning_makes_alike_the_untouched_stays(make_painter: Any, picture: ndarray) -> None:
    painter = make_painter(radii=(9, 8, 9, 10), speckled=(2,))  # the best one
    options: dict[str, Any] = {**MIDDLE, "box_nms_thresh": 0.7}
    assert run(painter, picture, **options).predicted_iou.tolist() == pytest.approx([0.9, 0.8, 0.7])
    cleaned = run(painter, picture, **options, min_mask_region_area=100)
    assert cleaned.predicted_iou.tolist() == pytest.approx([0.8, 0.7])


def test_progress_goes_up_to_the_end_and_never_down(painter: Any, picture: ndarray) -> None:
    heard: list[tuple[int, int]] = []
    config = EverythingConfig(**ALL, crop_n_layers=1)
    segment_everything(
        painter, picture, config, runtime=CPU, on_progress=lambda done, total: heard.append((done, total))
    )
    assert {total for _, total in heard} == {80}
    done = [count for count, _ in heard]
    assert done == sorted(set(done)) and done[-1] == 80


@pytest.mark.parametrize("after", [0, 2 * CPU.prompts_at_once])
def test_it_can_be_cancelled_at_any_time(painter: Any, picture: ndarray, after: int) -> None:
    cancel = threading.Event()
    if not after:
        cancel.set()

    def stop(done: int, total: int) -> None:
        if done >= after:
            cancel.set()

    with pytest.raises(Cancelled):
        segment_everything(
            painter, picture, EverythingConfig(**ALL), runtime=CPU, on_progress=stop, cancel=cancel
        )
    assert sum(len(asked.coords) for asked in painter.asked) == after


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (5, 5)])
def test_pictures_of_few_pixels(painter: Any, size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    found = run(painter, image, points_per_side=2, crop_n_layers=2)
    assert all(record.mask.shape == size for record in found)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"points_per_side": None}, "either points_per_side or point_grids"),
        ({"point_grids": (np.zeros((1, 2)),)}, "either points_per_side or point_grids"),
        (
            {"points_per_side": None, "point_grids": (np.zeros((1, 2)),), "crop_n_layers": 1},
            "1 point grids for 2 layers",
        ),
        ({"points_per_side": 0}, "points_per_side is 0"),
        ({"points_per_batch": 0}, "points_per_batch is 0"),
        ({"crop_n_layers": -1}, "crop_n_layers is -1"),
        ({"crop_n_layers": 99}, "crop_n_layers is 99"),
        ({"crop_n_points_downscale_factor": 0}, "crop_n_points_downscale_factor is 0"),
        ({"min_mask_region_area": -1}, "min_mask_region_area is -1"),
        ({"crop_overlap_ratio": 1.5}, r"crop_overlap_ratio is 1\.5"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        EverythingConfig(**options)
    assert caught.value.code == "input.value"


def test_small_models_bring_their_own_options_and_official_ones_the_official() -> None:
    official = InputSpec(size=1024, mask_size=256, fit="pad")
    assert usual_config(official) == EverythingConfig()
    ours = usual_config(replace(official, looks_twice=True, hedges=True))
    assert ours.crop_n_layers == 1 and ours.pred_iou_thresh < EverythingConfig().pred_iou_thresh
