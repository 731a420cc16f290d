"""Latents out of noise: both samplers against steps written out, rows apart from their batch, guidance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from stubs.generators import COVERED, DIT, LATTE, toy_dit
from torch import Tensor

from segma.errors import InputError
from segma.models.interfaces import LatentGenerator
from segma.models.omnitokenizer.dit import Dit
from segma.tasks.sample_latents import DIFFUSION_PRESETS, DiffusionConfig, sample_latents


def chances(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def kept_of(steps: int) -> tuple[Tensor, list[int]]:
    """The share of the latent that is left at each of so many steps of 1000, and their numbers."""
    kept = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    numbers = [round(index * 999 / (steps - 1)) for index in range(steps)]
    return kept[numbers], numbers


@torch.inference_mode()
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_both_samplers_do_what_is_written_in_their_papers(sampler: Any) -> None:
    steps, network = 5, toy_dit(DIT)
    config = DiffusionConfig(steps=steps, sampler=sampler)
    found = sample_latents(network, [1], chances(4), config)
    kept, numbers = kept_of(steps)
    chance = chances(4)[0]
    x = torch.randn(1, 6, 4, 4, generator=chance)
    for index in reversed(range(steps)):
        both = network(torch.cat([x, x]), torch.tensor([numbers[index]] * 2), torch.tensor([1, 3]))
        wanted, other = both[:1], both[1:]
        noise = wanted[:, :6].clone()
        noise[:, :2] = other[:, :2] + 2.0 * (wanted[:, :2] - other[:, :2])  # two of six channels are guided
        now = kept[index]
        before = kept[index - 1] if index else torch.ones((), dtype=torch.float64)
        clean = (x - (1 - now).sqrt() * noise) / now.sqrt()
        if sampler == "ddim":
            x = (before.sqrt() * clean + (1 - before).sqrt() * noise).float()
            continue
        beta = 1 - now / before
        mean = (before.sqrt() * beta * clean + (now / before).sqrt() * (1 - before) * x) / (1 - now)
        least = beta * (1 - before) / (1 - now)
        share = (wanted[:, 6:] + 1) / 2
        spread = (share * beta.log() + (1 - share) * least.clamp(min=1e-30).log()).div(2).exp()
        x = (mean + (spread * torch.randn(1, 6, 4, 4, generator=chance) if index else 0)).float()
    assert found.shape == (1, 1, 4, 4, 6)
    torch.testing.assert_close(found[0, 0].movedim(-1, 0) * 0.18215, x[0], atol=1e-4, rtol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("network", [toy_dit(DIT), toy_dit(LATTE)], ids=["pictures", "clips"])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_row_does_not_depend_on_its_batch(network: Any, sampler: Any) -> None:
    config = DiffusionConfig(steps=4, sampler=sampler)
    both = sample_latents(network, [2, 0], chances(7, 8), config)
    alone = [sample_latents(network, [label], chances(seed), config) for label, seed in ((2, 7), (0, 8))]
    torch.testing.assert_close(both, torch.cat(alone), atol=1e-4, rtol=1e-4)
    assert both.shape == (2, network.config.groups or 1, 4, 4, 6)
    assert (both[0] - sample_latents(network, [1], chances(7), config)[0]).abs().max() > 1e-3
    assert isinstance(network, LatentGenerator)


@torch.inference_mode()
def test_guidance_of_one_is_none_and_the_scale_of_latents_is_the_weights() -> None:
    config = DiffusionConfig(steps=3, sampler="ddim", guidance=1.0)
    plain = sample_latents(toy_dit(DIT), [1], chances(1), config)
    nearly = sample_latents(toy_dit(DIT), [1], chances(1), replace(config, guidance=1 + 1e-9))
    torch.testing.assert_close(plain, nearly, atol=1e-4, rtol=1e-4)
    doubled = sample_latents(toy_dit(replace(DIT, latent_scale=2 * 0.18215)), [1], chances(1), config)
    torch.testing.assert_close(plain, 2 * doubled)
    whole = sample_latents(
        toy_dit(replace(DIT, guided_channels=0)), [1], chances(1), replace(config, guidance=3)
    )
    some = sample_latents(toy_dit(DIT), [1], chances(1), replace(config, guidance=3))
    assert (whole - some).abs().max() > 1e-3


@torch.inference_mode()
def test_velocities_are_the_same_as_the_noise_they_tell_of() -> None:
    config = replace(DIT, guided_channels=0)
    plain = toy_dit(config)

    class Turned(Dit):
        """The same network, telling velocities."""

        def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
            noise, variance = plain(x, t, y).chunk(2, 1)
            kept = kept_of(1000)[0][t].float().view(-1, 1, 1, 1)
            clean = (x - (1 - kept).sqrt() * noise) / kept.sqrt()
            return torch.cat([kept.sqrt() * noise - (1 - kept).sqrt() * clean, variance], 1)

    turned = Turned(replace(config, velocity=True))
    few = DiffusionConfig(steps=6, sampler="ddim", guidance=3.0)
    wanted, found = (sample_latents(each, [1], chances(4), few) for each in (plain, turned))
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@torch.inference_mode()
def test_outlines_come_first_and_latents_are_made_beside_them(sampler: str) -> None:
    asked: list[int] = []
    seen: list[Tensor] = []
    target = torch.full((1, 4, 4, 4), -1.0)
    target[..., :2] = 1

    class Watched(Dit):
        def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x, t, y)

        def outlines(self, x: Tensor, t: Tensor, y: Tensor, strength: float) -> Tensor:
            asked.append(int(t[0]))
            assert strength == 1.0 and x.shape == (1, 4, 4, 4)
            return target

    network, heard = Watched(COVERED).eval(), []
    few = DiffusionConfig(steps=3, guidance=1.0, sampler=sampler)
    found = sample_latents(network, [1], chances(4), few, on_step=lambda: heard.append(1))
    assert asked == [999, 500, 0] and len(heard) == 6 and found.shape == (1, 1, 4, 4, 6)
    for x in seen:  # who always says the same gets it
        torch.testing.assert_close(x[:, 6:], target, atol=1e-3, rtol=0)
    asked.clear()
    sample_latents(network, [1], chances(4), few, outline=target)
    assert not asked


@torch.inference_mode()
def test_outlines_are_pushed_away_from_those_of_nothing_and_stay_outlines() -> None:
    network = toy_dit(COVERED)
    assert network.outliner is not None
    torch.nn.init.normal_(network.outliner.last.weight, std=0.05)
    x, t = torch.randn(2, 4, 4, 4), torch.full((2,), 700)
    y = torch.tensor([0, 2])
    wanted, none = network.outliner(x, t, y), network.outliner(x, t, torch.full_like(y, 3))
    torch.testing.assert_close(network.outlines(x, t, y, 1.0), wanted.clamp(-1, 1))
    pushed = network.outlines(x, t, y, 3.0)
    torch.testing.assert_close(pushed, (none + 3 * (wanted - none)).clamp(-1, 1))
    assert not torch.equal(pushed[0], pushed[1])


@torch.inference_mode()
def test_steps_are_told() -> None:
    heard: list[int] = []
    config = DiffusionConfig(steps=3)
    sample_latents(toy_dit(DIT), [1], chances(1), config, on_step=lambda: heard.append(1))
    assert len(heard) == 3
    assert (DIFFUSION_PRESETS["official"].steps, DIFFUSION_PRESETS["official"].guidance) == (250, 2.0)


@pytest.mark.parametrize(
    "values",
    [{"steps": 0}, {"steps": 1001}, {"sampler": "euler"}, {"guidance": float("nan")}, {"guidance": -1.0}],
)
def test_numbers_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        DiffusionConfig(**values)
