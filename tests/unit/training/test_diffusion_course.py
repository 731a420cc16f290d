"""Training of diffusion transformers: what the loss is, what guidance leaves out, whole runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stubs.clips import write_clip
from stubs.generators import COVERED, DIT, LATENTS, LATTE, toy_dit
from stubs.tokenizer import toy_tokenizer
from torch import Tensor

from segma.checkpoints.load import load
from segma.checkpoints.save import save
from segma.errors import InputError, ModelError
from segma.models.interfaces import VisualTokenizer
from segma.models.omnitokenizer import dit_config
from segma.models.omnitokenizer.dit import Dit
from segma.nn.diffusion import Schedule
from segma.runtime import Runtime
from segma.tasks.generate import generate
from segma.tasks.maker import Maker
from segma.tasks.sample_latents import DiffusionConfig
from segma.training import made_portraits
from segma.training.catalog import RECIPES, recipe
from segma.training.config import GeneratorConfig, OptimConfig, TrainConfig
from segma.training.diffusion_course import course
from segma.training.start import start
from segma.training.steps.diffusion import denoising, outline_error
from segma.training.steps.generating import encoded
from segma.worlds.portraits import draw_portrait
from segma.worlds.render import render
from segma.worlds.reserved import KEPT_STREAM, STREAM_SIZE

CPU = Runtime(device="cpu", precision="fp32")
TINY = replace(
    dit_config.VARIANTS["omnitokenizer_dit_small"],
    channels=6, side=4, dim=24, layers=2, heads=2, cover=2, outline_dim=16, outline_layers=1, near=True,
    velocity=True,
)  # fmt: skip
SEEN = TINY.seen_channels


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny variant, and portraits four at once."""
    rows = {**dit_config.VARIANTS, "tiny": TINY, "toy": DIT, "toy_clips": LATTE}
    monkeypatch.setattr("segma.training.diffusion_course.VARIANTS", rows)
    monkeypatch.setattr(made_portraits, "_AT_ONCE", 8)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of latents of six channels, with random weights."""
    path = tmp_path_factory.mktemp("tokenizer") / "latents.safetensors"
    return save(toy_tokenizer(LATENTS), LATENTS, path, origin="a test", licence="CC0-1.0")


@pytest.fixture
def run(tokenizer: Path) -> TrainConfig:
    """Thirty steps on eight portraits of 32 pixels."""
    return TrainConfig(
        name="tiny_noise",
        system="omnitokenizer_dit",
        variant="tiny",
        batch=8,
        steps=30,
        workers=0,
        validate_objects=16,
        generator=GeneratorConfig(tokenizer=str(tokenizer), made=8, size=32, phrasings=2),
        optim=OptimConfig(lr=1e-2, warmup=1, ema=0.5),
    )


def test_the_bound_is_nothing_for_who_knows_the_noise_and_the_variance() -> None:
    schedule = Schedule.linear()
    chance = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, 3, 4, 4, generator=chance)
    t = torch.tensor([1, 30, 400, 700, 999])
    x = schedule.noised(clean, t, noise)
    least = torch.full_like(x, -1.0)
    torch.testing.assert_close(schedule.bound(x, clean, t, noise, least), torch.zeros(5), atol=1e-4, rtol=0)
    assert bool((schedule.bound(x, clean, t, noise + 0.1, least) > 0).all())
    # a variance of the most instead of the least, by hand: beta against beta (1 - kept before) / (1 - kept)
    most = schedule.bound(x, clean, t, noise, torch.ones_like(x)).double()
    kept, betas = schedule.kept, schedule.betas
    ratio = (1 - kept[t - 1]) / (1 - kept[t])
    wanted = (ratio - ratio.log() - 1) / 2 / np.log(2)
    torch.testing.assert_close(most, wanted, atol=1e-5, rtol=1e-3)
    assert betas[0] < betas[-1]


def test_the_last_step_back_is_measured_by_how_unlikely_the_clean_latent_is() -> None:
    schedule = Schedule.linear()
    clean, t = torch.zeros(1, 1, 2, 2), torch.tensor([0])
    found = schedule.bound(schedule.noised(clean, t, clean), clean, t, clean, torch.ones(1, 1, 2, 2))
    wanted = 0.5 * np.log(2 * np.pi * float(schedule.betas[0])) / np.log(2)
    assert float(found) == pytest.approx(wanted, abs=1e-3)


def test_steps_with_little_noise_weigh_less_where_that_is_asked_for() -> None:
    network = toy_dit(DIT)
    values = torch.randn(64, 6, 4, 4, generator=torch.Generator().manual_seed(1))
    asked, blank = torch.zeros(64, dtype=torch.long), torch.zeros(64, dtype=torch.bool)
    losses = {}
    for limit in (0.0, 5.0):
        loss = denoising(GeneratorConfig(variance=0.0, snr_limit=limit))
        losses[limit] = loss(network, values, asked, blank, torch.Generator().manual_seed(0))
    assert losses[0.0].numbers == losses[5.0].numbers
    assert float(losses[0.0].loss) == pytest.approx(losses[0.0].numbers["error"], rel=1e-5)
    assert losses[5.0].loss < losses[0.0].loss


@pytest.mark.parametrize("config", [DIT, replace(COVERED, velocity=True)], ids=["noise", "velocity"])
def test_the_error_is_nothing_for_who_knows(config: dit_config.DitConfig) -> None:
    values = torch.randn(8, config.seen_channels, 4, 4, generator=torch.Generator().manual_seed(1))
    clean = values[:, : config.channels] * config.latent_scale

    class Knowing(Dit):
        def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
            kept = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)[t]
            kept = kept.float().view(-1, 1, 1, 1)
            x = x[:, : config.channels]
            noise = (x - kept.sqrt() * clean) / (1 - kept).sqrt()
            wanted = kept.sqrt() * noise - (1 - kept).sqrt() * clean if config.velocity else noise
            return torch.cat([wanted, torch.full_like(x, -1.0)], 1)

    asked, blank = torch.zeros(8, dtype=torch.long), torch.zeros(8, dtype=torch.bool)
    chance = torch.Generator().manual_seed(3)
    found = denoising(GeneratorConfig())(Knowing(config), values, asked, blank, chance)
    assert found.numbers["error"] < 1e-6 and found.numbers["bound"] < 0.1


def test_outlines_are_learned_from_nothing_and_latents_beside_them() -> None:
    seen: list[Tensor] = []

    class Watched(Dit):
        def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x, t, y)

    network = Watched(COVERED)
    assert network.outliner is not None
    values = torch.randn(6, COVERED.seen_channels, 4, 4)
    asked, blank = torch.zeros(6, dtype=torch.long), torch.zeros(6, dtype=torch.bool)
    found = denoising(GeneratorConfig())(network, values, asked, blank, torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen[0][:, 6:], values[:, 6:], atol=0.5, rtol=0)
    assert not torch.equal(seen[0][:, 6:], values[:, 6:])  # made ones are not quite clean
    outlines, chance = values[:, 6:], torch.Generator().manual_seed(2)
    before = outline_error(network.outliner, outlines, asked, Schedule.linear(), chance, 16)
    found.loss.backward()
    with torch.no_grad():
        for each in network.outliner.parameters():
            assert each.grad is not None
            each -= 0.01 * each.grad
    chance.manual_seed(2)
    assert outline_error(network.outliner, outlines, asked, Schedule.linear(), chance, 16) < before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"groups": 3}, "of pictures, not of clips"),
        ({"outline_dim": 0}, "together"),
        ({"cover": 0}, "together"),
        ({"guided_channels": 7}, "guidance of 7 of 6"),
    ],
)
def test_outlines_that_contradict_the_rest_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        replace(COVERED, **changes)


def test_outlines_may_be_learned_alone(run: TrainConfig, tokenizer: Path, tmp_path: Path) -> None:
    first = start(replace(run, steps=2), tmp_path / "run", CPU)
    made = replace(run.generator, outlines_alone=True, noises=3)
    more = start(replace(run, start=str(first.weights), steps=3, generator=made), tmp_path / "more", CPU)
    before, after = (load(each.weights, CPU).module.state_dict() for each in (first, more))
    changed = {name for name, value in after.items() if not torch.equal(before[name], value)}
    assert changed and all(name.startswith("outliner.") for name in changed)
    assert more.report["held_out"]["before"] == more.report["held_out"]["after"]  # of latents


def test_outlines_stand_beside_the_latents_they_are_of(run: TrainConfig, tokenizer: Path) -> None:
    spec, module = toy_dit(TINY).generator_spec, load(tokenizer).module
    assert isinstance(module, VisualTokenizer)
    made = made_portraits.kept_portraits(run, spec, module, 8)
    assert made.values.shape[1:] == (SEEN, 4, 4) and len(made) > 8
    portrait = draw_portrait(KEPT_STREAM * STREAM_SIZE)
    seen = render([portrait.scene], size=32).owners[0, 0] > 0
    shares = seen.view(8, 4, 8, 4).float().mean((1, 3))  # rows and columns of parts
    outline = torch.from_numpy(made.values[0, 6:].astype(np.float32)).view(2, 2, 4, 4)
    torch.testing.assert_close(outline.permute(2, 0, 3, 1).reshape(8, 8), 2 * shares - 1)
    mirrored = torch.from_numpy(made.values[8, 6:].astype(np.float32)).view(2, 2, 4, 4)
    assert torch.equal(mirrored.flip(-1, 1), outline)
    latents = encoded(module, render([portrait.scene], size=32).images[:, 0][:, None], latents=True)
    torch.testing.assert_close(torch.from_numpy(made.values[:1, :6]).float(), latents, atol=1e-2, rtol=1e-2)


def test_blank_rows_are_asked_for_nothing() -> None:
    network, loss = toy_dit(DIT), denoising(GeneratorConfig())
    values, blank = torch.randn(4, 6, 4, 4), torch.ones(4, dtype=torch.bool)
    one, other = (
        loss(network, values, torch.full((4,), label), blank, torch.Generator().manual_seed(0)).loss
        for label in (0, 2)
    )
    assert torch.equal(one, other)
    asked = loss(network, values, torch.full((4,), 2), ~blank, torch.Generator().manual_seed(0)).loss
    assert not torch.equal(one, asked)


def test_a_run_makes_a_generator_that_makes_what_a_sentence_asks_for(
    run: TrainConfig, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segma.training.loop._LOG_SECONDS", 0.0)
    outcome = start(run, tmp_path / "run", CPU)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    errors = [row["error"] for row in map(json.loads, lines) if "error" in row]
    assert len(errors) == 30 and np.mean(errors[-5:]) < np.mean(errors[:5])
    assert {"error", "error_unasked"} == outcome.report["held_out"]["after"].keys()
    found, book = load(outcome.weights, CPU), load(tokenizer, CPU)
    assert found.config.tokenizer == book.weights_hash and found.config.words
    maker = Maker(generator=found.module, tokenizer=book.module, runtime=CPU)  # type: ignore[arg-type]
    quickly = DiffusionConfig(steps=5, sampler="ddim", guidance=5.0)
    picture, other, again = (
        generate(maker, said, config=quickly)[0] for said in ("a red star on wood", "car", "red star on wood")
    )
    assert picture.shape == (32, 32, 3) and not np.array_equal(picture, other)
    assert np.array_equal(picture, again)
    more = start(replace(run, start=str(outcome.weights), steps=2), tmp_path / "more", CPU)
    assert more.report["held_out"]["before"] == outcome.report["held_out"]["after"]


def test_the_order_of_words_matters(run: TrainConfig) -> None:
    torch.manual_seed(0)
    network = toy_dit(TINY)
    torch.nn.init.normal_(network.final_layer.linear.weight)
    x, t = torch.randn(1, SEEN, 4, 4).expand(3, -1, -1, -1), torch.full((3,), 500)
    words = torch.zeros(3, 10, dtype=torch.long)
    words[:, :4] = torch.tensor([[1, 2, 3, 4], [4, 2, 3, 1], [1, 2, 3, 4]])
    first, other, same = network(x, t, words)
    assert not torch.allclose(first, other) and torch.allclose(first, same)


def test_clips_by_class_are_learned_from_folders(run: TrainConfig, tokenizer: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        path = tmp_path / "data" / "train" / name / "0.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path)
    made = replace(run.generator, made=0, frames=9, stride=2)
    config = replace(run, variant="toy_clips", data=(str(tmp_path / "data"),), steps=3, generator=made)
    outcome = start(config, tmp_path / "run", CPU)
    found = load(outcome.weights)
    assert found.config.class_names == ("cat", "dog") and found.config.guided_channels == 0
    assert found.config.groups == 3
    maker = Maker(generator=found.module, tokenizer=load(tokenizer).module, runtime=CPU)  # type: ignore[arg-type]
    (clip,) = generate(maker, "dog", config=DiffusionConfig(steps=2, sampler="ddim"))
    assert clip.shape == (9, 32, 32, 3)


def test_pictures_for_a_network_of_clips_are_refused(run: TrainConfig, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        path = tmp_path / "data" / name / "0.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(path)
    config = replace(
        run, variant="toy_clips", data=(str(tmp_path / "data"),), generator=replace(run.generator, made=0)
    )
    with pytest.raises(InputError, match="learns from clips"):
        course().build(config)
    with pytest.raises(InputError, match="asked for classes"):
        course().build(replace(config, generator=replace(config.generator, classes=False)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size": 64}, "generator.size is 64, expected 32"),
        ({"frames": 5}, "generator.frames is 5, expected 1"),
        ({"stride": 0}, "generator.stride is too low"),
        ({"snr_limit": -1.0}, "generator.snr_limit is too low"),
        ({"made": 0}, "generator.made is 0"),
        ({"noises": 0}, "generator.noises is too low"),
    ],
)
def test_settings_that_do_not_fit_are_told(run: TrainConfig, changes: dict[str, Any], told: str) -> None:
    ours = course()
    network = ours.build(run)
    with pytest.raises(InputError, match=told):
        ours.settled(replace(run, generator=replace(run.generator, **changes)), network)


def test_a_tokenizer_of_other_latents_is_refused(run: TrainConfig, tmp_path: Path) -> None:
    codes = save(
        toy_tokenizer(),
        toy_tokenizer().config,
        tmp_path / "codes.safetensors",
        origin="a test",
        licence="CC0-1.0",
    )
    made = replace(run.generator, tokenizer=str(codes))
    with pytest.raises(ModelError, match="knows no latents"):
        course().build(replace(run, generator=made))


@pytest.mark.parametrize("name", [name for name in RECIPES if "_dit" in name or "latte" in name])
def test_recipes_name_sizes_that_there_are(name: str) -> None:
    found = recipe(name)
    sizes = dit_config.VARIANTS[found.variant]
    assert found.generator.size // 8 == sizes.side
    assert found.generator.frames == 1 + 4 * (max(1, sizes.groups) - 1)
