"""The mask generator and the transform under the original's names: records, output modes, options."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image

from segma.compat.sam import ResizeLongestSide, Sam, SamAutomaticMaskGenerator
from segma.errors import InputError
from segma.masks.mask import Mask

ANY: dict[str, Any] = {"points_per_side": 3, "pred_iou_thresh": -1.0, "stability_score_thresh": 0.0}


def test_the_transform_of_the_predictor(picture: ndarray) -> None:
    transform = ResizeLongestSide(64)
    assert transform.target_length == 64
    assert transform.get_preprocess_shape(1200, 1800, 1024) == (683, 1024)
    resized = transform.apply_image(picture)
    expected = np.array(Image.fromarray(picture).resize((64, 38), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resized, expected)
    scale = np.array([64 / 80, 38 / 48])
    coords = np.array([[10, 20], [79, 47]])
    np.testing.assert_array_equal(transform.apply_coords(coords, (48, 80)), coords * scale)
    assert coords.tolist() == [[10, 20], [79, 47]]
    boxes = transform.apply_boxes(np.array([10, 20, 79, 47]), (48, 80))
    np.testing.assert_array_equal(boxes, [[*(coords[0] * scale), *(coords[1] * scale)]])
    on_tensors = transform.apply_coords_torch(torch.as_tensor(coords), (48, 80))
    assert on_tensors.dtype == torch.float32
    np.testing.assert_allclose(on_tensors, coords * scale, rtol=1e-6)
    as_boxes = transform.apply_boxes_torch(torch.tensor([[10, 20, 79, 47]]), (48, 80))
    np.testing.assert_allclose(as_boxes, boxes, rtol=1e-6)
    pixels = torch.as_tensor(picture).permute(2, 0, 1)[None].float()
    assert transform.apply_image_torch(pixels).shape == (1, 3, 38, 64)


def test_records_of_the_generator(sam: Sam, picture: ndarray) -> None:
    records = SamAutomaticMaskGenerator(sam, **ANY, box_nms_thresh=1.0).generate(picture)
    assert len(records) == 27
    fields = ["segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"]
    for record in records:
        assert list(record) == fields
        mask = record["segmentation"]
        assert mask.shape == (48, 80) and mask.dtype == bool
        assert record["area"] == mask.sum() and isinstance(record["area"], int)
        rows, columns = np.nonzero(mask)
        x, y = columns.min(), rows.min()
        assert record["bbox"] == [x, y, columns.max() - x, rows.max() - y]
        assert isinstance(record["predicted_iou"], float) and isinstance(record["stability_score"], float)
        assert record["crop_box"] == [0, 0, 80, 48]
        ((click_x, click_y),) = record["point_coords"]
        assert 0 < click_x < 80 and 0 < click_y < 48
    scores = [record["predicted_iou"] for record in records]
    assert scores == sorted(scores, reverse=True)


def test_output_modes_hold_the_same_masks_and_are_json(sam: Sam, picture: ndarray) -> None:
    made = {
        mode: SamAutomaticMaskGenerator(sam, **ANY, output_mode=mode).generate(picture)
        for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
    }
    for mode in ("uncompressed_rle", "coco_rle"):
        for record, plain in zip(json.loads(json.dumps(made[mode])), made["binary_mask"], strict=True):
            assert record["segmentation"]["size"] == [48, 80]
            np.testing.assert_array_equal(
                Mask.from_coco(record["segmentation"]).dense(), plain["segmentation"]
            )
            assert {**record, "segmentation": 0} == {**plain, "segmentation": 0}
    counts = made["uncompressed_rle"][0]["segmentation"]["counts"]
    assert isinstance(counts, list) and sum(counts) == 48 * 80
    assert isinstance(made["coco_rle"][0]["segmentation"]["counts"], str)


def test_options_of_the_generator_by_position_and_name(sam: Sam, picture: ndarray) -> None:
    grids = [np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])]
    generator = SamAutomaticMaskGenerator(
        sam, None, 1, -1.0, 0.0, 1.0, 1.0, 1, 1.0, 0.2, 1, grids, 0, "coco_rle"
    )
    records = generator.generate(picture)
    clicks = {tuple(record["point_coords"][0]) for record in records}
    # Crops start at 0 or 36 and 0 or 20; those at the bottom are a pixel less high.
    in_crops = {(11.25, 21.75), (11.25, 41.0), (47.0, 21.75), (47.0, 41.0)}
    assert (40.0, 24.0) in clicks <= {(40.0, 24.0), *in_crops}
    assert all(isinstance(record["segmentation"]["counts"], str) for record in records)
    assert generator.predictor.model is sam


def test_mistakes_in_options_are_told(sam: Sam) -> None:
    with pytest.raises(InputError, match="either points_per_side or point_grids"):
        SamAutomaticMaskGenerator(sam, points_per_side=None)
    with pytest.raises(InputError, match="png"):
        SamAutomaticMaskGenerator(sam, output_mode="png")


def test_autocast_gives_records_where_the_original_raises(sam: Sam, picture: ndarray) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        records = SamAutomaticMaskGenerator(sam, **ANY).generate(picture)
    assert records and all(isinstance(record["predicted_iou"], float) for record in records)


def test_pictures_are_turned_for_a_network_that_wants_blue_first(sam: Sam, picture: ndarray) -> None:
    expected = SamAutomaticMaskGenerator(sam, **ANY).generate(picture)
    sam.image_format = "BGR"
    found = SamAutomaticMaskGenerator(sam, **ANY).generate(picture[..., ::-1])
    assert [record["area"] for record in found] == [record["area"] for record in expected]
