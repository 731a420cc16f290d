"""A second look at small things: the part of the picture around one, encoded at the model's full size.

A network sees a small object at a few of its cells only. What was pointed at is cut out with some of its
surroundings, asked about again, and put back. The embeddings of the last parts are kept for the next clicks.
Coordinates are image pixels; a window is x0, y0, x1, y1 with x1 and y1 exclusive.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from segma.masks.mask import Mask
from segma.models.interfaces import InputSpec
from segma.prompts.types import Box, MaskPrompt, Points, PromptSet
from segma.results import MaskRecord

Window = tuple[int, int, int, int]
# The logit of what is outside a part that was looked at.
_OUTSIDE = -10.0
# A part whose embedding is kept serves a question that wants one up to so many times larger or smaller.
_NEAR = 1.6


@dataclass(frozen=True, kw_only=True, slots=True)
class LookConfig:
    """When a second look is taken, and how close it is."""

    share: float = 0.6
    """Taken where the part to look at is smaller than this share of the picture, both ways."""
    context: float = 2.5
    """Side of the part, in extents of what was found; of a box it is three quarters of this."""
    least: int = 48
    """Smallest side of a part, in pixels."""
    kept: int = 4
    """Parts whose embeddings are kept."""

    def __post_init__(self) -> None:
        assert 0 < self.share <= 1 <= self.context, "a part must hold what it is about, and be one"


def usual_look(spec: InputSpec) -> LookConfig | None:
    """The look that goes with a model: none with official weights, which see small things well."""
    return LookConfig() if spec.looks_twice else None


def window_of(
    prompt: PromptSet,
    answer: Mask | None,
    size: tuple[int, int],
    config: LookConfig,
    kept: Collection[Window] = (),
) -> Window | None:
    """The part of a picture of `size` (height, width) to look at again; None where the whole will do.

    It is about the prompt's box, else the mask that is to be improved, else the `answer`, and it holds all
    points with some room around them. One of those `kept` is taken if it does nearly as well.
    """
    height, width = size
    extent, context = _extent(prompt, answer, size), config.context
    if extent is None:
        return None
    if prompt.box is not None:
        context *= 0.75
    if prompt.points is not None:
        xs, ys = ([xy[axis] for xy in prompt.points.xy] for axis in (0, 1))
        extent = (min(extent[0], *xs), min(extent[1], *ys), max(extent[2], *xs), max(extent[3], *ys))
    x0, y0, x1, y1 = extent
    side = max(config.least, math.ceil(context * max(x1 - x0 + 1, y1 - y0 + 1)))
    if side > config.share * width or side > config.share * height:
        return None
    left = round(min(max(0.0, (x0 + x1 + 1 - side) / 2), width - side))
    top = round(min(max(0.0, (y0 + y1 + 1 - side) / 2), height - side))
    usable = (each for each in kept if _serves(each, (x0, y0, x1, y1), side))
    return next(usable, (left, top, left + side, top + side))


def _serves(window: Window, extent: tuple[float, float, float, float], side: int) -> bool:
    """Whether a part holds an extent with some room and is about as large as wanted."""
    room = 0.1 * side
    holds = (
        window[0] <= max(0, extent[0] - room)
        and window[1] <= max(0, extent[1] - room)
        and window[2] >= extent[2] + 1
        and window[3] >= extent[3] + 1
    )
    return holds and 1 / _NEAR <= (window[2] - window[0]) / side <= _NEAR


def _extent(
    prompt: PromptSet, answer: Mask | None, size: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """x0, y0, x1, y1 of what is asked about, its outermost pixels inside."""
    if prompt.box is not None:
        return prompt.box.xyxy
    if prompt.mask is not None:
        rows, columns = np.nonzero(prompt.mask.logits > 0)
        if not len(rows):
            return None
        down, right = (side / each for side, each in zip(size, prompt.mask.logits.shape, strict=True))
        return (
            float(columns.min() * right),
            float(rows.min() * down),
            float((columns.max() + 1) * right - 1),
            float((rows.max() + 1) * down - 1),
        )
    if answer is None or not answer.area:
        return None
    x0, y0, x1, y1 = answer.box
    return float(x0), float(y0), float(x1), float(y1)


def in_window(prompt: PromptSet, window: Window, size: tuple[int, int]) -> PromptSet:
    """The prompt as it is seen in a part of a picture of `size`. The logits are of a stretched picture."""
    x, y = window[:2]
    points = prompt.points and Points([(px - x, py - y) for px, py in prompt.points.xy], prompt.points.labels)
    box = prompt.box and Box(prompt.box.x0 - x, prompt.box.y0 - y, prompt.box.x1 - x, prompt.box.y1 - y)
    mask = prompt.mask and MaskPrompt(_part(prompt.mask.logits, window, size))
    return PromptSet(points=points, box=box, mask=mask, embedding=prompt.embedding)


def _part(
    logits: Float[ndarray, "side side"], window: Window, size: tuple[int, int]
) -> Float[ndarray, "side side"]:
    """A part of the logits of a stretched picture, at the same number of cells."""
    side = logits.shape[0]
    scale_x, scale_y = ((window[2 + k] - window[k]) / size[1 - k] for k in (0, 1))
    x0, y0 = window[0] * side / size[1], window[1] * side / size[0]
    matrix = np.array([[scale_x, 0, x0 + 0.5 * scale_x - 0.5], [0, scale_y, y0 + 0.5 * scale_y - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(logits, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def in_whole(
    logits: Float[ndarray, "side side"], window: Window, size: tuple[int, int]
) -> Float[ndarray, "side side"]:
    """The logits of a part as logits of the whole (stretched) picture, to be given back as a prompt."""
    side = logits.shape[0]
    x0, x1 = (round(window[k] * side / size[1]) for k in (0, 2))
    y0, y1 = (round(window[k] * side / size[0]) for k in (1, 3))
    whole = np.full_like(logits, _OUTSIDE)
    part = cv2.resize(logits, (max(1, x1 - x0), max(1, y1 - y0)), interpolation=cv2.INTER_AREA)
    whole[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    return whole


def placed(record: MaskRecord, window: Window, prompt: PromptSet, size: tuple[int, int]) -> MaskRecord:
    """A record of a part as one of the whole picture of `size`; `prompt` is the one about the whole."""
    assert record.low_res_logits is not None
    x0, y0, x1, y1 = window
    return replace(
        record,
        compact=record.compact.moved((y0, x0), size),
        points=prompt.points.xy if prompt.points else (),
        crop_box=(float(x0), float(y0), float(x1), float(y1)),
        low_res_logits=in_whole(record.low_res_logits, window, size),
    )
