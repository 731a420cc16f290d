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
        wide = is_blank.view(-1, *[1] * (asked.ndim - 1))
        asked = torch.where(wide, network.nothing_like(asked), asked)
        latents, outlines = values.tensor_split([network.config.channels], values.ndim - 3)
        total, numbers = values.new_zeros(()), dict[str, float]()
        if not (config.outlines_alone and network.training):
            t = torch.randint(TRAINED_STEPS, (len(values),), generator=chance).to(values.device)
            errors, bounds = _latent_errors(network, latents, outlines, asked, t, schedule, chance)
            total = (weights.to(t.device)[t] * errors + config.variance * bounds).mean()
            numbers = {"error": float(errors.detach().mean()), "bound": float(bounds.detach().mean())}
        if network.outliner is not None:
            apart = outline_error(network.outliner, outlines, asked, schedule, chance, config.noises)
            total, numbers["outline"] = total + apart, float(apart.detach())
        return StepResult(total, numbers)

    return loss


def _latent_errors(
    network: Dit,
    latents: Float[Tensor, "rows *groups channels h w"],
    outlines: Float[Tensor, "rows *groups parts h w"],
    asked: Int[Tensor, "rows ..."],
    t: Int[Tensor, " rows"],
    schedule: Schedule,
    chance: torch.Generator,
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
    """The errors of noise or velocity at steps t, and the bounds."""
    sizes, axis = network.config, latents.ndim - 3
    clean = latents * sizes.latent_scale  # about as large as noise
    noise = _noise_like(clean, chance)
    x = schedule.noised(clean, t, noise)
    beside = [outlines + _MADE_NOISE * _noise_like(outlines, chance)] if sizes.cover else []
    believed, variance = network(torch.cat([x, *beside], axis), t, asked).float().chunk(2, axis)
    wanted = schedule.velocity(clean, t, noise) if sizes.velocity else noise
    errors = (believed - wanted).square().flatten(1).mean(1)
    if sizes.velocity:
        believed = schedule.noise_of(x, t, believed)
    return errors, schedule.bound(x, clean, t, believed.detach(), variance)


def outline_error(
    outliner: Outliner,
    outlines: Float[Tensor, "rows parts h w"],
    asked: Int[Tensor, "rows ..."],
    schedule: Schedule,
    chance: torch.Generator,
    noises: int,
) -> Float[Tensor, ""]:
    """The squared error of outlines, each in so many noises, more often in much than in little."""
    clean, asked = (each.repeat_interleave(noises, 0) for each in (outlines, asked))
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
