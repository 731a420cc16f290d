"""The names, arguments and builders of the original package; the tables are those of version 1.1.0."""

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

import pytest
import torch

from segma.checkpoints.match import shapes_of
from segma.compat import sam2 as compat
from segma.compat.sam2 import (
    SAM2AutomaticMaskGenerator,
    SAM2Base,
    SAM2ImagePredictor,
    SAM2VideoPredictor,
    build_sam2,
    build_sam2_hf,
    build_sam2_video_predictor,
    build_sam2_video_predictor_hf,
)
from segma.compat.sam2_settings import Sam2Settings, settings_of, variant_of
from segma.errors import InputError, MisfitError, ModelError
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
