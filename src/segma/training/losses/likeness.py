"""What features cost that do not tell an object from its surroundings.

Every labelled object of an encoded picture teaches the encoder here, also where no mask is decoded for it.
The decoder draws such cosines to what was pointed at (`nn.prompt_maps.likeness_maps`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

# A cosine of 0.3 counts as undecided, one of 0.7 as 90 % inside.
_SCALE, _UNDECIDED = 5.5, 0.3


def likeness_loss(
    levels: Sequence[Float[Tensor, "pictures _ _ _"]],
    picture: Int[Tensor, " truths"],
    places: Float[Tensor, "truths p 2"],
    inside: Bool[Tensor, "truths p"],
    size: int,
) -> Float[Tensor, ""]:
    """Cross-entropy of the cosine of places to the mean feature of their object, over levels and objects.

    `places` are pixels of pictures of `size`, integers in the middle. Inside and outside weigh the same.
    Reading features between cells is linear, so means and cosines are taken of the cells' own features: what
    is read at each place then has one channel and not all of them, which took a seventh of a step.
    """
    grid = ((places + 0.5) * (2 / size) - 1)[:, None]
    truth = inside.float()
    share = truth.mean(1, keepdim=True).clamp(0.05, 0.95)
    balance = truth * (0.5 / share) + (1 - truth) * (0.5 / (1 - share))
    losses: list[Tensor] = []
    for level in levels:
        centred = F.normalize(level - level.mean(1, keepdim=True), dim=1)
        features = centred[picture].flatten(2)  # (truths, c, cells)
        height, width = level.shape[-2:]
        weights = cell_weights(grid, truth, height, width).to(features.dtype)
        mean = F.normalize(torch.einsum("tcx,tx->tc", features, weights), dim=1, eps=1e-4)
        cosines = torch.einsum("tc,tcx->tx", mean, features).view(-1, 1, height, width)
        seen = F.grid_sample(cosines.float(), grid, align_corners=False)[:, 0, 0]  # (truths, p)
        logits = _SCALE * (seen - _UNDECIDED)
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        losses.append((balance * entropy).mean())
    return torch.stack(losses).mean()


def cell_weights(
    grid: Float[Tensor, "truths 1 p 2"], wanted: Float[Tensor, "truths p"], height: int, width: int
) -> Float[Tensor, "truths cells"]:
    """How much of each cell is in the sum of what is read at wanted places: `grid_sample` turned round."""
    x, y = (((grid[:, 0, :, k] + 1) * cells - 1) / 2 for k, cells in enumerate((width, height)))
    weights = wanted.new_zeros(len(wanted), height * width)
    for right in (0, 1):
        for below in (0, 1):
            column, row = x.floor() + right, y.floor() + below
            share = (1 - (x - column).abs()) * (1 - (y - row).abs()) * wanted
            is_there = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
            weights.scatter_add_(1, index, share * is_there)
    return weights
