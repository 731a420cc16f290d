"""The mathematics of denoising diffusion: schedules, the step back, and fewer steps than were trained.

Ho et al. 2020 (DDPM), Nichol and Dhariwal 2021 (learned variances, fewer steps), Song et al. 2021 (DDIM).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segma.errors import InputError

_LOG_TWO_PI = math.log(2 * math.pi)
_FIRST_BETA, _LAST_BETA, _TRAINED_STEPS = 1e-4, 0.02, 1000


@dataclass(frozen=True, slots=True)
class Believed:
    """What a network's answer says of the step before: mean and log-variance, and of the clean latent."""

    mean: Tensor
    log_variance: Tensor
    clean: Tensor


@dataclass(frozen=True, slots=True)
class Schedule:
    """Noise of each step, float64, and the step of training that each one stands for."""

    betas: Float[Tensor, " steps"]
    trained_step: Int[Tensor, " steps"]

    @classmethod
    def linear(cls, steps: int = _TRAINED_STEPS) -> Schedule:
        """As trained: betas rise evenly from 1e-4 to 0.02, of as many steps at a thousand."""
        scale = _TRAINED_STEPS / steps
        betas = torch.linspace(scale * _FIRST_BETA, scale * _LAST_BETA, steps, dtype=torch.float64)
        return cls(betas, torch.arange(steps))

    def fewer(self, count: int) -> Schedule:
        """So many of its steps, evenly spaced from the first to the last, with the noise between them joined.

        Raises InputError for more than there are.
        """
        total = len(self.betas)
        if not 1 <= count <= total:
            raise InputError("input.value", f"{count} steps, expected 1 to {total}.")
        spacing = (total - 1) / (count - 1) if count > 1 else 1.0
        chosen = torch.tensor([round(number * spacing) for number in range(count)])
        kept = self.kept[chosen]
        return Schedule(1 - kept / _before(kept), self.trained_step[chosen])

    @property
    def kept(self) -> Float[Tensor, " steps"]:
        """Share of the clean latent's variance that is left after each step."""
        return (1 - self.betas).cumprod(0)

    def noised(
        self,
        clean: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
        noise: Float[Tensor, "batch ..."],
    ) -> Float[Tensor, "batch ..."]:
        """Clean latents at a step."""
        kept = _along(self.kept, step, clean)
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise

    def velocity(
        self,
        clean: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
        noise: Float[Tensor, "batch ..."],
    ) -> Float[Tensor, "batch ..."]:
        """Where noised latents go as noise grows (Salimans and Ho 2022, section 4)."""
        kept = _along(self.kept, step, clean)
        return kept.sqrt() * noise - (1 - kept).sqrt() * clean

    def noise_of(
        self,
        x: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
        velocity: Float[Tensor, "batch ..."],
    ) -> Float[Tensor, "batch ..."]:
        """The noise in x, by its velocity."""
        kept = _along(self.kept, step, x)
        return kept.sqrt() * velocity + (1 - kept).sqrt() * x

    def believed(
        self,
        x: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
        noise: Float[Tensor, "batch ..."],
        variance: Float[Tensor, "batch ..."],
        *,
        largest: float | None = None,
    ) -> Believed:
        """The step before x, by the noise in x and a learned place between the least and the most variance.

        `largest` keeps the clean latent within that.
        """
        kept_all, betas = self.kept, self.betas
        before_all = _before(kept_all)
        variances = betas * (1 - before_all) / (1 - kept_all)
        least_all = torch.cat([variances[1:2] if len(variances) > 1 else betas[:1], variances[1:]]).log()
        kept, before, beta, least = (
            _along(each, step, x) for each in (kept_all, before_all, betas, least_all)
        )
        clean = x / kept.sqrt() - (1 / kept - 1).sqrt() * noise
        clean = clean if largest is None else clean.clamp(-largest, largest)
        mean = (beta * before.sqrt() * clean + (1 - before) * (1 - beta).sqrt() * x) / (1 - kept)
        share = (variance + 1) / 2
        return Believed(mean, share * beta.log() + (1 - share) * least, clean)

    def bound(
        self,
        x: Float[Tensor, "batch ..."],
        clean: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
        noise: Float[Tensor, "batch ..."],
        variance: Float[Tensor, "batch ..."],
    ) -> Float[Tensor, " batch"]:
        """How far the step back that a network believes in is from the true one, in bits a number.

        The divergence of two Gaussians (Nichol and Dhariwal 2021, section 2.1); of the last step back, after
        which there is no chance, how unlikely the clean latent is.
        """
        believed = self.believed(x, step, noise, variance)
        true = self.believed(x, step, self.noise_in(x, clean, step), torch.full_like(variance, -1.0))
        apart = (true.mean - believed.mean).square() * (-believed.log_variance).exp()
        ratio = true.log_variance - believed.log_variance
        divergence = (ratio.exp() - ratio - 1 + apart) / 2
        unlikely = (believed.log_variance + _LOG_TWO_PI + (clean - believed.mean).square()
                    * (-believed.log_variance).exp()) / 2  # fmt: skip
        is_last = (step == 0).view(-1, *[1] * (x.ndim - 1))
        return torch.where(is_last, unlikely, divergence).flatten(1).mean(1) / math.log(2)

    def noise_in(
        self,
        x: Float[Tensor, "batch ..."],
        clean: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch ..."]:
        """The noise in x, by what is clean."""
        kept = _along(self.kept, step, x)
        return (x - kept.sqrt() * clean) / (1 - kept).sqrt()

    def leap(
        self,
        x: Float[Tensor, "batch ..."],
        step: Int[Tensor, " batch"],
        noise: Float[Tensor, "batch ..."],
    ) -> Float[Tensor, "batch ..."]:
        """The step before x without chance (DDIM, equation 12 with no noise), for few steps."""
        kept, before = (_along(each, step, x) for each in (self.kept, _before(self.kept)))
        clean = x / kept.sqrt() - (1 / kept - 1).sqrt() * noise
        return before.sqrt() * clean + (1 - before).sqrt() * noise


def _before(kept: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
    """What was kept one step earlier; all of it before the first."""
    return torch.cat([kept.new_ones(1), kept[:-1]])


def _along(values: Float[Tensor, " steps"], step: Int[Tensor, " batch"], x: Tensor) -> Tensor:
    """The values of steps, beside x and in its type."""
    return values.to(x.device)[step].to(x.dtype).view(-1, *[1] * (x.ndim - 1))
