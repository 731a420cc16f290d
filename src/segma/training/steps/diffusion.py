"""What a diffusion transformer learns by: the noise in latents, and how sure it is (section 9).

The noise by its squared error (Ho et al. 2020, equation 14), or the velocity (Salimans and Ho 2022), its
variance by the variational bound, which leaves the noise alone (Nichol and Dhariwal 2021, section 3.1).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from segma.models.omnitokenizer.dit import Dit
from segma.models.omnitokenizer.dit_config import DitConfig
from segma.nn.diffusion import Schedule
from segma.tasks.sample_latents import TRAINED_STEPS
from segma.training.config import GeneratorConfig
from segma.training.steps.generating import Loss
from segma.training.steps.result import StepResult


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
        clean = _scaled(values, sizes)
        t = torch.randint(TRAINED_STEPS, (len(clean),), generator=chance).to(clean.device)
        noise = torch.randn(clean.shape, generator=chance).to(clean.device)
        x = schedule.noised(clean, t, noise)
        wide = is_blank.view(-1, *[1] * (asked.ndim - 1))
        found = network(x, t, torch.where(wide, network.nothing_like(asked), asked)).float()
        believed, variance = found.chunk(2, clean.ndim - 3)
        wanted = schedule.velocity(clean, t, noise) if sizes.velocity else noise
        error = (believed - wanted).square().flatten(1).mean(1)
        if sizes.velocity:
            believed = schedule.noise_of(x, t, believed)
        bound = schedule.bound(x, clean, t, believed.detach(), variance)
        total = (weights.to(t.device)[t] * error + config.variance * bound).mean()
        return StepResult(
            total, {"error": float(error.detach().mean()), "bound": float(bound.detach().mean())}
        )

    return loss


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
