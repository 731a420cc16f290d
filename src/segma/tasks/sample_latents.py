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
    given = None if outline is None else outline.to(device).expand(len(labels), -1, -1, -1)
    if spec.cover and given is None:
        outlines = Stage(spec, spec.channels, spec.cover**2, later=TRAINED_STEPS)
        given = _made(network, outlines, y, generators, config, None, on_step).clamp(-1, 1)
    x = _made(network, Stage(spec, 0, spec.channels), y, generators, config, given, on_step)
    x = x / spec.latent_scale
    return (x if spec.has_time else x[:, None]).movedim(2, -1)


@dataclass(frozen=True, slots=True)
class Stage:
    """Channels that are made together: so many from `first` on; the network is told steps that much later.

    Of networks that make outlines these come first, beside latents that are 0; then the latents, beside them.
    """

    spec: GeneratorSpec
    first: int
    count: int
    later: int = 0

    @property
    def axis(self) -> int:
        """Where channels are in a batch."""
        return 2 if self.spec.has_time else 1

    def of(self, x: Float[Tensor, "batch *groups all h w"]) -> Float[Tensor, "batch *groups own h w"]:
        """Its own of all channels."""
        return x.narrow(self.axis, self.first, self.count)

    def beside(
        self, own: Float[Tensor, "batch *groups own h w"], given: Tensor | None
    ) -> Float[Tensor, "batch *groups all h w"]:
        """All channels: its own, and what is given (batch, others, h, w), or zeros."""
        others = self.spec.channels + self.spec.cover**2 - self.count
        if not others:
            return own
        if given is None:
            given = own.new_zeros(len(own), others, *own.shape[2:])
        return torch.cat([given, own] if self.first else [own, given], self.axis)


def _made(
    network: LatentGenerator,
    stage: Stage,
    y: Tensor,
    generators: Sequence[torch.Generator],
    config: DiffusionConfig,
    given: Tensor | None,
    on_step: Callable[[], object] | None,
) -> Float[Tensor, "batch *groups own h w"]:
    """The channels of a stage out of noise."""
    spec, device = stage.spec, y.device
    side = (stage.count, spec.side, spec.side)
    shape = (spec.groups, *side) if spec.has_time else side
    schedule = Schedule.linear(TRAINED_STEPS).fewer(config.steps)
    x = _noise(shape, generators, device)
    for number in reversed(range(config.steps)):
        step = torch.full((len(x),), number, device=device)
        t = torch.full((len(x),), int(schedule.trained_step[number]) + stage.later, device=device)
        seen = stage.beside(x, given)
        if config.guidance == 1:
            found = network(seen, t, y)
        else:
            found = network.guided(seen, t, y, float(config.guidance), channels=spec.guided_channels)
        noise, variance = (stage.of(half) for half in found.chunk(2, stage.axis))
        noise = schedule.noise_of(x, step, noise) if spec.velocity else noise
        if config.sampler == "ddim":
            x = schedule.leap(x, step, noise)
        else:
            believed = schedule.believed(x, step, noise, variance)
            x = believed.mean
            if number:
                x = x + (believed.log_variance / 2).exp() * _noise(shape, generators, device)
        if on_step is not None:
            on_step()
    return x


def _asked(spec: GeneratorSpec, labels: Sequence[Label]) -> Int[Tensor, " batch *sentence"]:
    """Classes, or the ids of words."""
    if spec.words:
        return sentences(spec, [label if isinstance(label, tuple) else () for label in labels])
    return torch.tensor([label if isinstance(label, int) else 0 for label in labels])


def _noise(
    shape: tuple[int, ...], generators: Sequence[torch.Generator], device: torch.device | str
) -> Float[Tensor, "batch ..."]:
    return torch.stack([torch.randn(shape, generator=each) for each in generators]).to(device)
