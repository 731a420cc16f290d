"""Heads that are used in training only, so that an encoded picture learns from all its labelled objects.

One tells the edges of an object from its inside, at the finest level; the other names objects. They are no
part of the network and are not saved with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.models.interfaces import ImageFeatures
from segma.models.sam2.model import Sam2
from segma.samples import ImageSample
from segma.training.batch import ImageBatch
from segma.training.config import LossConfig
from segma.training.losses.likeness import cell_weights

# A name counts from so many objects on; so many of the most frequent ones are learned.
_LEAST, _MOST = 20, 256


def vocabulary(samples: Sequence[ImageSample]) -> Mapping[str, int]:
    """The frequent names of objects, numbered from the most frequent one on."""
    counts = Counter(each.label for sample in samples for each in sample.objects if each.label)
    frequent = sorted((-count, name) for name, count in counts.items() if count >= _LEAST)
    return {name: number for number, (_, name) in enumerate(frequent[:_MOST])}


@dataclass(frozen=True, slots=True)
class HeadLosses:
    """What the heads cost; zero where a batch says nothing of it."""

    edges: Float[Tensor, ""]
    names: Float[Tensor, ""]


class Student(nn.Module):
    """A network and the heads that help it learn."""

    def __init__(self, network: Sam2, num_names: int) -> None:
        super().__init__()
        self.network = network
        dim = network.config.dim
        self.edges = nn.Sequential(nn.Conv2d(dim // 8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 1))
        self.names = nn.Linear(dim, max(1, num_names))

    @classmethod
    def of(cls, network: Sam2, samples: Sequence[ImageSample], losses: LossConfig) -> nn.Module:
        """The network with heads, or the network itself where no head has a weight."""
        return cls(network, len(vocabulary(samples))) if losses.edges or losses.names else network

    def losses(self, features: ImageFeatures, batch: ImageBatch) -> HeadLosses:
        """Both heads' losses of an encoded batch, each a mean over what is known."""
        grid = ((batch.places + 0.5) * (2 / batch.pixels.shape[-1]) - 1)[:, None]
        return HeadLosses(self._edges(features, batch, grid), self._names(features, batch, grid))

    def _edges(self, features: ImageFeatures, batch: ImageBatch, grid: Tensor) -> Float[Tensor, ""]:
        """Balanced cross-entropy at edges and insides; what is outside may be the edge of anything."""
        logits = self.edges(features.fine[0]).float()
        seen = F.grid_sample(logits[batch.picture], grid, align_corners=False)[:, 0, 0]
        entropy = F.binary_cross_entropy_with_logits(seen, batch.edge.float(), reduction="none")
        inner = batch.inside & ~batch.edge
        return (_mean_where(entropy, batch.edge) + _mean_where(entropy, inner)) / 2

    def _names(self, features: ImageFeatures, batch: ImageBatch, grid: Tensor) -> Float[Tensor, ""]:
        level = features.embedding
        known = batch.names >= 0
        weights = cell_weights(grid, batch.inside.float(), *level.shape[-2:])
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
        means = torch.einsum("tcx,tx->tc", level.flatten(2)[batch.picture], weights.to(level.dtype))
        entropy = F.cross_entropy(self.names(means).float(), batch.names.clamp(min=0), reduction="none")
        return _mean_where(entropy, known)


def _mean_where(values: Tensor, where: Tensor) -> Float[Tensor, ""]:
    """The mean of some values; 0 of none."""
    return (values * where).sum() / where.sum().clamp(min=1)
