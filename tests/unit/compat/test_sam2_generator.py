"""SAM 2's mask generator on a network of toy size: records, the second pass, thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from segma.compat.sam2 import SAM2AutomaticMaskGenerator, SAM2Base, SAM2ImagePredictor
from segma.errors import InputError

CLICK: dict[str, Any] = {"point_coords": np.array([[40, 20]]), "point_labels": np.array([1])}
LOOSE: dict[str, Any] = {
    "points_per_side": 3, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0,
}  # fmt: skip


def test_records_of_everything(sam2: SAM2Base, picture: ndarray) -> None:
    found = SAM2AutomaticMaskGenerator(sam2, **LOOSE, unknown=1).generate(picture)
    assert len(found) == 27
    keys = ["segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"]
    for record in found:
        assert list(record) == keys and record["crop_box"] == [0, 0, 80, 48]
        assert record["segmentation"].shape == (48, 80) and record["segmentation"].dtype == bool
        assert record["area"] == record["segmentation"].sum()
    runs = SAM2AutomaticMaskGenerator(sam2, **LOOSE, output_mode="uncompressed_rle").generate(picture)
    assert sum(runs[0]["segmentation"]["counts"]) == 48 * 80
    coco = SAM2AutomaticMaskGenerator(sam2, **LOOSE, output_mode="coco_rle").generate(picture)
    assert isinstance(coco[0]["segmentation"]["counts"], str)
    cropped = SAM2AutomaticMaskGenerator(sam2, **LOOSE, crop_n_layers=1)
    assert cropped.config.crop_n_layers == 1 and cropped.generate(picture)
    with pytest.raises(InputError, match="binary_mask"):
        SAM2AutomaticMaskGenerator(sam2, output_mode="png")
    with pytest.raises(InputError, match="point_grids"):
        SAM2AutomaticMaskGenerator(sam2, points_per_side=None)


@pytest.mark.parametrize("multimask", [True, False])
def test_each_mask_may_be_asked_for_again(sam2: SAM2Base, picture: ndarray, multimask: bool) -> None:
    grid = [np.array([[0.5, 20 / 48]])]
    options = {**LOOSE, "points_per_side": None, "point_grids": grid, "multimask_output": multimask}
    count = 3 if multimask else 1
    predictor = SAM2ImagePredictor(sam2)
    predictor.set_image(picture)
    _, quality, low_res = predictor.predict(**CLICK, multimask_output=multimask)
    once = SAM2AutomaticMaskGenerator(sam2, **options).generate(picture)
    assert sorted(r["predicted_iou"] for r in once) == pytest.approx(sorted(quality), abs=1e-5)
    twice = SAM2AutomaticMaskGenerator(sam2, **options, use_m2m=True).generate(picture)
    assert len(once) == len(twice) == count
    expected: list[tuple[float, int]] = []
    for one in low_res:
        masks, again, _ = predictor.predict(**CLICK, mask_input=one[None], multimask_output=False)
        expected.append((again[0], int(masks.sum())))
    found = [(record["predicted_iou"], record["area"]) for record in twice]
    for ours, theirs in zip(sorted(found), sorted(expected), strict=True):
        assert ours[0] == pytest.approx(theirs[0], abs=1e-4) and abs(ours[1] - theirs[1]) <= 3


def test_the_threshold_and_the_smallest_region(sam2: SAM2Base, picture: ndarray) -> None:
    usual = SAM2AutomaticMaskGenerator(sam2, **LOOSE).generate(picture)
    strict = SAM2AutomaticMaskGenerator(sam2, **LOOSE, mask_threshold=0.5).generate(picture)
    assert sum(r["area"] for r in strict) < sum(r["area"] for r in usual)
    cleaned = SAM2AutomaticMaskGenerator(sam2, **LOOSE, min_mask_region_area=10).generate(picture)
    assert [r["area"] for r in cleaned] != [r["area"] for r in usual]
