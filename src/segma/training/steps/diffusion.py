"""What a diffusion transformer learns by: the noise in latents, and how sure it is (section 9).

The noise by its squared error (Ho et al. 2020, equation 14), or the velocity (Salimans and Ho 2022), its
variance by the variational bound, which leaves the noise alone (Nichol and Dhariwal 2021, section 3.1).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from segma.models.omnitokenizer.dit import Dit, Outliner
from segma.nn.diffusion import Schedule
from segma.tasks.sample_latents import TRAINED_STEPS
from segma.training.config import GeneratorConfig
from segma.training.steps.generating import Loss
from segma.training.steps.result import StepResult

# Noise of outlines beside which latents are learned, since made ones are not quite clean.
_MADE_NOISE = 0.1
# Noises that each outline of a batch is learned in.
_NOISES = 16


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
        sizes = network.config
        latents, outlines = values.tensor_split([sizes.channels], values.ndim - 3)
        clean = latents * sizes.latent_scale  # about as large as noise
        t = torch.randint(TRAINED_STEPS, (len(clean),), generator=chance).to(clean.device)
        noise = torch.randn(clean.shape, generator=chance).to(clean.device)
        x = schedule.noised(clean, t, noise)
        beside = [outlines + _MADE_NOISE * _noise_like(outlines, chance)] if sizes.cover else []
        wide = is_blank.view(-1, *[1] * (asked.ndim - 1))
        asked = torch.where(wide, network.nothing_like(asked), asked)
        found = network(torch.cat([x, *beside], x.ndim - 3), t, asked).float()
        believed, variance = found.chunk(2, clean.ndim - 3)
        wanted = schedule.velocity(clean, t, noise) if sizes.velocity else noise
        error = (believed - wanted).square().flatten(1).mean(1)
        if sizes.velocity:
            believed = schedule.noise_of(x, t, believed)
        bound = schedule.bound(x, clean, t, believed.detach(), variance)
        total = (weights.to(t.device)[t] * error + config.variance * bound).mean()
        numbers = {"error": float(error.detach().mean()), "bound": float(bound.detach().mean())}
        if network.outliner is not None:
            apart = outline_error(network.outliner, outlines, asked, schedule, chance)
            total, numbers["outline"] = total + apart, float(apart.detach())
        return StepResult(total, numbers)

    return loss


def outline_error(
    outliner: Outliner,
    outlines: Float[Tensor, "rows parts h w"],
    asked: Int[Tensor, "rows ..."],
    schedule: Schedule,
    chance: torch.Generator,
) -> Float[Tensor, ""]:
    """The squared error of outlines, each in several noises, more often in much than in little."""
    clean, asked = (each.repeat_interleave(_NOISES, 0) for each in (outlines, asked))
    t = (TRAINED_STEPS * torch.rand(len(clean), generator=chance).sqrt()).long().to(clean.device)
    t = t.clamp(max=TRAINED_STEPS - 1)
    x = schedule.noised(clean, t, _noise_like(clean, chance))
    return (outliner(x, t, asked).float() - clean).square().mean()


def _noise_like(x: Tensor, chance: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=chance).to(x.device)


def _weights(schedule: Schedule, limit: float) -> Float[Tensor, " steps"]:
    """How much the error of each step weighs."""
    ratio = schedule.kept / (1 - schedule.kept)
    return (ratio.clamp(max=limit) / ratio if limit else torch.ones_like(ratio)).float()
