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
    """
    grid = ((places + 0.5) * (2 / size) - 1)[:, None]
    truth = inside.float()
    share = truth.mean(1, keepdim=True).clamp(0.05, 0.95)
    balance = truth * (0.5 / share) + (1 - truth) * (0.5 / (1 - share))
    losses: list[Tensor] = []
    for level in levels:
        centred = F.normalize(level - level.mean(1, keepdim=True), dim=1)
        seen = F.grid_sample(centred[picture], grid, align_corners=False)[:, :, 0]  # (truths, c, p)
        mean = F.normalize((seen * truth[:, None]).sum(2), dim=1, eps=1e-4)
        logits = _SCALE * (torch.einsum("tc,tcp->tp", mean, seen) - _UNDECIDED)
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        losses.append((balance * entropy).mean())
    return torch.stack(losses).mean()
