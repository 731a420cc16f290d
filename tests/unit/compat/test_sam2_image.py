"""What scripts for the original image predictor do, on a network of toy size: types, shapes, errors.

The numbers are compared in tests/reference/sam2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image

from segma.checkpoints.match import shapes_of
from segma.compat.sam2 import SAM2Base, SAM2ImagePredictor, SAM2Transforms
from segma.errors import InputError, PromptError
from segma.models.interfaces import DynamicChoice
from segma.models.sam2.config import VARIANTS

CLICK: dict[str, Any] = {"point_coords": np.array([[40, 20]]), "point_labels": np.array([1])}


@pytest.fixture
def predictor(sam2: SAM2Base, picture: ndarray) -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(sam2)
    predictor.set_image(picture)
    return predictor


def test_attributes_that_scripts_read(sam2: SAM2Base, predictor: SAM2ImagePredictor) -> None:
    assert sam2.to(device="cpu") is sam2 and sam2.device == predictor.device == torch.device("cpu")
    assert (sam2.image_size, sam2.hidden_dim, predictor.mask_threshold) == (128, 32, 0.0)
    assert predictor.model is sam2
    assert predictor.get_image_embedding().shape == (1, 32, 8, 8)
    assert sam2.sam_prompt_encoder.mask_input_size == (32, 32)


def test_names_of_the_state_are_the_original_ones() -> None:
    from segma.models.sam2.model import Sam2

    with torch.device("meta"):
        ours, plain = SAM2Base(VARIANTS["sam2_hiera_tiny"]), Sam2(VARIANTS["sam2_hiera_tiny"])
    assert shapes_of(ours) == shapes_of(plain)


def test_predict_gives_arrays_of_the_original_kind(predictor: SAM2ImagePredictor) -> None:
    masks, quality, low_res = predictor.predict(**CLICK)
    assert (masks.shape, quality.shape, low_res.shape) == ((3, 48, 80), (3,), (3, 32, 32))
    assert masks.dtype == quality.dtype == low_res.dtype == np.float32
    assert set(np.unique(masks)) <= {0.0, 1.0} and np.abs(low_res).max() <= 32
    logits, again, _ = predictor.predict(**CLICK, return_logits=True)
    np.testing.assert_array_equal(logits > 0, masks > 0)
    np.testing.assert_array_equal(quality, again)
    one = predictor.predict(**CLICK, multimask_output=False)
    assert one[0].shape == (1, 48, 80) and one[1].shape == (1,)
    improved = predictor.predict(**CLICK, mask_input=low_res[:1], multimask_output=False)
    assert improved[2].shape == (1, 32, 32) and not np.array_equal(improved[2], one[2])
    only = predictor.predict(mask_input=low_res[:1])
    nothing = predictor.predict()
    assert only[0].shape == nothing[0].shape == (3, 48, 80)


def test_low_resolution_logits_come_back_clamped(predictor: SAM2ImagePredictor) -> None:
    with torch.no_grad():
        for head in predictor.model.sam_mask_decoder.output_hypernetworks_mlps:
            head.get_parameter("layers.2.weight").mul_(1e4)
    logits, _, low_res = predictor.predict(**CLICK, return_logits=True)
    assert np.abs(low_res).max() == 32 and np.abs(logits).max() > 33


def test_several_prompts_at_once(predictor: SAM2ImagePredictor) -> None:
    boxes = np.array([[10, 5, 40, 30], [0, 0, 79, 47], [3, 3, 9, 9], [20, 20, 60, 40], [1, 2, 3, 4]])
    masks, quality, low_res = predictor.predict(box=boxes, multimask_output=False)
    assert masks.shape == (5, 1, 48, 80) and quality.shape == (5, 1) and low_res.shape == (5, 1, 32, 32)
    for row in (0, 4):
        one = predictor.predict(box=boxes[row], multimask_output=False)
        np.testing.assert_allclose(one[2], low_res[row], atol=1e-4)
    points = np.array([[[40, 20]], [[10, 10]]])
    masks, _, _ = predictor.predict(points, np.ones((2, 1)), boxes[:2], multimask_output=True)
    assert masks.shape == (2, 3, 48, 80)
    one_box = predictor.predict(box=boxes[:1])
    assert one_box[0].shape == (3, 48, 80)


def test_fractions_instead_of_pixels(predictor: SAM2ImagePredictor) -> None:
    pixels = predictor.predict(**CLICK, box=np.array([8, 12, 40, 36]))
    fractions = predictor.predict(
        np.array([[0.5, 20 / 48]]), np.array([1]), np.array([0.1, 0.25, 0.5, 0.75]), normalize_coords=False
    )
    np.testing.assert_allclose(pixels[2], fractions[2], atol=1e-4)


def test_batches_of_pictures(predictor: SAM2ImagePredictor, picture: ndarray) -> None:
    alone = predictor.predict(**CLICK)
    other = np.ascontiguousarray(picture[:30, ::-1])
    predictor.set_image_batch([other, picture])
    assert predictor.get_image_embedding().shape == (2, 32, 8, 8)
    coords, labels = [None, CLICK["point_coords"]], [None, CLICK["point_labels"]]
    masks, quality, low_res = predictor.predict_batch(
        coords, labels, box_batch=[np.array([[1, 1, 9, 9], [2, 2, 8, 8]]), None]
    )
    assert [mask.shape for mask in masks] == [(2, 3, 30, 80), (3, 48, 80)]
    assert isinstance(quality, list) and quality[0].shape == (2, 3) and low_res[0].shape == (2, 3, 32, 32)
    np.testing.assert_allclose(low_res[1], alone[2], atol=1e-4)
    with pytest.raises(PromptError, match="1 prompts for 2 images"):
        predictor.predict_batch(coords[:1], labels[:1])
    predictor.set_image(picture)
    with pytest.raises(InputError, match="set_image_batch"):
        predictor.predict_batch(coords, labels)
    with pytest.raises(InputError, match="empty"):
        predictor.set_image_batch([])


def test_pillow_images(predictor: SAM2ImagePredictor, picture: ndarray) -> None:
    expected = predictor.predict(**CLICK)[2]
    predictor.set_image(Image.fromarray(picture))
    np.testing.assert_array_equal(predictor.predict(**CLICK)[2], expected)


def test_holes_and_specks_go_on_every_device() -> None:
    logits = torch.full((1, 2, 16, 16), -1.0)
    logits[:, :, 2:12, 2:12] = 1.0
    logits[:, 0, 5, 5] = logits[:, 0, 6, 6] = -1.0  # one hole of two cells, by the corner
    logits[:, 1, 14, 14] = 1.0
    cleaned = SAM2Transforms(64, 0.0, max_hole_area=2.0, max_sprinkle_area=1).clean(logits)
    assert cleaned[0, 0, 5, 5] == cleaned[0, 0, 6, 6] == 10 and cleaned[0, 1, 14, 14] == -10
    assert (cleaned != logits).sum() == 3
    untouched = SAM2Transforms(64, 0.0, max_hole_area=1).clean(logits)
    assert torch.equal(untouched, logits)
    speck = torch.full((1, 1, 8, 8), -1.0)
    speck[..., 3, 3] = 1.0
    gone = SAM2Transforms(64, 0.5, max_sprinkle_area=4).postprocess_masks(speck + 0.1, (20, 10))
    assert gone.shape == (1, 1, 20, 10) and (gone <= 0.5).all()


def test_wrong_use_of_the_image_predictor(sam2: SAM2Base, picture: ndarray) -> None:
    predictor = SAM2ImagePredictor(sam2, max_hole_area=3, anything=True)
    for ask in (predictor.predict, predictor.get_image_embedding, predictor.predict_batch):
        with pytest.raises(RuntimeError, match="set_image"):
            ask()
    with pytest.raises(InputError, match="list"):
        predictor.set_image(picture.tolist())
    predictor.set_image(picture)
    with pytest.raises(PromptError, match="labels"):
        predictor.predict(point_coords=np.array([[1, 1]]))
    with pytest.raises(PromptError, match="one label a point"):
        predictor.predict(np.array([[1, 1], [2, 2]]), np.array([1]))
    with pytest.raises(PromptError, match="2 boxes"):
        predictor.predict(np.array([[[1, 1]]] * 3), np.ones((3, 1)), np.array([[0, 0, 9, 9]] * 2))
    predictor.reset_predictor()
    with pytest.raises(RuntimeError, match="set_image"):
        predictor.predict(**CLICK)


def test_autocast_gives_float32(predictor: SAM2ImagePredictor, picture: ndarray) -> None:
    expected = predictor.predict(**CLICK)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        predictor.set_image(picture)
        found = predictor.predict(**CLICK)
    assert all(part.dtype == np.float32 for part in found)
    np.testing.assert_allclose(found[1], expected[1], atol=0.05)


def test_the_parts_one_by_one_as_scripts_that_train_call_them(predictor: SAM2ImagePredictor) -> None:
    network = predictor.model
    asked = predictor._prep_prompts(CLICK["point_coords"], CLICK["point_labels"], None, None, True)
    masks_in, coords, labels, _ = asked
    assert coords is not None and labels is not None and coords.shape == (1, 1, 2)
    sparse, dense = network.sam_prompt_encoder(points=(coords, labels), boxes=None, masks=masks_in)
    features = predictor._features
    assert features is not None
    masks, quality, tokens, scores = network.sam_mask_decoder(
        image_embeddings=features["image_embed"][-1][None],
        image_pe=network.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse.expand(2, -1, -1),
        dense_prompt_embeddings=dense.expand(2, -1, -1, -1),
        multimask_output=True,
        repeat_image=True,
        high_res_features=[level[-1][None] for level in features["high_res_feats"]],
    )
    assert tokens.shape == (2, 3, 32) and scores.shape == (2, 1)
    expected = predictor.predict(**CLICK, return_logits=True)
    np.testing.assert_allclose(quality[1].detach(), expected[1], atol=1e-5)
    np.testing.assert_allclose(masks[1].detach().clamp(-32, 32), expected[2], atol=1e-4)
    large = predictor._transforms.postprocess_masks(masks, predictor._orig_hw[-1])
    np.testing.assert_allclose(large[0].detach(), expected[0], atol=1e-4)
    large.mean().backward()
    assert network.no_mem_embed.grad is None  # the picture was encoded without gradients
    assert network.sam_mask_decoder.iou_token.weight.grad is not None


@pytest.mark.parametrize("choice", [None, DynamicChoice(), DynamicChoice(offset=0.0, threshold=2.0)])
def test_the_decoder_chooses_the_single_mask_as_the_predictor_does(
    predictor: SAM2ImagePredictor, choice: DynamicChoice | None
) -> None:
    network = predictor.model
    network.dynamic_choice = network.sam_mask_decoder.dynamic_choice = choice
    coords, labels = torch.tensor([[[64.0, 53.0]]]), torch.ones(1, 1, dtype=torch.int)
    sparse, dense = network.sam_prompt_encoder(points=(coords, labels), boxes=None, masks=None)
    features = predictor._features
    assert features is not None
    pe = network.sam_prompt_encoder.get_dense_pe()
    parts = (features["image_embed"], pe, sparse, dense, False, False, features["high_res_feats"])
    masks, quality, tokens, _ = network.sam_mask_decoder(*parts)
    asked = (coords, labels, None, None, False, True)
    _, expected_quality, expected = predictor._predict(*asked)
    assert tokens.shape == (1, 1, 32)
    torch.testing.assert_close(masks.clamp(-32, 32), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(quality, expected_quality)
