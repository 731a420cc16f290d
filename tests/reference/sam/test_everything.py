"""Everything mode, ours and under the original's name, against the official records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from segma.compat.sam import SamAutomaticMaskGenerator
from segma.masks.mask import Mask
from segma.runtime import Runtime
from segma.tasks.everything import EverythingConfig, segment_everything

OPTIONS: dict[str, Any] = {
    "points_per_side": 8,
    "points_per_batch": 16,
    "pred_iou_thresh": 0.01,
    "stability_score_thresh": 0.3,
    "stability_score_offset": 0.05,
    "box_nms_thresh": 0.9,
}
CROPS: dict[str, Any] = {
    **OPTIONS,
    "crop_n_layers": 1,
    "crop_n_points_downscale_factor": 2,
    "crop_nms_thresh": 0.9,
    "min_mask_region_area": 100,
}
CASES = [
    pytest.param("truck", "amg_truck", OPTIONS, id="truck"),
    # Five encodes, of which the whole picture is one.
    pytest.param("synthetic", "amg_synthetic_crops", CROPS, id="crops", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("picture", "file", "options"), CASES)
def test_the_records_are_the_official_ones(
    picture: str,
    file: str,
    options: dict[str, Any],
    spread_vit_b: Any,
    golden_file: Callable[[str], dict[str, ndarray]],
    tolerance: Any,
    request: pytest.FixtureRequest,
) -> None:
    image, golden = request.getfixturevalue(picture).image, golden_file(file)
    cpu = Runtime(device="cpu", precision="fp32")
    found = segment_everything(spread_vit_b, image, EverythingConfig(**options), runtime=cpu)
    records = SamAutomaticMaskGenerator(spread_vit_b, **options, output_mode="coco_rle").generate(image)
    masks = official_masks(golden, image.shape[:2])
    assert len(found) == len(records) == len(masks) == 13
    share, pixels = tolerance.record_area
    for index, (ours, record, mask) in enumerate(zip(found, records, masks, strict=True)):
        theirs = {name: values[index] for name, values in golden.items() if len(values) == len(masks)}
        assert np.abs(np.array(record["bbox"]) - theirs["bbox"]).max() <= tolerance.record_box
        assert abs(record["area"] - theirs["area"]) <= share * theirs["area"] + pixels
        assert abs(record["predicted_iou"] - theirs["predicted_iou"]) <= tolerance.record_score
        assert abs(record["stability_score"] - theirs["stability_score"]) <= tolerance.record_score
        np.testing.assert_allclose(record["point_coords"], [theirs["point_coords"]], rtol=1e-12)
        assert record["crop_box"] == theirs["crop_box"].tolist()
        assert overlap(Mask.from_coco(record["segmentation"]).dense(), mask) >= tolerance.mask_iou
        x, y, width, height = record["bbox"]
        assert ours.box == (x, y, x + width, y + height)
        assert (ours.area, ours.predicted_iou) == (record["area"], record["predicted_iou"])


def official_masks(golden: dict[str, ndarray], size: tuple[int, int]) -> list[ndarray]:
    """The masks of the concatenated run lengths."""
    ends = np.cumsum(golden["rle_lengths"])
    runs = np.split(golden["rle_counts"], ends[:-1])
    return [Mask.from_coco({"size": list(size), "counts": counts.tolist()}).dense() for counts in runs]


def overlap(mask: ndarray, other: ndarray) -> float:
    """Intersection over union."""
    return float((mask & other).sum() / (mask | other).sum())
