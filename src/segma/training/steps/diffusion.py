"""What a diffusion transformer learns by: the noise in latents, and how sure it is (section 9).

The noise by its squared error (Ho et al. 2020, equation 14), or the velocity (Salimans and Ho 2022), its
variance by the variational bound, which leaves the noise alone (Nichol and Dhariwal 2021, section 3.1).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from segma.models.interfaces import GeneratorSpec
from segma.models.omnitokenizer.dit import Dit
from segma.models.omnitokenizer.dit_config import DitConfig
from segma.nn.diffusion import Schedule
from segma.tasks.sample_latents import TRAINED_STEPS, Stage
from segma.training.config import GeneratorConfig
from segma.training.steps.generating import Loss
from segma.training.steps.result import StepResult

# Noise of outlines beside which latents are learned.
_MADE_NOISE = 0.1


def denoising(config: GeneratorConfig) -> Loss:
    """The loss with the weights of a config; its numbers are `error` (unweighted) and `bound` (in bits)."""
    schedule = Schedule.linear(TRAINED_STEPS)
    weights = _weights(schedule, config.snr_limit)

    def loss(
        network: nn.Module,
        values: Float[Tensor, "rows *groups channels h w"],
        asked: Int[Tensor, "rows ..."],
        is_blank: Bool[Tensor, " rows"],
        chance: torch.Generator,
    ) -> StepResult:
        assert isinstance(network, Dit)
        spec = network.generator_spec
        clean = _scaled(values, network.config)
        t = torch.randint(TRAINED_STEPS, (len(clean),), generator=chance).to(clean.device)
        noise = torch.randn(clean.shape, generator=chance).to(clean.device)
        x = schedule.noised(clean, t, noise)
        stages = _stages(spec)
        turns = [(slice(number, None, len(stages)), stage) for number, stage in enumerate(stages)]
        seen, told = torch.empty_like(x), t.clone()
        for rows, stage in turns:
            given = _given(clean[rows], stage, chance)
            seen[rows], told[rows] = stage.beside(stage.of(x[rows]), given), t[rows] + stage.later
        wide = is_blank.view(-1, *[1] * (asked.ndim - 1))
        found = network(seen, told, torch.where(wide, network.nothing_like(asked), asked)).float()
        errors, bounds = torch.zeros(len(x)).to(x), torch.zeros(len(x)).to(x)
        for rows, stage in turns:
            believed, variance = (stage.of(half[rows]) for half in found.chunk(2, stage.axis))
            own, pure, hidden, when = stage.of(x[rows]), stage.of(clean[rows]), stage.of(noise[rows]), t[rows]
            wanted = schedule.velocity(pure, when, hidden) if spec.velocity else hidden
            errors[rows] = (believed - wanted).square().flatten(1).mean(1)
            if spec.velocity:
                believed = schedule.noise_of(own, when, believed)
            bounds[rows] = schedule.bound(own, pure, when, believed.detach(), variance)
        total = (weights.to(t.device)[t] * errors + config.variance * bounds).mean()
        return StepResult(
            total, {"error": float(errors.detach().mean()), "bound": float(bounds.detach().mean())}
        )

    return loss


def _stages(spec: GeneratorSpec) -> tuple[Stage, ...]:
    """What rows learn in turns."""
    latents = Stage(spec, 0, spec.channels)
    if not spec.cover:
        return (latents,)
    return latents, Stage(spec, spec.channels, spec.cover**2, later=TRAINED_STEPS)


def _given(
    clean: Float[Tensor, "rows *groups all h w"], stage: Stage, chance: torch.Generator
) -> Float[Tensor, "rows others h w"] | None:
    """Outlines beside which latents are made, not quite as they are, as made ones are not; else nothing."""
    if not stage.spec.cover or stage.first:
        return None
    outlines = clean[:, stage.count :]
    return outlines + _MADE_NOISE * torch.randn(outlines.shape, generator=chance).to(outlines.device)


def _scaled(
    values: Float[Tensor, "rows *groups channels h w"], sizes: DitConfig
) -> Float[Tensor, "rows *groups channels h w"]:
    """Latents about as large as noise; the outline after them is so already."""
    latents, outline = values.tensor_split([sizes.channels], values.ndim - 3)
    return torch.cat([latents * sizes.latent_scale, outline], values.ndim - 3)


def _weights(schedule: Schedule, limit: float) -> Float[Tensor, " steps"]:
    """How much the error of each step weighs."""
    ratio = schedule.kept / (1 - schedule.kept)
    return (ratio.clamp(max=limit) / ratio if limit else torch.ones_like(ratio)).float()
