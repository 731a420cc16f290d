"""What a mask, a predicted IoU and a presence score cost (SAM appendix A, SAM 2 section 12).

Masks are compared with the truth at places (`training.prompting.compared_places`), not on the whole map: more
of them near edges, and as many for a small object as for a large one.
"""

from __future__ import annotations

from itertools import permutations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from segma.training.config import LossConfig

# All ways to give three candidates to three truths.
_ORDERS = tuple(permutations(range(3)))
# Pixels added to both sides of the dice ratio.
_SMOOTH = 16.0


def at_places(
    logits: Float[Tensor, "n masks side side"], places: Float[Tensor, "n truths p 2"], size: int
) -> Float[Tensor, "n masks truths p"]:
    """Logits at places (pixels of a picture of `size`, integers in the middle), bilinear."""
    grid = (places + 0.5) * (2 / size) - 1
    return F.grid_sample(logits, grid, mode="bilinear", padding_mode="border", align_corners=False)


def focal_loss(
    logits: Float[Tensor, "*shape p"], truth: Float[Tensor, "*shape p"], alpha: float, gamma: float
) -> Float[Tensor, "*shape"]:
    """Mean focal loss over the places (arXiv 1708.02002, equation 5)."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = truth + (1 - 2 * truth) * logits.sigmoid()
    balance = alpha * truth + (1 - alpha) * (1 - truth)
    return (balance * wrong**gamma * entropy).mean(-1)


def dice_loss(
    logits: Float[Tensor, "*shape p"], truth: Float[Tensor, "*shape p"], weights: Float[Tensor, "*shape p"]
) -> Float[Tensor, "*shape"]:
    """1 - dice, over the pixels that the places stand for (arXiv 1606.04797)."""
    chance = logits.sigmoid()
    both = (weights * chance * truth).sum(-1)
    total = (weights * (chance + truth)).sum(-1)
    return 1 - (2 * both + _SMOOTH) / (total + _SMOOTH)


def overlap_loss(
    logits: Float[Tensor, "*shape p"], truth: Float[Tensor, "*shape p"], weights: Float[Tensor, "*shape p"]
) -> Float[Tensor, "*shape"]:
    """1 - IoU of chances, over the pixels that the places stand for (arXiv 1608.01471).

    Where one click may mean several masks, what costs least on average is the mask with the best mean IoU.
    """
    chance = logits.sigmoid()
    both = (weights * chance * truth).sum(-1)
    either = (weights * (chance + truth - chance * truth)).sum(-1)
    return 1 - (both + _SMOOTH) / (either + _SMOOTH)


def iou_of(
    logits: Float[Tensor, "*shape p"], truth: Float[Tensor, "*shape p"], weights: Float[Tensor, "*shape p"]
) -> Float[Tensor, "*shape"]:
    """IoU of the thresholded masks with the truth, by the places; no gradient."""
    inside = (logits.detach() > 0).to(weights.dtype)
    both = (weights * inside * truth).sum(-1)
    either = (weights * torch.maximum(inside, truth)).sum(-1)
    return both / either.clamp(min=1e-6)


def quality_loss(
    predicted_iou: Float[Tensor, "*shape"], iou: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Cross-entropy of a predicted IoU: it is best at the mean of what comes, as a choice of masks needs it.

    SAM's squared error has its optimum there too, SAM 2's absolute error at the median.
    """
    chance = predicted_iou.float().clamp(1e-4, 1 - 1e-4)
    return -(iou * chance.log() + (1 - iou) * (1 - chance).log())


def mask_costs(
    logits: Float[Tensor, "n masks truths p"],
    truth: Float[Tensor, "n truths p"],
    weights: Float[Tensor, "n truths p"],
    config: LossConfig,
) -> Float[Tensor, "n masks truths"]:
    """Focal and dice of every mask against every truth."""
    wanted = truth[:, None].expand_as(logits)
    focal = focal_loss(logits, wanted, config.focal_alpha, config.focal_gamma)
    dice = dice_loss(logits, wanted, weights[:, None].expand_as(logits))
    return config.focal * focal + config.dice * dice


def matched_loss(
    costs: Float[Tensor, "n 3 3"], known: Bool[Tensor, "n 3"], others: float
) -> Float[Tensor, " n"]:
    """The loss of three candidates against the one to three truths under a click.

    Each truth gets a candidate of its own, so that their sum is least. The first truth is the one that was
    asked for: it counts fully, the others half. Candidates without a truth learn the first one with the
    weight `others`.
    """
    importance = known.float() * torch.tensor([1.0, 0.5, 0.5], device=costs.device)
    weighted = costs * importance[:, None]
    orders = torch.tensor(_ORDERS, device=costs.device)  # (6, 3): the candidate of each truth
    truths = torch.arange(3, device=costs.device)
    sums = weighted[:, orders, truths].sum(-1)  # (n, 6)
    best = sums.argmin(1)
    total = sums.gather(1, best[:, None])[:, 0]
    spare = (~known).float().gather(1, orders[best].argsort(1))  # by candidate: 1 where its truth is unknown
    return total + others * (spare * costs[:, :, 0]).sum(1)
