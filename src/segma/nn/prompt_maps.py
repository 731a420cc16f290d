"""Clicks and boxes drawn as maps: where a convolution can see them. Ours; official weights know tokens only.

A click is a narrow and a wide bell, foreground and background apart, a box is filled. Tokens alone have to
learn where a click is; a map shows it (RITM, arXiv 2102.06583, and others draw discs).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from segma.nn.sliding import widest

NUM_MAPS = 5
# Standard deviations of a click's two bells, in cells of the map.
_NARROW, _WIDE = 1.0, 6.0
# Mask logits enter as 2 * tanh(logits / 4): as large as the maps, and flat where a mask is sure.
_SOFT, _GAIN = 4.0, 2.0


def prompt_maps(
    coords: Float[Tensor, "batch points 2"] | None,
    labels: Int[Tensor, "batch points"] | None,
    boxes: Float[Tensor, "batch 4"] | None,
    *,
    batch: int,
    side: int,
    image_size: int,
    device: torch.device,
) -> Float[Tensor, "batch 5 side side"]:
    """Foreground narrow, foreground wide, background narrow, background wide, box: each in 0..1.

    `coords` and `boxes` are pixels of the input frame (an integer is the middle of a pixel), of which
    `side` x `side` cells are seen. Clicks that are neither 1 nor 0 are left out.
    """
    maps = torch.zeros(batch, NUM_MAPS, side, side, device=device)
    centres = (torch.arange(side, device=device) + 0.5) * (image_size / side)
    if coords is not None and labels is not None and coords.shape[1]:
        squares = ((centres - (coords[..., None].float() + 0.5)) * (side / image_size)).square()
        for kind in (0, 1):
            wanted = (labels == 1 - kind).float()[..., None]
            for place, spread in enumerate((_NARROW, _WIDE)):
                bells = torch.exp(squares / (-2 * spread * spread))  # (batch, points, xy, side)
                rows, columns = bells[:, :, 1] * wanted, bells[:, :, 0]
                drawn = torch.einsum("bpy,bpx->byx", rows, columns)
                maps[:, 2 * kind + place] = drawn.clamp(max=1)
    if boxes is not None:
        x0, y0, x1, y1 = ((boxes[:, k, None].float() + 0.5) for k in range(4))
        step = image_size / side  # edges are soft over one cell
        columns = (((centres - x0) / step + 0.5).clamp(0, 1)) * (((x1 - centres) / step + 0.5).clamp(0, 1))
        rows = (((centres - y0) / step + 0.5).clamp(0, 1)) * (((y1 - centres) / step + 0.5).clamp(0, 1))
        maps[:, 4] = rows[:, :, None] * columns[:, None, :]
    return maps


def with_mask(
    maps: Float[Tensor, "batch maps side side"], mask_logits: Float[Tensor, "batch 1 side side"] | None
) -> Float[Tensor, "batch more side side"]:
    """The mask prompt, softened, before the maps; zeros where there is none."""
    if mask_logits is None:
        mask = maps.new_zeros(len(maps), 1, *maps.shape[2:])
    else:
        mask = torch.tanh(mask_logits.float() / _SOFT) * _GAIN
    return torch.cat([mask, maps], 1)


# What a place is compared with: the clicks on the object, those beside it, the region inside, that outside.
_NUM_REFERENCES = 4
# Cells of a side that a region outside a box is averaged over, as a share of the map.
_RING = 0.1


def num_channels(num_levels: int) -> int:
    """Channels of a drawn prompt: the mask, the maps, and likenesses on so many levels of features."""
    return 1 + NUM_MAPS + _NUM_REFERENCES * num_levels


def directions(levels: Sequence[Float[Tensor, "_ _ _ _"]]) -> tuple[Float[Tensor, "_ _ _ _"], ...]:
    """The features of each place without their mean, at length 1: what likeness compares."""
    centred = (level.float() - level.float().mean(1, keepdim=True) for level in levels)
    return tuple(F.normalize(each, dim=1) for each in centred)


def likeness_maps(
    levels: Sequence[Float[Tensor, "_ _ _ _"]], drawn: Float[Tensor, "batch maps side side"]
) -> Float[Tensor, "batch more side side"]:
    """How alike each place is, by its features, to what was pointed at: cosines, of every level.

    Four for each level: to the foreground clicks, to the background clicks, to the inside and to the outside
    of the mask prompt (or of the box). 0 where there is none. `levels` are `directions`, and may have batch 1
    for many prompts; `drawn` is the mask, then the maps.
    """
    side = drawn.shape[-1]
    references = _references(drawn)
    found: list[Tensor] = []
    for level in levels:
        weights = F.adaptive_avg_pool2d(references, level.shape[-1])
        features = level.expand(len(weights), -1, -1, -1)
        means = F.normalize(torch.einsum("bryx,bcyx->brc", weights, features), dim=2, eps=1e-4)
        alike = torch.einsum("brc,bcyx->bryx", means, features)
        found.append(F.interpolate(alike, (side, side), mode="bilinear", align_corners=False))
    return torch.cat(found, 1)


def _references(drawn: Float[Tensor, "batch maps side side"]) -> Float[Tensor, "batch 4 side side"]:
    """Weights of the places that others are compared with; each sums to one, or is 0 where there is none."""
    mask, foreground, background, box = drawn[:, 0], drawn[:, 1], drawn[:, 3], drawn[:, 5]
    has_mask = (mask != 0).flatten(1).any(1).view(-1, 1, 1)
    around = widest(box, round(_RING * drawn.shape[-1]))
    inside = torch.where(has_mask, (mask > 0).to(mask.dtype), box)
    outside = torch.where(has_mask, (mask < 0).to(mask.dtype), around - box)
    weights = torch.stack([foreground, background, inside, outside], 1)
    return weights / weights.sum((2, 3), keepdim=True).clamp(min=1e-3)
