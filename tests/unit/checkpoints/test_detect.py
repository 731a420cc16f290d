"""Which system and variant a checkpoint is."""

from __future__ import annotations

import json

import pytest
import torch

from segma.checkpoints.detect import CONFIG_KEY, HUB_CONFIG_KEY, SYSTEM_KEY, detect, identify
from segma.checkpoints.match import shapes_of
from segma.errors import ModelError
from segma.models.sam import layout
from segma.models.sam.config import VARIANTS, SamConfig, to_json_dict
from segma.models.sam.model import Sam

Shapes = dict[str, tuple[int, ...]]


def shapes(config: SamConfig) -> Shapes:
    with torch.device("meta"):
        return shapes_of(Sam(config))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("wrap", ["", "module."])
def test_system_variant_and_layout_are_found(variant: str, wrap: str) -> None:
    official = shapes(VARIANTS[variant])
    for names, naming in ((official, "official"), (layout.to_transformers(official), "transformers")):
        found = detect({wrap + name: shape for name, shape in names.items()})
        assert (found.system, found.variant, found.layout) == ("sam", variant, naming)
        assert found.config == VARIANTS[variant]
        assert found.label == variant


def test_sizes_without_a_name_are_found_as_such(toy_config: SamConfig) -> None:
    found = detect(shapes(toy_config))
    assert found.variant is None
    assert found.config.encoder_width == 32
    assert found.label == "sam of unusual size"


def test_unknown_names_are_shown() -> None:
    with pytest.raises(ModelError) as caught:
        detect({f"layer{index}.weight": (1,) for index in range(9)})
    assert str(caught.value) == (
        "Its tensors (9) belong to no model that segma knows: "
        "layer0.weight, layer1.weight, layer2.weight, ... See: segma model list"
    )


def test_metadata_says_what_shapes_cannot(toy_config: SamConfig) -> None:
    names = shapes(toy_config)
    ours = {SYSTEM_KEY: "sam", CONFIG_KEY: json.dumps(to_json_dict(toy_config))}
    hub = {HUB_CONFIG_KEY: json.dumps(layout.transformers_config(toy_config))}
    assert identify(names, {}).config.decoder_heads == 8
    assert identify(names, ours).config == toy_config
    assert identify(layout.to_transformers(names), hub).config == toy_config
    assert identify(names, {HUB_CONFIG_KEY: "{}"}).config.decoder_heads == 8


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({SYSTEM_KEY: "sam", CONFIG_KEY: "{"}, "model.unreadable"),
        ({SYSTEM_KEY: "sam", CONFIG_KEY: "3"}, "model.unreadable"),
        ({SYSTEM_KEY: "sam", CONFIG_KEY: "{}"}, "model.unreadable"),
        ({SYSTEM_KEY: "other", CONFIG_KEY: "{}"}, "model.unknown"),
        ({HUB_CONFIG_KEY: '{"mask_decoder_config": {"num_attention_heads": "many"}}'}, "model.unreadable"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(
    metadata: dict[str, str], code: str, toy_config: SamConfig
) -> None:
    with pytest.raises(ModelError) as caught:
        identify(shapes(toy_config), metadata)
    assert caught.value.code == code


def test_metadata_alone_makes_no_model(toy_config: SamConfig) -> None:
    with pytest.raises(ModelError, match="belong to no model"):
        identify({"a": (1,)}, {SYSTEM_KEY: "sam", CONFIG_KEY: json.dumps(to_json_dict(toy_config))})
