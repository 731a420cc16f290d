"""Pictures of one size beside each other, each with its name above."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.media.draw import Colour
from segma.media.labels import Label, draw_labels

_LEAST_SIDE = 256
_PAPER: Colour = (250, 250, 251)
_PLATE: Colour = (28, 32, 38)
_GAP = 4


def panels_size(size: tuple[int, int], count: int) -> tuple[int, int]:
    """Height and width of `side_by_side` of so many pictures of `size` (height, width)."""
    factor = _factor(size)
    return size[0] * factor, count * size[1] * factor + (count - 1) * _GAP


def side_by_side(
    pictures: Mapping[str, UInt8[ndarray, "height width 3"]],
) -> UInt8[ndarray, "rows columns 3"]:
    """The pictures in their order from left to right, by name.

    Small ones are enlarged by a whole number, without smoothing, so that what was lost can be seen.
    """
    shown = list(pictures.values())
    height, width = shown[0].shape[:2]
    factor = _factor((height, width))
    step = width * factor + _GAP
    canvas = np.full((*panels_size((height, width), len(shown)), 3), _PAPER, np.uint8)
    for index, picture in enumerate(shown):
        large = picture.repeat(factor, 0).repeat(factor, 1)
        canvas[:, index * step : index * step + width * factor] = large
    lefts = [float(index * step) for index in range(len(shown))]
    boxes = [(left, 0.0, left + width * factor, 1.0) for left in lefts]
    labels = [Label(name=name, colour=_PLATE, box=box) for name, box in zip(pictures, boxes, strict=True)]
    return draw_labels(canvas, labels)


def _factor(size: tuple[int, int]) -> int:
    return max(1, -(-_LEAST_SIDE // max(size)))
