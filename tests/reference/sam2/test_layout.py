"""Names and shapes of the official networks, recorded from them, against ours."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segma.models.sam2 import layout
from segma.models.sam2.config import VARIANTS, Sam2Config
from segma.models.sam2.model import Sam2

Shapes = dict[str, tuple[int, ...]]
COUNTS = {
    "sam2.1_hiera_tiny": 471,
    "sam2.1_hiera_small": 519,
    "sam2.1_hiera_base_plus": 615,
    "sam2.1_hiera_large": 903,
    "sam2_hiera_tiny": 468,
    "sam2_hiera_small": 516,
    "sam2_hiera_base_plus": 612,
    "sam2_hiera_large": 900,
}
HUB = "hf_sam2.1_hiera_tiny"


def manifest(name: str) -> Shapes:
    with gzip.open(Path(__file__).with_name(f"{name}.json.gz"), "rt", encoding="utf-8") as file:
        return {key: tuple(shape) for key, shape in json.load(file).items()}


def shapes_of_ours(config: Sam2Config) -> Shapes:
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in Sam2(config).state_dict().items()}


def test_every_official_variant_has_a_manifest() -> None:
    assert COUNTS.keys() == {name for name in VARIANTS if "_hiera_" in name}


@pytest.mark.parametrize("name", COUNTS)
def test_every_name_and_shape_is_the_official_one(name: str) -> None:
    ours = shapes_of_ours(VARIANTS[name])
    assert ours == manifest(name)
    assert len(ours) == COUNTS[name]


@pytest.mark.parametrize("name", COUNTS)
def test_the_variant_is_found_from_the_shapes(name: str) -> None:
    assert layout.detect(manifest(name)) == VARIANTS[name]


def test_both_layouts_become_each_other_name_by_name() -> None:
    official, hub = manifest("sam2.1_hiera_tiny"), manifest(HUB)
    assert layout.to_transformers(official) == hub
    assert layout.to_official(hub) == official
    assert len(hub) == 469
    assert layout.to_official(official) == official
    assert layout.to_transformers(hub) == hub


@pytest.mark.parametrize("name", COUNTS)
def test_there_and_back_is_the_same(name: str) -> None:
    official = manifest(name)
    assert layout.to_official(layout.to_transformers(official)) == official


def test_tensors_there_and_back_are_the_same() -> None:
    values = {
        name: torch.randn(shape) for name, shape in manifest("sam2.1_hiera_tiny").items() if shape[0] < 64
    }
    values["image_encoder.trunk.pos_embed"] = torch.randn(1, 2, 3, 3)
    back = layout.to_official(layout.to_transformers(values))
    assert back.keys() == values.keys()
    assert all(torch.equal(back[name], values[name]) for name in values)


def test_the_position_matrix_may_come_once_or_twice() -> None:
    hub = manifest(HUB)
    for left_out in (
        "shared_image_embedding.positional_embedding",
        "prompt_encoder.shared_embedding.positional_embedding",
    ):
        some = {name: shape for name, shape in hub.items() if name != left_out}
        assert layout.to_official(some) == manifest("sam2.1_hiera_tiny")


def test_layouts_are_told_apart_by_the_trunk() -> None:
    assert layout.layout_of(manifest("sam2_hiera_tiny")) == "official"
    assert layout.layout_of(manifest(HUB)) == "transformers"
    assert layout.layout_of(["image_encoder.blocks.0.norm1.weight"]) is None


@pytest.mark.parametrize("wrap", ["model.", "module.", "module.model.", "_orig_mod."])
@pytest.mark.parametrize("source", ["sam2_hiera_tiny", HUB])
def test_wrapping_is_stripped(wrap: str, source: str) -> None:
    names = manifest(source)
    assert layout.strip_wrapping({wrap + name: shape for name, shape in names.items()}) == names


def test_every_size_that_shows_in_a_shape_is_read(sam2_toy_config: Sam2Config) -> None:
    odd = replace(
        sam2_toy_config,
        stage_depths=(2, 1, 3, 1),
        stage_widths=(16, 24, 40, 64),
        stage_mlp_dims=(40, 24, 80, 96),
        stage_heads=(1, 2, 4, 8),
        windows=(4, 2, 14, 7),
        global_blocks=(3, 4, 5),
        position_side=5,
        window_position_side=4,
        image_size=1024,
        dim=64,
        memory_dim=16,
        memory_layers=3,
        memory_mlp_dim=48,
        fuser_layers=3,
        fuser_dim=72,
        decoder_depth=3,
        decoder_heads=8,
        decoder_mlp_dim=96,
        mask_channels=8,
        iou_hidden_dim=40,
        num_multimask=2,
        num_recent=3,
        absent_memory=False,
        attends_others=True,
    )
    assert layout.detect(shapes_of_ours(odd)) == odd


def test_what_no_shape_shows_is_in_the_config_json(sam2_toy_config: Sam2Config) -> None:
    seen = layout.detect(shapes_of_ours(sam2_toy_config))
    assert seen is not None and seen != sam2_toy_config
    values = json.loads(json.dumps(layout.transformers_config(sam2_toy_config)))
    assert layout.with_transformers_config(seen, values) == sam2_toy_config
    assert layout.with_transformers_config(seen, {}) == seen
    assert layout.with_transformers_config(seen, {"vision_config": 3}) == seen


@pytest.mark.parametrize(
    "left_out",
    [
        "maskmem_tpos_enc",
        "image_encoder.trunk.pos_embed",
        "image_encoder.trunk.blocks.5.norm1.weight",
        "image_encoder.trunk.blocks.3.proj.weight",
        "sam_mask_decoder.mask_tokens.weight",
    ],
)
def test_what_is_incomplete_is_no_sam_2(left_out: str) -> None:
    names = manifest("sam2.1_hiera_tiny")
    del names[left_out]
    assert layout.detect(names) is None


def test_a_number_out_of_all_bounds_is_no_sam_2() -> None:
    names = manifest("sam2.1_hiera_tiny")
    names["image_encoder.trunk.blocks.999999999.norm1.weight"] = (1,)
    assert layout.detect(names) is None
    assert layout.detect({"image_encoder.trunk.pos_embed": (3,)}) is None
