"""Training of enhancers: what a batch holds, a run that learns and goes on, what makes no sense."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stubs.enhancer import LATENTS
from stubs.tokenizer import toy_tokenizer

from segma.checkpoints.load import load
from segma.checkpoints.save import save
from segma.errors import InputError, ModelError
from segma.media.resample import reduced
from segma.models.omnitokenizer.enhancer_config import EnhancerConfig
from segma.runtime import Runtime
from segma.training.catalog import RECIPES, recipe
from segma.training.config import EnhanceConfig, OptimConfig, TrainConfig
from segma.training.data import read_parts
from segma.training.enhance_course import course
from segma.training.enhance_loader import EnhanceBatches
from segma.training.pixel_loader import PixelPool
from segma.training.start import start
from segma.training.steps.enhancing import with_codes

CPU = Runtime(device="cpu", precision="fp32")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny variant."""
    rows = {"tiny": EnhancerConfig(dim=16, blocks=1, channels=LATENTS.code_dim, scales=(2,))}
    monkeypatch.setattr("segma.training.enhance_course.VARIANTS", rows)


@pytest.fixture
def run(shapes: Path, tmp_path: Path) -> TrainConfig:
    """Six steps on pictures of shapes."""
    tokenizer = tmp_path / "latents.safetensors"
    save(toy_tokenizer(LATENTS), LATENTS, tokenizer, origin="a test", licence="CC0-1.0")
    return TrainConfig(
        name="tiny_enhance",
        system="omnitokenizer_enhancer",
        variant="tiny",
        data=(str(shapes),),
        batch=4,
        steps=6,
        workers=0,
        held_out=0.2,
        validate_objects=2,
        enhance=EnhanceConfig(tokenizer=str(tokenizer), size=16, coded=0.0, jpeg=0.0),
        optim=OptimConfig(lr=5e-4, warmup=2, ema=0.8),
    )


def test_a_run_learns_goes_on_and_is_enlarged_with(run: TrainConfig, tmp_path: Path) -> None:
    whole = start(run, tmp_path / "whole", CPU)
    scores = whole.report["held_out"]["after"]
    assert abs(scores["psnr_2x"] - scores["bicubic_2x"]) < 1  # it begins there
    found = load(whole.weights)
    assert (found.system, found.config.scales) == ("omnitokenizer_enhancer", (2,))
    assert found.config.tokenizer == load(run.enhance.tokenizer).weights_hash
    start(replace(run, minutes=1e-6), tmp_path / "parts", CPU)
    saved = json.loads((tmp_path / "parts" / "report.json").read_text())
    assert saved["steps"] == 1
    again = start(run, tmp_path / "parts", CPU)
    assert again.report["steps"] == 6
    ours, wanted = load(again.weights).module.state_dict(), found.module.state_dict()
    assert all(torch.allclose(ours[name], wanted[name], atol=2e-3) for name in wanted)
    with pytest.raises(ModelError, match="another recipe"):
        start(replace(run, enhance=replace(run.enhance, jpeg=0.5)), tmp_path / "parts", CPU)
    more = replace(run, start=str(whole.weights), steps=1)
    assert start(more, tmp_path / "more", CPU).report["held_out"]["before"]["psnr_2x"] == scores["psnr_2x"]


def test_a_batch_is_pictures_and_what_they_are_of(run: TrainConfig) -> None:
    samples = read_parts([Path(each) for each in run.data], "train", 0.2, labelled=False).train
    config = replace(run, enhance=replace(run.enhance, area=0.0, jpeg=0.0))
    batches = EnhanceBatches(PixelPool.of(samples.pictures, samples.clips), config, (2, 4))
    seen = {batches[number].scale for number in range(8)}
    assert seen == {2, 4} and len(batches) == 6
    batch = batches[3]
    small, large = (each.permute(0, 2, 3, 1).numpy() for each in (batch.pixels, batch.wanted))
    assert small.shape == (4, 16, 16, 3) and large.shape[1] == 16 * batch.scale
    assert all(np.array_equal(reduced(b, batch.scale), a) for a, b in zip(small, large, strict=True))
    assert torch.equal(batches[3].pixels, batch.pixels)
    lossy = replace(
        batches, config=replace(config, enhance=replace(config.enhance, jpeg=1.0, quality=(30, 30)))
    )
    assert torch.equal(lossy[3].wanted, batch.wanted) and not torch.equal(lossy[3].pixels, batch.pixels)


def test_what_is_shown_often_is_learned(run: TrainConfig) -> None:
    samples = read_parts([Path(each) for each in run.data], "train", 0.2, labelled=False).train
    ours, chance = course(), torch.Generator().manual_seed(0)
    network = ours.build(run)
    student = ours.student(network, samples, run)
    step, optim = ours.step(run, CPU), torch.optim.Adam(student.parameters(), lr=1e-3)
    batch = EnhanceBatches(PixelPool.of(samples.pictures, samples.clips), run, (2,))[0]
    losses: list[float] = []
    for _ in range(40):
        optim.zero_grad()
        loss = step(student, batch, chance).loss
        torch.autograd.backward(loss)
        optim.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.985 * losses[0]


def test_some_are_shown_as_codes_keep_them() -> None:
    pixels = torch.rand(3, 3, 16, 16) - 0.5
    kept = with_codes(toy_tokenizer(LATENTS), pixels, torch.tensor([False, True, False]))
    assert torch.equal(kept[[0, 2]], pixels[[0, 2]]) and not torch.equal(kept[1], pixels[1])
    assert torch.equal(((kept[1] + 0.5) * 255).round() / 255 - 0.5, kept[1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 20}, r"enhance\.size is 20, expected a multiple of 16"),
        ({"jpeg": 1.5}, r"enhance\.jpeg is 1\.5, expected 0 to 1"),
        ({"quality": (90, 60)}, r"enhance\.quality is \(90, 60\)"),
    ],
)
def test_what_makes_no_sense_is_told(
    run: TrainConfig, tmp_path: Path, change: dict[str, int], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        start(replace(run, enhance=replace(run.enhance, **change)), tmp_path / "run", CPU)


def test_other_networks_are_told(run: TrainConfig) -> None:
    with pytest.raises(ModelError, match=r'No size "huge"'):
        course().build(replace(run, variant="huge"))
    with pytest.raises(ModelError, match="is no tokenizer"):
        course().build(replace(run, enhance=replace(run.enhance, tokenizer="default")))
    with pytest.raises(ModelError, match="not enhancer"):
        course().build(replace(run, start=run.enhance.tokenizer))


def test_the_recipe_is_of_the_catalog() -> None:
    assert "omnitokenizer_enhance" in RECIPES
    assert recipe("omnitokenizer_enhance").system == "omnitokenizer_enhancer"
