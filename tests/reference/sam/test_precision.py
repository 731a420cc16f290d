"""bfloat16 where it holds: the encoder and the decoder's image side against float32, same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.media.image import read_image
from segma.models.interfaces import PromptTensors
from segma.models.sam.config import VARIANTS
from segma.models.sam.model import Sam
from segma.runtime import Precision, Runtime
from segma.tasks.segment import decode, encode

# What "auto" has to keep: mean difference of logits by their standard deviation, and no pixel that changes
# sides where the logit is beyond this.
MEAN_DIFFERENCE, FLIP_BEYOND = 0.02, 0.1

PROMPTS = {
    "point": PromptTensors(torch.tensor([[[284.4, 213.3]]]), torch.tensor([[1]])),
    "points": PromptTensors(
        torch.tensor([[[284.4, 213.3], [640.0, 355.0], [512.0, 113.8]]]), torch.tensor([[1, 1, 0]])
    ),
    "box": PromptTensors(None, None, torch.tensor([[241.0, 341.0, 398.0, 497.0]])),
}


def logits(variant: str, precision: Precision, image: np.ndarray) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        model = Sam(VARIANTS[variant])
    fit(model, made_up_state(shapes_of(model)), "filled")
    runtime = Runtime(device="cpu", precision=precision)
    runtime.place(model.eval().requires_grad_(False))
    encoded = encode(model, image, runtime)
    assert encoded.features.embedding.dtype == runtime.dtype
    every = torch.arange(4)
    with torch.inference_mode():
        decoded = {name: decode(model, encoded, prompt) for name, prompt in PROMPTS.items()}
        return {name: model.render_masks(d, torch.zeros_like(every), every) for name, d in decoded.items()}


def compare(variant: str, image: np.ndarray) -> None:
    exact, low = logits(variant, "fp32", image), logits(variant, "bf16", image)
    for name in PROMPTS:
        for a, b in zip(exact[name], low[name], strict=True):
            assert (a - b).abs().mean() / a.std() < MEAN_DIFFERENCE, name
            assert not (((a > 0) != (b > 0)) & (a.abs() > FLIP_BEYOND)).any(), name


def test_bfloat16_keeps_the_logits_of_a_small_model(repository: Path) -> None:
    compare("sam_vit_demo", read_image(repository / "src/segma/samples_data/coffee.jpg"))


@pytest.mark.slow  # bfloat16 without matrix units takes a minute
def test_bfloat16_keeps_the_logits_of_vit_b(shared: Path) -> None:
    compare("sam_vit_b", read_image(shared / "media/truck.jpg"))


def test_auto_is_float32_without_matrix_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segma.runtime.has_amx", lambda: False)
    assert Runtime(device="cpu").dtype == torch.float32
    monkeypatch.setattr("segma.runtime.has_amx", lambda: True)
    assert Runtime(device="cpu").dtype == torch.bfloat16
