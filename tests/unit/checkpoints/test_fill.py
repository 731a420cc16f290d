"""Made-up weights are the same numbers everywhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from segma.checkpoints.fill import made_up, made_up_state

# First numbers that the recorded rule gives, for one name of each kind.
RECORDED = {
    ("image_encoder.blocks.0.norm1.weight", (768,)): (
        1.1175308227539062,
        0.9004170894622803,
        1.1177645921707153,
    ),
    ("image_encoder.blocks.0.attn.qkv.bias", (2304,)): (
        0.020095329731702805,
        0.015504860319197178,
        -0.00861112680286169,
    ),
    ("image_encoder.neck.2.weight", (256, 256, 3, 3)): (
        -0.009047545492649078,
        -0.015780337154865265,
        0.010854313150048256,
    ),
    ("prompt_encoder.point_embeddings.0.weight", (1, 256)): (
        -0.003218737430870533,
        -0.009748208336532116,
        0.02410600148141384,
    ),
}


@pytest.mark.parametrize(("key", "numbers"), RECORDED.items())
def test_the_numbers_are_the_recorded_ones(
    key: tuple[str, tuple[int, ...]], numbers: tuple[float, ...]
) -> None:
    values = made_up(*key)
    assert values.dtype == torch.float32
    assert tuple(values.shape) == key[1]
    assert values.flatten()[: len(numbers)].tolist() == list(numbers)


def test_every_number_equals_the_shared_rule(shared: Path) -> None:
    spec = importlib.util.spec_from_file_location("recorded_fill", shared / "golden" / "fill.py")
    assert spec and spec.loader
    recorded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorded)
    shapes = {"a.gamma": (7,), "b.bias": (5,), "c.weight": (8, 3), "d.scale": (), "e.pos": (1, 4, 4, 2000)}
    for salt in ("", "other"):
        for name, values in made_up_state(shapes, salt).items():
            assert torch.equal(values, torch.as_tensor(recorded.fill(name, shapes[name], salt))), name


def test_the_salt_changes_the_numbers() -> None:
    assert not torch.equal(made_up("a.weight", (4, 4)), made_up("a.weight", (4, 4), "salt"))
