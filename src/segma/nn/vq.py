"""Bottlenecks of tokenizers: a codebook learned by moving averages, and a diagonal Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

_DECAY, _SMOOTHING, _COMMITMENT = 0.99, 1e-7, 0.25
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
        self.register_buffer("N", torch.ones(num_codes))
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

    def snap(self, z: Float[Tensor, "*shape dim"], codes: Int[Tensor, "*shape"]) -> Snapped:
        """Vectors moved to their codes, gradients passing through, and the price of being away from them."""
        found = self(codes)
        return Snapped(z + (found - z).detach(), _COMMITMENT * F.mse_loss(z, found.detach()))

    @torch.no_grad()
    def learn(self, z: Float[Tensor, "*shape dim"], codes: Int[Tensor, "*shape"]) -> None:
        """Move the averages, and so the codes, towards the vectors that chose them."""
        counts, sums = self.sums_of(z, codes)
        self.absorb(counts, sums)

    def sums_of(
        self, z: Float[Tensor, "*shape dim"], codes: Int[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, " codes"], Float[Tensor, "codes dim"]]:
        """How many vectors chose each code, and their sums: what several processes add up."""
        flat, chosen = z.detach().reshape(-1, z.shape[-1]).float(), codes.flatten()
        counts = torch.bincount(chosen, minlength=len(self.N)).to(flat.dtype)
        return counts, torch.zeros_like(self.z_avg).index_add_(0, chosen, flat)

    @torch.no_grad()
    def absorb(self, counts: Float[Tensor, " codes"], sums: Float[Tensor, "codes dim"]) -> None:
        """A step of the averages (van den Oord et al. 2017, appendix A.1, with Laplace smoothing)."""
        self.N.lerp_(counts, 1 - _DECAY)
        self.z_avg.lerp_(sums, 1 - _DECAY)
        total = self.N.sum()
        weights = (self.N + _SMOOTHING) / (total + len(self.N) * _SMOOTHING) * total
        self.embeddings.copy_(self.z_avg / weights[:, None])
        self.codebook_usage.lerp_(counts / counts.sum(), 1 - _DECAY)

    @torch.no_grad()
    def revive(self, z: Float[Tensor, "*shape dim"], generator: torch.Generator, least: float = 1.0) -> int:
        """Put codes that hardly anything chooses (an average count below `least`) on vectors at hand."""
        dead = torch.nonzero(least > self.N)[:, 0]
        flat = z.detach().reshape(-1, z.shape[-1]).to(self.embeddings.dtype)
        rows = torch.randint(len(flat), (len(dead),), generator=generator).to(flat.device)
        self.embeddings[dead] = flat[rows]
        self.z_avg[dead] = flat[rows]
        self.N[dead] = 1.0
        return len(dead)

    @torch.no_grad()
    def cluster(self, z: Float[Tensor, "n dim"], rounds: int, generator: torch.Generator) -> None:
        """Become the means of k-means (Lloyd 1982), begun with vectors drawn at random.

        A code that no vector chose in a round is drawn anew. The averages are as if they had come to rest.
        """
        self.embeddings.copy_(_drawn(z, len(self.N), generator))
        counts = torch.ones_like(self.N)
        for _ in range(rounds):
            counts, sums = self.sums_of(z, self.nearest(z))
            self.embeddings.copy_(sums / counts.clamp(min=1)[:, None])
            empty = counts == 0
            self.embeddings[empty] = _drawn(z, int(empty.sum()), generator)
        self.N.copy_(counts.clamp(min=1))
        self.z_avg.copy_(self.embeddings * self.N[:, None])


def _drawn(
    rows: Float[Tensor, "n dim"], count: int, generator: torch.Generator
) -> Float[Tensor, "count dim"]:
    """So many rows, each once as long as there are enough."""
    order = torch.randperm(len(rows), generator=generator)
    return rows[order[torch.arange(count) % len(order)].to(rows.device)]


@dataclass(frozen=True, slots=True)
class Snapped:
    """Vectors on their codes, and the commitment loss."""

    vectors: Tensor
    commitment: Float[Tensor, ""]


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
