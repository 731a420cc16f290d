"""What scripts for the original package do, on a network of toy size: types, shapes, state, errors.

The numbers are compared in tests/reference/sam.
"""

from __future__ import annotations

import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from segma.checkpoints.match import shapes_of
from segma.compat import sam as compat
from segma.compat.sam import (
    ResizeLongestSide,
    Sam,
    SamPredictor,
    build_sam,
    sam_model_registry,
)
from segma.errors import InputError, MisfitError, PromptError
from segma.models.sam.config import VARIANTS, SamConfig
from segma.runtime import Runtime
from segma.tasks.segment import ImageSession

CLICK: dict[str, Any] = {"point_coords": np.array([[40, 20]]), "point_labels": np.array([1])}


def test_the_registry_has_the_original_names() -> None:
    assert set(sam_model_registry) == {"default", "vit_h", "vit_l", "vit_b"}
    assert sam_model_registry["default"] is sam_model_registry["vit_h"] is build_sam


def test_a_checkpoint_is_loaded_strictly(
    sam: Sam, toy_config: SamConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(sam.state_dict(), path)
    with pytest.raises(MisfitError, match="sam_vit_b_01ec64"):
        sam_model_registry["vit_b"](checkpoint=str(path))
    monkeypatch.setattr(compat, "VARIANTS", MappingProxyType({"sam_vit_b": toy_config}))
    loaded = sam_model_registry["vit_b"](checkpoint=str(path))
    assert isinstance(loaded, Sam) and not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())  # scripts train it further
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, sam.state_dict()[name])
    untrained = sam_model_registry["vit_b"]()
    assert untrained.state_dict().keys() == sam.state_dict().keys()
    assert untrained.load_state_dict(torch.load(path)).missing_keys == []


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.pth"):
        sam_model_registry["vit_b"](checkpoint=tmp_path / "nothing.pth")


def test_names_of_the_state_are_the_original_ones() -> None:
    from segma.models.sam.model import Sam as Plain

    with torch.device("meta"):
        ours, plain = Sam(VARIANTS["sam_vit_b"]), Plain(VARIANTS["sam_vit_b"])
    assert shapes_of(ours) == shapes_of(plain)
    assert list(ours.state_dict()) == list(plain.state_dict())


def test_attributes_that_scripts_read(sam: Sam, predictor: SamPredictor) -> None:
    assert sam.to(device="cpu") is sam and sam.device == predictor.device == torch.device("cpu")
    assert (sam.mask_threshold, sam.image_format) == (0.0, "RGB")
    assert getattr(sam.image_encoder, "img_size") == 64  # noqa: B009 - not known to type checkers
    assert sam.pixel_mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    assert sam.pixel_std.shape == (3, 1, 1)
    encoder = sam.prompt_encoder
    assert (encoder.embed_dim, encoder.image_embedding_size) == (32, (4, 4))
    assert (encoder.input_image_size, encoder.mask_input_size) == ((64, 64), (16, 16))
    assert encoder.get_dense_pe().shape == (1, 32, 4, 4)
    assert sam.mask_decoder.num_mask_tokens == 4
    assert predictor.model is sam and predictor.is_image_set
    assert (predictor.original_size, predictor.input_size) == ((48, 80), (38, 64))
    assert predictor.get_image_embedding() is predictor.features
    assert getattr(copy.deepcopy(sam).image_encoder, "img_size") == 64  # noqa: B009 - as above


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize(
    "asked",
    [
        CLICK,
        {"point_coords": np.array([[40.0, 20.0], [1, 1]]), "point_labels": np.array([1, 0])},
        {"point_coords": np.array([[1, 1]]), "point_labels": np.array([0])},
        {"point_coords": np.array([[-50, 900]]), "point_labels": np.array([1])},
        {"box": np.array([5, 5, 30, 40])},
        {"box": np.array([[5.5, 5, 30, 40]]), **CLICK},
        {"mask_input": np.ones((1, 16, 16), np.float32)},
        {"mask_input": np.ones((1, 16, 16), np.float32), **CLICK},
        {},
    ],
)
def test_predict_gives_the_original_types(
    predictor: SamPredictor, asked: dict[str, Any], multimask_output: bool
) -> None:
    masks, scores, low_res = predictor.predict(**asked, multimask_output=multimask_output)
    count = 3 if multimask_output else 1
    assert masks.shape == (count, 48, 80) and masks.dtype == bool
    assert scores.shape == (count,) and scores.dtype == np.float32
    assert low_res.shape == (count, 16, 16) and low_res.dtype == np.float32
    logits, *_ = predictor.predict(**asked, multimask_output=multimask_output, return_logits=True)
    assert logits.shape == masks.shape and logits.dtype == np.float32
    np.testing.assert_array_equal(logits > 0, masks)


def test_the_way_of_the_example_from_click_to_refined_mask(predictor: SamPredictor) -> None:
    _, scores, logits = predictor.predict(**CLICK, multimask_output=True)
    mask_input = logits[np.argmax(scores), :, :]
    first, *_ = predictor.predict(**CLICK, multimask_output=False)
    refined, *_ = predictor.predict(**CLICK, mask_input=mask_input[None, :, :], multimask_output=False)
    assert refined.shape == (1, 48, 80)
    assert (refined != first).any()


def test_it_answers_as_a_session_of_ours(sam: Sam, predictor: SamPredictor, picture: ndarray) -> None:
    session = ImageSession(sam, picture, Runtime(device="cpu", precision="fp32"))
    three = session.segment(points=[(40, 20)], candidates=3)
    masks, scores, low_res = predictor.predict(**CLICK)
    order = np.argsort(-scores)
    np.testing.assert_allclose(three.predicted_iou, scores[order], atol=1e-6)
    for record, number in zip(three, order, strict=True):
        assert record.low_res_logits is not None
        np.testing.assert_allclose(record.low_res_logits, low_res[number], atol=1e-5)
        assert (record.mask != masks[number]).sum() <= 2


def test_batches_of_tensors(predictor: SamPredictor) -> None:
    coords = torch.tensor([[[10, 10]], [[30, 20]], [[60, 30]], [[5, 30]], [[33, 33]]])
    labels = torch.ones(5, 1)
    masks, scores, low_res = predictor.predict_torch(coords, labels)
    assert masks.shape == (5, 3, 48, 80) and masks.dtype == torch.bool
    assert scores.shape == (5, 3) and low_res.shape == (5, 3, 16, 16)
    for index in range(5):
        one = predictor.predict_torch(coords[index : index + 1], labels[index : index + 1])
        torch.testing.assert_close(one[2][0], low_res[index], atol=2e-5, rtol=1e-4)
    mask = torch.ones(1, 1, 16, 16)
    shared_mask = predictor.predict_torch(coords, labels, mask_input=mask)[2]
    copies = predictor.predict_torch(coords, labels, mask_input=mask.repeat(5, 1, 1, 1))[2]
    torch.testing.assert_close(shared_mask, copies)


def test_ragged_points_may_be_padded_by_the_caller(predictor: SamPredictor) -> None:
    coords = torch.tensor([[[10.0, 10.0], [0.0, 0.0]], [[30.0, 20.0], [31.0, 3.0]]])
    labels = torch.tensor([[1, -1], [1, 0]])
    assert predictor.predict_torch(coords, labels)[0].shape == (2, 3, 48, 80)


def test_without_a_picture_it_raises_as_the_original(sam: Sam, predictor: SamPredictor) -> None:
    predictor.reset_image()
    for fresh in (predictor, SamPredictor(sam)):
        assert not fresh.is_image_set and fresh.features is None
        for call in (fresh.predict, fresh.get_image_embedding, lambda p=fresh: p.predict_torch(None, None)):
            with pytest.raises(RuntimeError, match="set_image"):
                call()


def test_another_picture_gives_another_answer(predictor: SamPredictor, picture: ndarray) -> None:
    _, _, first = predictor.predict(**CLICK)
    predictor.set_image(255 - picture)
    _, _, second = predictor.predict(**CLICK)
    assert np.abs(first - second).max() > 1e-3
    predictor.set_image(picture)
    np.testing.assert_array_equal(predictor.predict(**CLICK)[2], first)


def test_a_saved_embedding_may_be_put_back(sam: Sam, predictor: SamPredictor) -> None:
    expected = predictor.predict(**CLICK)
    other = SamPredictor(sam)
    other.features = predictor.get_image_embedding().clone()
    other.original_size, other.input_size = predictor.original_size, predictor.input_size
    other.is_image_set = True
    for ours, theirs in zip(other.predict(**CLICK), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_may_change_between_two_questions(sam: Sam, predictor: SamPredictor) -> None:
    _, _, before = predictor.predict(**CLICK)
    sam.get_parameter("mask_decoder.transformer.layers.0.cross_attn_token_to_image.v_proj.weight").data *= 3
    _, _, after = predictor.predict(**CLICK)
    fresh = SamPredictor(sam)
    fresh.features, fresh.is_image_set = predictor.features, True
    fresh.original_size, fresh.input_size = predictor.original_size, predictor.input_size
    np.testing.assert_array_equal(fresh.predict(**CLICK)[2], after)
    assert np.abs(after - before).max() > 1e-3


def test_blue_first_pictures_are_turned(predictor: SamPredictor, picture: ndarray) -> None:
    expected = predictor.get_image_embedding()
    predictor.set_image(picture[..., ::-1], image_format="BGR")
    assert torch.equal(predictor.get_image_embedding(), expected)
    predictor.model.image_format = "BGR"
    predictor.set_image(picture[..., ::-1], image_format="BGR")
    assert not torch.equal(predictor.get_image_embedding(), expected)
    predictor.set_image(picture[..., ::-1])  # RGB by default, to a network that wants BGR
    assert torch.equal(predictor.get_image_embedding(), expected)


def test_resized_tensors_are_taken(predictor: SamPredictor, picture: ndarray) -> None:
    expected = predictor.get_image_embedding()
    resized = predictor.transform.apply_image(picture)
    predictor.set_torch_image(torch.as_tensor(resized).permute(2, 0, 1)[None], picture.shape[:2])
    assert torch.equal(predictor.get_image_embedding(), expected)
    for wrong in (torch.zeros(1, 3, 40, 40), torch.zeros(1, 4, 64, 64), torch.zeros(2, 3, 64, 64)):
        with pytest.raises((InputError, TypeError)):
            predictor.set_torch_image(wrong, (40, 40))


def test_mistakes_are_told(predictor: SamPredictor, picture: ndarray) -> None:
    with pytest.raises(PromptError, match="no labels"):
        predictor.predict(point_coords=np.array([[1, 2]]))
    with pytest.raises(InputError, match="HSV"):
        predictor.set_image(picture, image_format="HSV")


def test_read_only_arrays_are_no_trouble(predictor: SamPredictor) -> None:
    asked = {
        "point_coords": np.array([[40, 20]]),
        "point_labels": np.array([1]),
        "box": np.array([1, 2, 30, 40]),
        "mask_input": np.zeros((1, 16, 16), np.float32),
    }
    for array in asked.values():
        array.setflags(write=False)
    assert predictor.predict(**asked)[0].shape == (3, 48, 80)


def test_autocast_gives_float32_where_the_original_raises(predictor: SamPredictor, picture: ndarray) -> None:
    exact = predictor.predict(**CLICK)
    with torch.autocast("cpu", torch.bfloat16):
        predictor.set_image(picture)
        for asked in (CLICK, {**CLICK, "mask_input": np.ones((1, 16, 16), np.float32)}):
            masks, scores, low_res = predictor.predict(**asked, return_logits=True)
            assert masks.dtype == scores.dtype == low_res.dtype == np.float32
        _, _, low_res = predictor.predict(**CLICK)
    assert (low_res - exact[2]).std() < 0.1 * exact[2].std()


def test_forward_answers_several_pictures_with_their_own_prompts(sam: Sam, picture: ndarray) -> None:
    resize = ResizeLongestSide(64)
    turned = np.ascontiguousarray(picture.transpose(1, 0, 2))
    pictures: list[dict[str, Any]] = []
    for image in (picture, turned):
        pixels = torch.as_tensor(resize.apply_image(image)).permute(2, 0, 1).contiguous()
        pictures.append({"image": pixels, "original_size": image.shape[:2]})
    pictures[0]["boxes"] = resize.apply_boxes_torch(torch.tensor([[1, 2, 30, 40], [5, 5, 70, 40]]), (48, 80))
    pictures[1]["point_coords"] = torch.tensor([[[20.0, 20.0]]])
    pictures[1]["point_labels"] = torch.ones(1, 1)
    pictures[1]["mask_inputs"] = torch.zeros(1, 1, 16, 16)
    first, second = sam(pictures, multimask_output=True)
    assert first["masks"].shape == (2, 3, 48, 80) and first["masks"].dtype == torch.bool
    assert second["masks"].shape == (1, 3, 80, 48)
    assert first["iou_predictions"].shape == (2, 3) and first["low_res_logits"].shape == (2, 3, 16, 16)
    predictor = SamPredictor(sam)
    predictor.set_image(turned)
    _, scores, low_res = predictor.predict_torch(
        pictures[1]["point_coords"], pictures[1]["point_labels"], mask_input=pictures[1]["mask_inputs"]
    )
    torch.testing.assert_close(second["low_res_logits"], low_res, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(second["iou_predictions"], scores, atol=1e-5, rtol=1e-4)
    (single,) = sam(pictures[:1], multimask_output=False)
    assert single["masks"].shape == (2, 1, 48, 80)


def test_the_parts_can_be_trained_as_scripts_do(sam: Sam, predictor: SamPredictor) -> None:
    boxes = torch.tensor([[1.0, 2.0, 30.0, 40.0], [5.0, 5.0, 60.0, 30.0]])
    with torch.no_grad():
        sparse, dense = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
    assert sparse.shape == (2, 2, 32) and dense.shape == (2, 32, 4, 4)
    low_res, scores = sam.mask_decoder(
        image_embeddings=predictor.get_image_embedding(),
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    masks = sam.postprocess_masks(low_res, predictor.input_size, predictor.original_size)
    assert masks.shape == (2, 1, 48, 80) and scores.shape == (2, 1)
    before = low_res.detach().clone()
    optimizer = torch.optim.SGD(sam.mask_decoder.parameters(), lr=0.1)
    (masks.mean() + scores.mean()).backward()
    optimizer.step()
    after, _ = sam.mask_decoder(predictor.features, sam.prompt_encoder.get_dense_pe(), sparse, dense, False)
    assert (after - before).abs().max() > 0


def test_the_parts_give_what_predict_gives(sam: Sam, predictor: SamPredictor) -> None:
    points = torch.tensor([[[10.0, 10.0]], [[30.0, 20.0]]]), torch.ones(2, 1)
    for mask in (None, torch.randn(2, 1, 16, 16)):
        with torch.no_grad():
            sparse, dense = sam.prompt_encoder(points=points, boxes=None, masks=mask)
            low_res, scores = sam.mask_decoder(
                predictor.features, sam.prompt_encoder.get_dense_pe(), sparse, dense, True
            )
        expected = predictor.predict_torch(*points, mask_input=mask)
        torch.testing.assert_close(low_res, expected[2], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(scores, expected[1], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("masks", [None, torch.zeros(3, 1, 16, 16)])
def test_without_points_and_boxes_there_are_no_tokens(sam: Sam, masks: torch.Tensor | None) -> None:
    sparse, dense = sam.prompt_encoder(points=None, boxes=None, masks=masks)
    count = 1 if masks is None else 3
    assert sparse.shape == (count, 0, 32) and dense.shape == (count, 32, 4, 4)


def test_preprocess_normalises_and_pads(sam: Sam) -> None:
    mean = sam.pixel_mean.expand(3, 20, 64)
    assert sam.preprocess(mean).shape == (3, 64, 64) and sam.preprocess(mean).abs().max() < 1e-5
    batch = sam.preprocess((mean + sam.pixel_std)[None])
    assert batch.shape == (1, 3, 64, 64)
    assert (batch[..., :20, :] - 1).abs().max() < 1e-5 and (batch[..., 20:, :] == 0).all()
