"""Simulated corrections, many at once, in torch: where the next click falls, from truth and answer.

The twin of `prompts.simulate` (one mask, exactly in the middle of the worst error), held to it by a property
test: a click falls on an error whenever there is one, and its label is what the truth says at that pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

# Erosions tried to find the inner part of an error, each one cell deep.
_DEEPEST = 8


def depths(regions: Bool[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """How many cells (chessboard steps, at most 9) each cell of a region is from its edge; 0 outside.

    The edge of the map counts as an edge.
    """
    left = F.pad(regions, (1, 1, 1, 1))
    depth = regions.to(torch.uint8)
    for _ in range(_DEEPEST):  # as truth values, one axis at a time: a tenth of the time of a pooling
        rows = left[:, :, :-2] & left[:, :, 1:-1] & left[:, :, 2:]
        kept = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
        depth += kept
        left = F.pad(kept, (1, 1, 1, 1))
    return depth.float()


def next_clicks(
    masks: UInt8[Tensor, "n size size"],
    logits: Float[Tensor, "n side side"],
    *,
    inner: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
    """The next click of every prompt: xy in pixels of the masks, and labels 1 or 0.

    It falls on an error, or, where there is none, anywhere in the object. With the chance `inner` it is from
    the inner half of the errors, else anywhere in them (SAM appendix A draws all of them so). Drawn on the
    CPU, so that a seed means the same clicks everywhere.
    """
    side, size = logits.shape[-1], masks.shape[-1]
    cell = size // side
    share = F.avg_pool2d(masks[:, None].float(), cell)[:, 0]
    truth = share > 0.5
    wrong = truth != (logits > 0)
    depth = depths(wrong)
    deepest = depth.flatten(1).amax(1)
    is_inner = torch.rand(len(masks), generator=generator).to(masks.device) < inner
    least = torch.where(is_inner, 0.5 * deepest, torch.zeros_like(deepest)).view(-1, 1, 1)
    chances = (wrong & (depth >= least)).float()
    nothing = (chances.flatten(1).sum(1) == 0).view(-1, 1, 1)
    chances = torch.where(nothing, share + 1e-6, chances).flatten(1)
    picked = torch.multinomial(chances.cpu(), 1, generator=generator)[:, 0]
    within = torch.rand(2, len(masks), generator=generator)
    x = ((picked % side) + within[0]) * cell
    y = (torch.div(picked, side, rounding_mode="floor") + within[1]) * cell
    xy = torch.stack([x, y], 1).floor().clamp(max=size - 1).long().to(masks.device)
    labels = masks[torch.arange(len(masks), device=masks.device), xy[:, 1], xy[:, 0]].long()
    return xy.float(), labels
