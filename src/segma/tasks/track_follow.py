"""Where the mask of the frame before lies now, and the part of the frame to look at for it (ours).

For weights that follow masks. The mask is moved along the optical flow between the two frames (DIS, arXiv
1603.03590, of OpenCV) and shown to the network as a mask prompt; the network looks at a part of the frame
around it, so that a small object fills as many cells as a large one. Both happen on a raster: the frame
stretched to a square of `RASTER` cells, whatever its size.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from segma.masks.components import disc
from segma.tasks.second_look import Window
from segma.tasks.track_config import TrackConfig

RASTER = 384
# Logits are within this where they are moved.
_CLAMP = 10.0
# Smallest side of a part, in pixels.
_LEAST = 48
# A part is looked at where it is smaller than this share of the frame.
_SHARE = 0.7
_KEPT = 4
# The logit of what is taken away.
_LOST = -1.0


@cache
def _dis() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def grey(pixels: UInt8[ndarray, "height width 3"], side: int = RASTER) -> UInt8[ndarray, "side side"]:
    """A frame as the flow sees it."""
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def flow(
    now: UInt8[ndarray, "side side"], before: UInt8[ndarray, "side side"]
) -> Float[ndarray, "side side 2"]:
    """Where each cell was on the frame before, less where it is now: x, y in cells."""
    found = np.zeros((*now.shape, 2), np.float32)
    _dis().calc(now, before, found)
    return found


def moved(
    logits: Float[Tensor, "batch 1 side side"], motion: Float[Tensor, "side side 2"] | None
) -> Float[Tensor, "batch 1 side side"]:
    """Masks of the frame before as they lie now; where they stood, without a flow."""
    logits = logits.clamp(-_CLAMP, _CLAMP)
    if motion is None:
        return logits
    side = logits.shape[-1]
    cells = torch.arange(side, device=logits.device, dtype=logits.dtype)
    places = torch.stack(torch.meshgrid(cells, cells, indexing="xy"), 2) + motion.to(logits)
    grid = ((places + 0.5) * (2 / side) - 1).expand(len(logits), -1, -1, -1)
    return F.grid_sample(logits, grid, padding_mode="border", align_corners=False)


@dataclass(slots=True)
class Motions:
    """The flow from the frame before to the current one, and the last few frames as it sees them."""

    greys: OrderedDict[int, UInt8[ndarray, "side side"]] = field(
        default_factory=OrderedDict[int, UInt8[ndarray, "side side"]]
    )
    known: tuple[int, int, Float[Tensor, "side side 2"]] | None = None

    def see(self, frame: int, pixels: UInt8[ndarray, "height width 3"]) -> None:
        """Take a frame that is at hand."""
        if frame not in self.greys:
            self.greys[frame] = grey(pixels)
        self.greys.move_to_end(frame)
        while len(self.greys) > _KEPT:
            self.greys.popitem(last=False)

    def between(self, now: int, before: int) -> Float[Tensor, "side side 2"] | None:
        """The flow, None where one of the frames was not seen."""
        if now not in self.greys or before not in self.greys:
            return None
        if self.known is None or self.known[:2] != (now, before):
            found = torch.from_numpy(flow(self.greys[now], self.greys[before]))  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
            self.known = (now, before, found)
        return self.known[2]


def on_raster(
    logits: Float[Tensor, "side side"], window: Window | None, size: tuple[int, int]
) -> Float[Tensor, "1 1 raster raster"]:
    """Logits of a part of a frame of `size` (height, width), None: of all of it, on the raster."""
    logits = logits.float().clamp(-_CLAMP, _CLAMP)[None, None]
    if window is None:
        return F.interpolate(logits, (RASTER, RASTER), mode="bilinear", align_corners=False)
    x0, y0, x1, y1 = _cells(window, size)
    whole = logits.new_full((1, 1, RASTER, RASTER), -_CLAMP)
    part = F.interpolate(logits, (y1 - y0, x1 - x0), mode="bilinear", align_corners=False)
    whole[..., y0:y1, x0:x1] = part
    return whole


def of_raster(
    whole: Float[Tensor, "1 1 raster raster"], window: Window | None, size: tuple[int, int], side: int
) -> Float[Tensor, "side side"]:
    """The logits of a part of the frame, None: of all of it, at `side` cells."""
    x0, y0, x1, y1 = (0, 0, RASTER, RASTER) if window is None else _cells(window, size)
    part = whole[..., y0:y1, x0:x1]
    shrinks = part.shape[-1] > side or part.shape[-2] > side
    found = F.interpolate(part, (side, side), mode="bilinear", align_corners=False, antialias=shrinks)
    return found[0, 0]


def window_around(
    whole: Float[Tensor, "1 1 raster raster"], size: tuple[int, int], closer: float
) -> Window | None:
    """The part of a frame of `size` to look at: a square of `closer` extents about a mask on the raster.

    Where the frame is less wide or high than that, so is the part. None where the whole frame will do, or
    nothing is there.
    """
    inside = whole[0, 0] > 0
    if not closer or not bool(inside.any()):
        return None
    height, width = size
    columns, rows = (torch.nonzero(inside.any(axis))[:, 0] for axis in (0, 1))
    x0, x1 = (float(edge) * width / RASTER for edge in (columns[0], columns[-1] + 1))
    y0, y1 = (float(edge) * height / RASTER for edge in (rows[0], rows[-1] + 1))
    side = max(_LEAST, round(closer * max(x1 - x0, y1 - y0)))
    across, down = min(side, width), min(side, height)
    if across * down > _SHARE * width * height:
        return None
    left = round(min(max(0.0, (x0 + x1 - across) / 2), width - across))
    top = round(min(max(0.0, (y0 + y1 - down) / 2), height - down))
    return left, top, left + across, top + down


def steadied(
    logits: Float[Tensor, "side side"], expected: Float[Tensor, "side side"], config: TrackConfig
) -> Float[Tensor, "side side"]:
    """What was found, held back by the mask that was `expected` there, so that errors do not grow.

    A share of the expected logits is mixed in; what lies too far from the expected mask, and pieces that do
    not touch it, are taken away.
    """
    known = (expected > 0).cpu().numpy()
    logits = logits.clamp(-_CLAMP, _CLAMP)
    logits = logits + config.inertia * (expected.clamp(-_CLAMP, _CLAMP) - logits)
    if not known.any():
        return logits
    found = (logits > 0).cpu().numpy()
    allowed = found
    if config.reach:
        radius = max(1, round(config.reach * math.sqrt(np.count_nonzero(known))))
        allowed = found & (cv2.dilate(known.astype(np.uint8), disc(radius)) > 0)
    _, pieces = cv2.connectedComponents(allowed.astype(np.uint8), connectivity=8)
    kept = allowed & np.isin(pieces, pieces[known & allowed])
    lost = torch.as_tensor(found & ~kept, device=logits.device)
    return torch.where(lost, torch.full_like(logits, _LOST), logits)


def _cells(window: Window, size: tuple[int, int]) -> Window:
    """A part of a frame in whole cells of the raster, one at least."""
    height, width = size
    x0, x1 = (round(window[k] * RASTER / width) for k in (0, 2))
    y0, y1 = (round(window[k] * RASTER / height) for k in (1, 3))
    x0, y0 = min(x0, RASTER - 1), min(y0, RASTER - 1)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
