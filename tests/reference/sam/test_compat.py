"""The original's calls give the original's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segma.compat.sam import ResizeLongestSide, SamPredictor

PROMPTS: dict[str, dict[str, Any]] = {
    "p1": {"point_coords": np.array([[250, 300]]), "point_labels": np.array([1])},
    "p3": {
        "point_coords": np.array([[250, 300], [120, 560], [400, 100]]),
        "point_labels": np.array([1, 1, 0]),
    },
    "box": {"box": np.array([130, 180, 370, 420])},
    "boxpt": {
        "box": np.array([130, 180, 370, 420])[None],
        "point_coords": np.array([[250, 300]]),
        "point_labels": np.array([0]),
    },
}


@pytest.fixture(scope="module")
def predictor(synthetic: Any, compat_vit_b: Any) -> SamPredictor:
    predictor = SamPredictor(compat_vit_b)
    predictor.set_image(synthetic.image)
    return predictor


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize("key", [*PROMPTS, "mask", "maskonly"])
def test_predict(
    predictor: SamPredictor, synthetic: Any, tolerance: Any, key: str, multimask_output: bool
) -> None:
    asked = dict(PROMPTS.get(key, PROMPTS["p1"] if key == "mask" else {}))
    if key.startswith("mask"):
        asked["mask_input"] = synthetic.prompts[key][0].mask.logits[None]
    golden = {n: synthetic.golden[f"{key}_{n}"][0] for n in ("iou", "low_sub", "up_sub", "area", "near")}
    wanted = slice(1, None) if multimask_output else slice(0, 1)

    masks, scores, low_res = predictor.predict(**asked, multimask_output=multimask_output)
    logits, _, _ = predictor.predict(**asked, multimask_output=multimask_output, return_logits=True)

    assert masks.dtype == bool and scores.dtype == logits.dtype == low_res.dtype == np.float32
    assert masks.shape == logits.shape == (len(scores), 700, 500)
    np.testing.assert_allclose(scores, golden["iou"][wanted], atol=tolerance.predicted_iou)
    np.testing.assert_allclose(low_res[:, ::5, ::5], golden["low_sub"][wanted], atol=tolerance.logits)
    np.testing.assert_allclose(logits[:, ::61, ::61], golden["up_sub"][wanted], atol=tolerance.logits)
    np.testing.assert_array_equal(masks, logits > 0)
    allowed = tolerance.area_pixels + 0.01 * golden["near"][wanted]
    assert (np.abs(masks.sum((1, 2)) - golden["area"][wanted]) <= allowed).all()


def test_predict_torch_takes_batches_of_prompts(
    predictor: SamPredictor, synthetic: Any, tolerance: Any
) -> None:
    boxes = torch.tensor([[130, 180, 370, 420], [60, 480, 180, 640], [0, 0, 500, 700]])
    boxes = predictor.transform.apply_boxes_torch(boxes, synthetic.image.shape[:2])
    masks, scores, low_res = predictor.predict_torch(None, None, boxes=boxes, multimask_output=False)
    assert masks.shape == (3, 1, 700, 500) and masks.dtype == torch.bool
    np.testing.assert_allclose(scores, synthetic.golden["batchbox_iou"][:, :1], atol=tolerance.predicted_iou)
    expected = synthetic.golden["batchbox_low_sub"][:, :1]
    np.testing.assert_allclose(low_res[..., ::5, ::5], expected, atol=tolerance.logits)


def test_the_parts_one_by_one(
    predictor: SamPredictor, compat_vit_b: Any, synthetic: Any, tolerance: Any
) -> None:
    xy = np.array([[[62.5, 87.5]], [[437.5, 87.5]], [[250, 300]], [[120, 560]]])
    coords = torch.as_tensor(predictor.transform.apply_coords(xy, (700, 500)))
    sparse, dense = compat_vit_b.prompt_encoder(points=(coords, torch.ones(4, 1)), boxes=None, masks=None)
    low_res, scores = compat_vit_b.mask_decoder(
        image_embeddings=predictor.get_image_embedding(),
        image_pe=compat_vit_b.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    golden = synthetic.golden
    np.testing.assert_allclose(scores, golden["batchpt_iou"][:, 1:], atol=tolerance.predicted_iou)
    np.testing.assert_allclose(
        low_res[..., ::5, ::5], golden["batchpt_low_sub"][:, 1:], atol=tolerance.logits
    )


def test_forward_takes_several_pictures(
    compat_vit_b: Any, synthetic: Any, truck: Any, tolerance: Any
) -> None:
    transform = ResizeLongestSide(compat_vit_b.image_encoder.img_size)
    pictures: list[dict[str, Any]] = []
    for case, key in ((synthetic, "batchbox"), (truck, "batchbox")):
        boxes = torch.tensor([prompt.box.xyxy for prompt in case.prompts[key]])
        size = case.image.shape[:2]
        pictures.append(
            {
                "image": torch.as_tensor(transform.apply_image(case.image)).permute(2, 0, 1).contiguous(),
                "boxes": transform.apply_boxes_torch(boxes, size),
                "original_size": size,
            }
        )
    answers = compat_vit_b(pictures, multimask_output=False)
    for answer, case in zip(answers, (synthetic, truck), strict=True):
        assert list(answer) == ["masks", "iou_predictions", "low_res_logits"]
        assert answer["masks"].dtype == torch.bool
        assert tuple(answer["masks"].shape[2:]) == case.image.shape[:2]
        expected = case.golden["batchbox_iou"][:, :1]
        np.testing.assert_allclose(answer["iou_predictions"], expected, atol=tolerance.predicted_iou)
        expected = case.golden["batchbox_low_sub"][:, :1]
        np.testing.assert_allclose(answer["low_res_logits"][..., ::5, ::5], expected, atol=tolerance.logits)
