"""Latents out of noise, by a diffusion network, rows of a batch at once.

Chance comes from one `torch.Generator` a row, on the CPU: a row does not depend on the device or on what
else is in its batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segma.errors import InputError
from segma.models.interfaces import GeneratorSpec, LatentGenerator
from segma.nn.diffusion import Schedule
from segma.tasks.sentences import Label, sentences

TRAINED_STEPS = 1000
SAMPLERS = ("ddpm", "ddim")


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionConfig:
    """How noise is taken away. Raises InputError for values that make no sense.

    "ddpm" draws anew in each step, as officially, and wants many; "ddim" draws the first noise alone, and
    some dozens of steps are enough. `guidance` 1 is none, above it the class is stressed.
    """

    steps: int = 250
    sampler: str = "ddpm"
    guidance: float | int = 2.0

    def __post_init__(self) -> None:
        """Check the values."""
        if not 1 <= self.steps <= TRAINED_STEPS:
            raise InputError("input.value", f"{self.steps} steps, expected 1 to {TRAINED_STEPS}.")
        if self.sampler not in SAMPLERS:
            raise InputError("input.value", f'No sampler "{self.sampler}".', f"Use {' or '.join(SAMPLERS)}.")
        if not (math.isfinite(self.guidance) and 0 <= self.guidance <= 1e6):
            raise InputError("input.value", f"guidance is {self.guidance}, expected 0 to 1e6.")


DIFFUSION_PRESETS: Mapping[str, DiffusionConfig] = MappingProxyType(
    {
        "official": DiffusionConfig(),
        "fast": DiffusionConfig(steps=50, sampler="ddim"),
        "omnitokenizer_dit_small": DiffusionConfig(steps=50, sampler="ddim", guidance=3.0),
    }
)
"""What the official scripts do (specification, section 9), what is quicker, and what goes with our own."""


def sample_latents(
    network: LatentGenerator,
    labels: Sequence[Label],
    generators: Sequence[torch.Generator],
    config: DiffusionConfig,
    *,
    outline: Float[Tensor, "1 parts h w"] | None = None,
    device: torch.device | str = "cpu",
    on_step: Callable[[], object] | None = None,
) -> Float[Tensor, "batch groups rows columns channels"]:
    """Latents as the tokenizer decodes them, for each label; on the device.

    Networks that make outlines make them first, in as many steps, or are given one for all rows. `on_step` is
    called after each step.
    """
    spec = network.generator_spec
    y = _asked(spec, labels).to(device)
    beside: list[Tensor] = []
    if spec.cover:
        beside = [_outlines(network, y, generators, config, on_step) if outline is None else
                  outline.to(device).expand(len(labels), -1, -1, -1)]  # fmt: skip
    side = (spec.channels, spec.side, spec.side)
    walk = _Walk(config, generators, (spec.groups, *side) if spec.has_time else side)
    axis = 2 if spec.has_time else 1
    x = walk.begin(device)
    for number in walk.numbers:
        step, t = walk.steps(number, x)
        seen = torch.cat([x, *beside], axis)
        if config.guidance == 1:
            found = network(seen, t, y)
        else:
            found = network.guided(seen, t, y, float(config.guidance), channels=spec.guided_channels)
        noise, variance = found.chunk(2, axis)
        noise = walk.schedule.noise_of(x, step, noise) if spec.velocity else noise
        x = walk.back(x, number, noise, variance)
        if on_step is not None:
            on_step()
    x = x / spec.latent_scale
    return (x if spec.has_time else x[:, None]).movedim(2, -1)


def _outlines(
    network: LatentGenerator,
    y: Tensor,
    generators: Sequence[torch.Generator],
    config: DiffusionConfig,
    on_step: Callable[[], object] | None,
) -> Float[Tensor, "batch parts side side"]:
    """Outlines out of noise, with the least variance of each step where steps have chance."""
    spec = network.generator_spec
    walk = _Walk(config, generators, (spec.cover**2, spec.side, spec.side))
    x = walk.begin(y.device)
    for number in walk.numbers:
        step, t = walk.steps(number, x)
        noise = walk.schedule.noise_in(x, network.outlines(x, t, y, float(config.guidance)), step)
        x = walk.back(x, number, noise, torch.full_like(x, -1.0))
        if on_step is not None:
            on_step()
    return x.clamp(-1, 1)


class _Walk:
    """From noise of a shape, of each row's own chance, back to what is clean, as a config says."""

    def __init__(
        self, config: DiffusionConfig, generators: Sequence[torch.Generator], shape: tuple[int, ...]
    ) -> None:
        self.config, self.generators, self.shape = config, generators, shape
        self.schedule = Schedule.linear(TRAINED_STEPS).fewer(config.steps)
        self.numbers = tuple(reversed(range(config.steps)))

    def begin(self, device: torch.device | str) -> Float[Tensor, "batch ..."]:
        """Noise."""
        return _noise(self.shape, self.generators, device)

    def steps(self, number: int, x: Tensor) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """A step of the walk for each row of x, and the step of training that it stands for."""
        trained = int(self.schedule.trained_step[number])
        step, t = (torch.full((len(x),), each, device=x.device) for each in (number, trained))
        return step, t

    def back(self, x: Tensor, number: int, noise: Tensor, variance: Tensor) -> Float[Tensor, "batch ..."]:
        """A step back, given the noise in x."""
        step, _ = self.steps(number, x)
        if self.config.sampler == "ddim":
            return self.schedule.leap(x, step, noise)
        believed = self.schedule.believed(x, step, noise, variance)
        if not number:
            return believed.mean
        return believed.mean + (believed.log_variance / 2).exp() * self.begin(x.device)


def _asked(spec: GeneratorSpec, labels: Sequence[Label]) -> Int[Tensor, " batch *sentence"]:
    """Classes, or the ids of words."""
    if spec.words:
        return sentences(spec, [label if isinstance(label, tuple) else () for label in labels])
    return torch.tensor([label if isinstance(label, int) else 0 for label in labels])


def _noise(
    shape: tuple[int, ...], generators: Sequence[torch.Generator], device: torch.device | str
) -> Float[Tensor, "batch ..."]:
    return torch.stack([torch.randn(shape, generator=each) for each in generators]).to(device)
