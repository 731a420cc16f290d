"""The official names and shapes, whole files of them, are known for what they are and fill our networks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from segma.checkpoints.detect import build, detect, layout_module
from segma.checkpoints.match import compare, shapes_of
from segma.models.catalog import MODELS, find_system
from segma.models.omnitokenizer.gpt_layout import TOKENIZER_PREFIX

Shapes = dict[str, tuple[int, ...]]
FILES = {
    "vqgan": ("omnitokenizer", "omnitokenizer_vq", 402),
    "vae": ("omnitokenizer", "omnitokenizer_kl", 402),
    "lm_imagenet": ("omnitokenizer_gpt", "omnitokenizer_gpt_imagenet", 815),
    "lm_ucf": ("omnitokenizer_gpt", "omnitokenizer_gpt_ucf", 815),
}


def official(name: str) -> Shapes:
    with gzip.open(Path(__file__).with_name(f"omnitokenizer_{name}.json.gz"), "rt", encoding="utf-8") as file:
        return {key: tuple(shape) for key, shape in json.load(file).items()}


@pytest.mark.parametrize("name", FILES)
def test_a_released_file_is_known_and_every_tensor_that_is_read_fits(name: str) -> None:
    system, variant, count = FILES[name]
    shapes = official(name)
    found = detect(shapes)
    assert (found.system, found.variant, len(shapes)) == (system, variant, count)
    layout = layout_module(find_system(system))
    with torch.device("meta"):
        module = build(find_system(system), found.config)
    kept = layout.to_official(layout.strip_wrapping(shapes))
    assert not compare(shapes_of(module), kept)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    assert {row.parameters for row in MODELS.values() if row.variant == variant} == {parameters}


@pytest.mark.parametrize("name", ["lm_imagenet", "lm_ucf"])
def test_the_tokenizer_inside_a_language_model_is_known(name: str) -> None:
    shapes = official(name)
    inside = {
        key.removeprefix(TOKENIZER_PREFIX): shape
        for key, shape in shapes.items()
        if key.startswith(TOKENIZER_PREFIX)
    }
    assert detect(inside).variant == "omnitokenizer_vq"
