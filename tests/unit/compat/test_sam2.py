"""What scripts for the original package do with pictures, on a network of toy size: types, shapes, errors.

The numbers are compared in tests/reference/sam2. The tables of signatures are those of version 1.1.0.
"""

from __future__ import annotations

import inspect
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image

from segma.checkpoints.match import shapes_of
from segma.compat import sam2 as compat
from segma.compat.sam2 import (
    SAM2AutomaticMaskGenerator,
    SAM2Base,
    SAM2ImagePredictor,
    SAM2Transforms,
    SAM2VideoPredictor,
    build_sam2,
    build_sam2_hf,
    build_sam2_video_predictor,
    build_sam2_video_predictor_hf,
)
from segma.compat.sam2_settings import Sam2Settings, settings_of, variant_of
from segma.errors import InputError, MisfitError, ModelError, PromptError
from segma.models.interfaces import DynamicChoice
from segma.models.sam2.config import VARIANTS, Sam2Config, to_json_dict

NEEDED = inspect.Parameter.empty
BUILD = {
    "config_file": NEEDED, "ckpt_path": None, "device": "cuda", "mode": "eval", "hydra_overrides_extra": [],
    "apply_postprocessing": True,
}  # fmt: skip
ASK = {"multimask_output": True, "return_logits": False, "normalize_coords": True}
CLEANING = {"mask_threshold": 0.0, "max_hole_area": 0.0, "max_sprinkle_area": 0.0}
SIGNATURES: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (build_sam2, BUILD),
    (build_sam2_video_predictor, {**BUILD, "vos_optimized": False}),
    (build_sam2_hf, {"model_id": NEEDED}),
    (build_sam2_video_predictor_hf, {"model_id": NEEDED}),
    (SAM2ImagePredictor, {"sam_model": NEEDED, **CLEANING}),
    (SAM2ImagePredictor.from_pretrained, {"model_id": NEEDED}),
    (SAM2ImagePredictor.set_image, {"image": NEEDED}),
    (SAM2ImagePredictor.set_image_batch, {"image_list": NEEDED}),
    (
        SAM2ImagePredictor.predict,
        {"point_coords": None, "point_labels": None, "box": None, "mask_input": None, **ASK},
    ),
    (
        SAM2ImagePredictor.predict_batch,
        {
            "point_coords_batch": None, "point_labels_batch": None, "box_batch": None,
            "mask_input_batch": None, **ASK,
        },
    ),
    (SAM2ImagePredictor.get_image_embedding, {}),
    (SAM2ImagePredictor.reset_predictor, {}),
    (
        SAM2AutomaticMaskGenerator,
        {
            "model": NEEDED, "points_per_side": 32, "points_per_batch": 64, "pred_iou_thresh": 0.8,
            "stability_score_thresh": 0.95, "stability_score_offset": 1.0, "mask_threshold": 0.0,
            "box_nms_thresh": 0.7, "crop_n_layers": 0, "crop_nms_thresh": 0.7,
            "crop_overlap_ratio": 512 / 1500, "crop_n_points_downscale_factor": 1, "point_grids": None,
            "min_mask_region_area": 0, "output_mode": "binary_mask", "use_m2m": False,
            "multimask_output": True,
        },
    ),
    (SAM2AutomaticMaskGenerator.from_pretrained, {"model_id": NEEDED}),
    (SAM2AutomaticMaskGenerator.generate, {"image": NEEDED}),
    (SAM2VideoPredictor.from_pretrained, {"model_id": NEEDED}),
    (
        SAM2VideoPredictor.init_state,
        {
            "video_path": NEEDED, "offload_video_to_cpu": False, "offload_state_to_cpu": False,
            "async_loading_frames": False,
        },
    ),
    (
        SAM2VideoPredictor.add_new_points_or_box,
        {
            "inference_state": NEEDED, "frame_idx": NEEDED, "obj_id": NEEDED, "points": None, "labels": None,
            "clear_old_points": True, "normalize_coords": True, "box": None,
        },
    ),
    (
        SAM2VideoPredictor.add_new_mask,
        {"inference_state": NEEDED, "frame_idx": NEEDED, "obj_id": NEEDED, "mask": NEEDED},
    ),
    (SAM2VideoPredictor.propagate_in_video_preflight, {"inference_state": NEEDED}),
    (
        SAM2VideoPredictor.propagate_in_video,
        {
            "inference_state": NEEDED, "start_frame_idx": None, "max_frame_num_to_track": None,
            "reverse": False,
        },
    ),
    (
        SAM2VideoPredictor.clear_all_prompts_in_frame,
        {"inference_state": NEEDED, "frame_idx": NEEDED, "obj_id": NEEDED, "need_output": True},
    ),
    (
        SAM2VideoPredictor.remove_object,
        {"inference_state": NEEDED, "obj_id": NEEDED, "strict": False, "need_output": True},
    ),
    (SAM2VideoPredictor.reset_state, {"inference_state": NEEDED}),
]  # fmt: skip
CLICK: dict[str, Any] = {"point_coords": np.array([[40, 20]]), "point_labels": np.array([1])}


@pytest.fixture
def predictor(sam2: SAM2Base, picture: ndarray) -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(sam2)
    predictor.set_image(picture)
    return predictor


@pytest.fixture
def toy_variants(monkeypatch: pytest.MonkeyPatch, sam2_toy_config: Sam2Config) -> None:
    """Every official name builds the toy."""
    monkeypatch.setattr(compat, "VARIANTS", MappingProxyType(dict.fromkeys(VARIANTS, sam2_toy_config)))


@pytest.mark.parametrize(
    ("function", "expected"), SIGNATURES, ids=lambda value: getattr(value, "__qualname__", "")
)
def test_arguments_and_defaults_are_the_original_ones(
    function: Callable[..., Any], expected: dict[str, Any]
) -> None:
    parameters = inspect.signature(function).parameters.values()
    ours = {p.name: p.default for p in parameters if p.name != "self" and p.kind != p.VAR_KEYWORD}
    ours = {name: list(value) if value == () else value for name, value in ours.items()}
    assert list(ours.items()) == list(expected.items())


def test_every_name_can_be_imported() -> None:
    assert all(hasattr(compat, name) for name in compat.__all__)


# building


def test_configs_of_the_original_name_our_variants() -> None:
    assert variant_of("configs/sam2.1/sam2.1_hiera_t.yaml") == "sam2.1_hiera_tiny"
    assert variant_of("/home/me/sam2/configs/sam2/sam2_hiera_b+.yaml") == "sam2_hiera_base_plus"
    assert variant_of("sam2_hiera_l.yaml") == variant_of("sam2_hiera_l") == "sam2_hiera_large"
    assert variant_of("configs\\sam2.1\\sam2.1_hiera_s.yaml") == "sam2.1_hiera_small"
    for wrong in ("sam2.1_hiera_b+_MOSE_finetune.yaml", "", "sam2.1_hiera_x.yaml"):
        with pytest.raises(InputError, match=r"Configs: sam2\.1_hiera_t\.yaml"):
            variant_of(wrong)


def test_overrides_are_honoured_or_refused_by_name() -> None:
    assert settings_of((), apply_postprocessing=False) == Sam2Settings()
    assert Sam2Settings().dynamic_choice is None and Sam2Settings().add_all_frames_to_correct_as_cond
    usual = settings_of((), apply_postprocessing=True)
    assert usual.dynamic_choice == DynamicChoice() and usual.fill_hole_area == 8
    assert usual.binarize_mask_from_pts_for_mem_enc and not usual.non_overlap_masks
    lines = [
        "++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictorVOS",
        "++model.non_overlap_masks=true",
        "model.fill_hole_area=0",
        "+model.add_all_frames_to_correct_as_cond=False",
        "++model.memory_temporal_stride_for_eval=3",
        "++model.max_cond_frames_in_attn=4",
        "++model.clear_non_cond_mem_around_input=1",
        "++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_delta=0.1",
        "++model.sigmoid_scale_for_mem_enc=20.0",
    ]
    found = settings_of(lines, apply_postprocessing=True)
    assert found.non_overlap_masks and found.fill_hole_area == 0
    assert not found.add_all_frames_to_correct_as_cond and found.clear_non_cond_mem_around_input
    assert (found.memory_temporal_stride_for_eval, found.max_cond_frames_in_attn) == (3, 4)
    assert found.dynamic_choice == DynamicChoice(offset=0.1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("++model.memory_attention.num_layers=2", r"memory_attention\.num_layers"),
        ("++model.non_overlap_masks_for_mem_enc=true", "always False"),
        ("++model.fill_hole_area=many", "no number"),
        ("++model.fill_hole_area=0.5", "whole number"),
        ("++model.non_overlap_masks=3", "true or false"),
        ("trainer.lr=1", "no override of a model"),
    ],
)
def test_overrides_without_a_meaning_here(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings_of([line], apply_postprocessing=True)


def test_a_network_is_built_and_loaded_strictly(
    sam2_state: dict[str, Any],
    tmp_path: Path,
    toy_variants: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": sam2_state}, path)
    loaded = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", str(path), device="cpu")
    assert type(loaded) is SAM2Base and not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())  # scripts train it further
    assert all(torch.equal(value, sam2_state[name]) for name, value in loaded.state_dict().items())
    plain = build_sam2("sam2_hiera_t.yaml", device=torch.device("cpu"), mode="train", unknown=1)
    assert plain.training and shapes_of(plain) == shapes_of(loaded)
    assert build_sam2("sam2_hiera_t.yaml", None, "cpu", apply_postprocessing=False).dynamic_choice is None
    with caplog.at_level(logging.WARNING), monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        assert build_sam2("sam2_hiera_t.yaml").device == torch.device("cpu")
    assert "no cuda" in caplog.text
    with pytest.raises(ModelError, match="No device"):
        build_sam2("sam2_hiera_t.yaml", device="tpu:9")
    torch.save({"model": {"no_mem_embed": torch.zeros(1, 1, 32)}}, path)
    with pytest.raises(ModelError):
        build_sam2("sam2.1_hiera_t.yaml", path, device="cpu")
    with pytest.raises(InputError, match=r"nothing\.pt"):
        build_sam2("sam2.1_hiera_t.yaml", tmp_path / "nothing.pt", device="cpu")


def test_a_checkpoint_of_another_size_is_named(sam2_state: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save({"model": sam2_state}, path)
    with pytest.raises(MisfitError, match="mine"):
        build_sam2("sam2.1_hiera_t.yaml", path, device="cpu")


def test_the_video_predictor_is_its_network(
    sam2_state: dict[str, Any], tmp_path: Path, toy_variants: None
) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"model": sam2_state}, path)
    lines = ["++model.non_overlap_masks=true", "++model.image_size=256"]
    made = build_sam2_video_predictor("sam2.1_hiera_t.yaml", path, "cpu", hydra_overrides_extra=lines)
    assert isinstance(made, SAM2VideoPredictor) and isinstance(made, torch.nn.Module)
    assert made.non_overlap_masks and made.fill_hole_area == 8 and made.image_size == 256
    assert made.state_dict().keys() == sam2_state.keys() and made.to("cpu") is made
    plain = build_sam2_video_predictor("sam2.1_hiera_t.yaml", None, "cpu", apply_postprocessing=False)
    assert plain.fill_hole_area == 0 and not plain.binarize_mask_from_pts_for_mem_enc
    assert plain.add_all_frames_to_correct_as_cond  # the fault of the original that is cured


def test_official_repositories_are_fetched(
    sam2_state: dict[str, Any], tmp_path: Path, toy_variants: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    path = tmp_path / "weights.pt"
    torch.save({"model": sam2_state}, path)
    monkeypatch.setattr(compat, "fetch", lambda name: asked.append(name) or path)
    assert type(build_sam2_hf("facebook/sam2.1-hiera-tiny", device="cpu")) is SAM2Base
    predictor = SAM2ImagePredictor.from_pretrained(
        "facebook/sam2-hiera-base-plus", device="cpu", mask_threshold=1.0
    )
    assert predictor.mask_threshold == 1.0
    video = SAM2VideoPredictor.from_pretrained("facebook/sam2.1-hiera-large", device="cpu")
    assert isinstance(video, SAM2VideoPredictor)
    assert isinstance(build_sam2_video_predictor_hf("facebook/sam2-hiera-small", device="cpu"), SAM2Base)
    generator = SAM2AutomaticMaskGenerator.from_pretrained(
        "facebook/sam2.1-hiera-small", device="cpu", points_per_side=2
    )
    assert generator.config.points_per_side == 2
    assert asked[:3] == ["sam2.1_hiera_tiny", "sam2_hiera_base_plus", "sam2.1_hiera_large"]
    with pytest.raises(ModelError, match=r"facebook/sam2\.1-hiera-tiny"):
        build_sam2_hf("me/my-sam2")


COMPILED = """
import json, sys
from types import MappingProxyType
import numpy as np
from segma.compat import sam2 as compat
from segma.models.sam2.config import VARIANTS, from_json_dict

toy = from_json_dict(json.loads(sys.argv[1]))
compat.VARIANTS = MappingProxyType(dict.fromkeys(VARIANTS, toy))
compiled = compat.build_sam2_video_predictor("sam2.1_hiera_t.yaml", None, "cpu", vos_optimized=True)
plain = compat.build_sam2_video_predictor("sam2.1_hiera_t.yaml", None, "cpu")
plain.load_state_dict(compiled.state_dict())
answers = []
for network in (compiled, plain):
    predictor = compat.SAM2ImagePredictor(network)
    predictor.set_image(np.arange(48 * 80 * 3, dtype=np.uint8).reshape(48, 80, 3))
    answers.append(predictor.predict(np.array([[40, 20]]), np.array([1]))[2])
np.testing.assert_allclose(*answers, atol=1e-3)
assert compiled.image_encoder._compiled_call_impl is not None
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_encoder_can_be_compiled(sam2_toy_config: Sam2Config) -> None:
    # in a process of its own, since compiling does not go with the type checker of the tests
    command = [sys.executable, "-c", COMPILED, json.dumps(to_json_dict(sam2_toy_config))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# pictures


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


# everything mode

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
def test_each_mask_may_be_asked_for_again(
    sam2: SAM2Base, picture: ndarray, predictor: SAM2ImagePredictor, multimask: bool
) -> None:
    grid = [np.array([[0.5, 20 / 48]])]
    options = {**LOOSE, "points_per_side": None, "point_grids": grid, "multimask_output": multimask}
    count = 3 if multimask else 1
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
