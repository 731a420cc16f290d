"""Names and shapes of the official systems, recorded from them, against ours."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from segma.errors import ModelError
from segma.models.sam import layout
from segma.models.sam.config import VARIANTS, SamConfig, from_json_dict, to_json_dict
from segma.models.sam.model import Sam

Shapes = dict[str, tuple[int, ...]]
OFFICIAL = ("sam_vit_b", "sam_vit_l", "sam_vit_h")


def manifest(name: str) -> Shapes:
    with gzip.open(Path(__file__).with_name(f"{name}.json.gz"), "rt", encoding="utf-8") as file:
        return {key: tuple(shape) for key, shape in json.load(file).items()}


def shapes_of_ours(config: SamConfig) -> Shapes:
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in Sam(config).state_dict().items()}


@pytest.mark.parametrize(("name", "count"), [("sam_vit_b", 314), ("sam_vit_l", 482), ("sam_vit_h", 594)])
def test_every_name_and_shape_is_the_official_one(name: str, count: int) -> None:
    ours = shapes_of_ours(VARIANTS[name])
    assert ours == manifest(name)
    assert len(ours) == count


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_variant_is_found_from_the_shapes(name: str) -> None:
    assert layout.detect(manifest(name)) == VARIANTS[name]


def test_the_demo_is_found_from_its_shapes() -> None:
    assert layout.detect(shapes_of_ours(VARIANTS["sam_vit_demo"])) == VARIANTS["sam_vit_demo"]


def test_both_layouts_become_each_other_name_by_name() -> None:
    official, hub = manifest("sam_vit_b"), manifest("hf_sam_vit_b")
    assert layout.to_transformers(official) == hub
    assert layout.to_official(hub) == official
    assert len(hub) == 315
    assert layout.to_official(official) == official
    assert layout.to_transformers(hub) == hub


@pytest.mark.parametrize("name", OFFICIAL)
def test_there_and_back_is_the_same(name: str) -> None:
    official = manifest(name)
    assert layout.to_official(layout.to_transformers(official)) == official


def test_the_repeated_tensor_is_shared_and_may_come_once_or_twice() -> None:
    values = {name: torch.zeros(1) for name in manifest("sam_vit_b")}
    hub = layout.to_transformers(values)
    twin, first = (
        "shared_image_embedding.positional_embedding",
        "prompt_encoder.shared_embedding.positional_embedding",
    )
    assert hub[twin] is hub[first]
    for left_out in (twin, first):
        some = {name: value for name, value in hub.items() if name != left_out}
        back = layout.to_official(some)
        assert back.keys() == values.keys()
        assert all(back[name] is values[name] for name in values)


def test_layouts_are_told_apart_by_the_image_encoder() -> None:
    assert layout.layout_of(manifest("sam_vit_b")) == "official"
    assert layout.layout_of(manifest("hf_sam_vit_b")) == "transformers"
    assert layout.layout_of(["backbone.weight"]) is None


@pytest.mark.parametrize("wrap", ["model.", "module.", "sam.", "module.model.sam.", "_orig_mod."])
@pytest.mark.parametrize("source", ["sam_vit_b", "hf_sam_vit_b"])
def test_wrapping_is_stripped(wrap: str, source: str) -> None:
    names = manifest(source)
    assert layout.strip_wrapping({wrap + name: shape for name, shape in names.items()}) == names


def test_a_name_that_would_meet_another_keeps_its_wrapping() -> None:
    state = {"model.a": 1, "a": 2, "module.b": 3, "model.b": 4}
    assert layout.strip_wrapping(state) == {"model.a": 1, "a": 2, "b": 3, "model.b": 4}


def test_pixel_constants_are_ignored() -> None:
    names = manifest("sam_vit_b")
    extra: Shapes = {"pixel_mean": (3, 1, 1), **names, "pixel_std": (3, 1, 1)}
    assert layout.to_official(extra) == names


@pytest.mark.parametrize(("width", "mlp_dim"), [(384, 1536), (168, 696)])
def test_widths_of_relatives_are_read_from_the_file(width: int, mlp_dim: int) -> None:
    pruned = SamConfig(
        encoder_width=width,
        encoder_depth=12,
        encoder_heads=12,
        encoder_mlp_dim=mlp_dim,
        global_blocks=(2, 5, 8, 11),
    )
    assert layout.detect(shapes_of_ours(pruned)) == pruned


def test_every_size_that_shows_in_a_shape_is_read() -> None:
    odd = SamConfig(
        encoder_width=48,
        encoder_depth=3,
        encoder_heads=2,
        encoder_mlp_dim=80,
        global_blocks=(0, 2),
        window_size=5,
        patch_size=8,
        image_size=96,
        dim=64,
        decoder_depth=3,
        decoder_mlp_dim=96,
        mask_channels=8,
        iou_hidden_dim=40,
        num_multimask=2,
    )
    assert layout.detect(shapes_of_ours(odd)) == odd


@pytest.mark.parametrize(
    "left_out",
    ["image_encoder.pos_embed", "image_encoder.blocks.5.attn.qkv.weight", "mask_decoder.mask_tokens.weight"],
)
def test_what_is_incomplete_is_no_sam(left_out: str) -> None:
    names = manifest("sam_vit_b")
    del names[left_out]
    assert layout.detect(names) is None


def test_a_number_out_of_all_bounds_is_no_sam() -> None:
    names = manifest("sam_vit_b")
    names["image_encoder.blocks.999999999.attn.qkv.weight"] = (1, 1)
    assert layout.detect(names) is None
    assert layout.detect({"image_encoder.pos_embed": (3,)}) is None


def test_a_config_survives_json() -> None:
    for config in VARIANTS.values():
        assert from_json_dict(json.loads(json.dumps(to_json_dict(config)))) == config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 3}, "no field colour"),
        ({"encoder_width": "768"}, "encoder_width is '768'"),
        ({"encoder_width": 0}, "encoder_width is 0"),
        ({"encoder_depth": 10**9}, "encoder_depth is 1000000000"),
        ({"encoder_heads": 7}, "no multiple of encoder_heads 7"),
        ({"global_blocks": 3}, "global_blocks is not a list"),
        ({"global_blocks": [12]}, r"not all within 0\.\.11"),
        ({"global_blocks": [1, 1]}, "twice"),
        ({"dim": 12, "decoder_heads": 4}, "cannot be split"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        from_json_dict({**to_json_dict(VARIANTS["sam_vit_b"]), **change})
    assert caught.value.code == "model.unreadable"


def test_a_config_without_a_size_is_refused() -> None:
    values = to_json_dict(VARIANTS["sam_vit_b"])
    del values["encoder_depth"]
    with pytest.raises(ModelError, match="encoder_depth is not given"):
        from_json_dict(values)
