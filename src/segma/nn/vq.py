"""Bottlenecks of tokenizers: a codebook learned by moving averages, and a diagonal Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

# Distances held at once, so that a long clip needs no table of all tokens times all codes.
_AT_ONCE = 1 << 24


class Codebook(nn.Module):
    """Codes, and what their moving averages are made of (van den Oord et al. 2017, appendix A.1).

    Inputs lie on the unit sphere; codes are running means of such and are used as they are, so that the
    nearest one goes by distance and not by angle. The names are the official ones.
    """

    embeddings: Tensor
    N: Tensor
    z_avg: Tensor
    codebook_usage: Tensor

    def __init__(self, num_codes: int, dim: int) -> None:
        super().__init__()
        codes = F.normalize(torch.randn(num_codes, dim), dim=-1)
        self.register_buffer("embeddings", codes)
        self.register_buffer("N", torch.zeros(num_codes))
        self.register_buffer("z_avg", codes.clone())
        self.register_buffer("codebook_usage", torch.zeros(num_codes))

    def forward(self, codes: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape dim"]:
        """The vectors of codes."""
        return F.embedding(codes, self.embeddings)

    def nearest(self, z: Float[Tensor, "*shape dim"]) -> Int[Tensor, "*shape"]:
        """The code nearest to each vector on the unit sphere, found in float32."""
        flat, codes = z.reshape(-1, z.shape[-1]).float(), self.embeddings.float()
        norms = codes.square().sum(1)
        step = max(1, _AT_ONCE // len(codes))
        found: list[Tensor] = []
        with torch.autocast(z.device.type, enabled=False):
            for start in range(0, len(flat), step):
                # |z - e|^2 without |z|^2, which is the same for all codes
                distances = torch.addmm(norms, flat[start : start + step], codes.T, alpha=-2)
                found.append(distances.argmin(1))
        return torch.cat(found).view(z.shape[:-1])


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A Gaussian for each number of a latent."""

    mean: Float[Tensor, "*shape dim"]
    logvar: Float[Tensor, "*shape dim"]

    @classmethod
    def of(cls, numbers: Float[Tensor, "*shape twice"]) -> Gaussian:
        """Means in the first half, logarithms of variances in the second, kept from -30 to 20."""
        mean, logvar = numbers.chunk(2, -1)
        return cls(mean, logvar.clamp(-30.0, 20.0))

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "*shape dim"]:
        """One draw."""
        noise = torch.randn(
            self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype
        )
        return self.mean + (self.logvar / 2).exp() * noise

    def divergence(self) -> Float[Tensor, ""]:
        """From a standard Gaussian, in nats, summed over all but the first axis and averaged over that."""
        terms = self.mean.square() + self.logvar.exp() - 1 - self.logvar
        return 0.5 * terms.sum() / len(self.mean)
