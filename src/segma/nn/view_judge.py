"""Which of the masks found at several scales answers a click (ours).

What is told of them (`tasks.views.describe`) says which of them are alike, how large they are, and which
reach the edge of what was seen: a thing is seen whole at some scale, and from there on it stays the same.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

_DROPOUT = 0.3


def num_features(num_views: int, num_masks: int) -> int:
    """How many numbers describe so many views with so many masks each.

    Three of each mask, one of each pair of masks, one of each view but the first.
    """
    found = num_views * num_masks
    return 3 * found + found * (found - 1) // 2 + num_views - 1


class ViewJudge(nn.Module):
    """Logits of the IoU of every mask, from numbers that describe all of them.

    It is fitted when the masks are finished; `clicks` says on how many, 0 before.
    """

    mean: Tensor
    spread: Tensor
    clicks: Tensor

    def __init__(self, *, num_features: int, num_masks: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("spread", torch.ones(num_features))
        self.register_buffer("clicks", torch.zeros((), dtype=torch.int64))
        self.layers = nn.Sequential(
            nn.Linear(num_features, width), nn.GELU(), nn.Dropout(_DROPOUT),
            nn.Linear(width, width), nn.GELU(), nn.Dropout(_DROPOUT),
            nn.Linear(width, num_masks),
        )  # fmt: skip

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch masks"]:
        """The logits."""
        return self.layers((features.to(self.mean.dtype) - self.mean) / self.spread)
