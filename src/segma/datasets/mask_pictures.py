"""Masks drawn as pictures: which objects a PNG of masks holds, whoever drew it and in whichever way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32
from numpy import ndarray

from segma.masks.mask import Mask
from segma.media.image import read_ids

_VOID = 255
_MOST = 1000  # objects a picture; more values than this are shades
_GREY = 65536 + 256 + 1  # what a shade of grey is as a colour


def masks_of(path: Path) -> list[Mask]:
    """The objects of a PNG of masks, by value; black is none of them.

    Two values, as black and white, are one object. More are one object each: of a palette, of numbers of up
    to 16 bits, or of colours. 255 is void beside values that count from 1. Shades, as of smooth edges, are
    one object from the middle on. Raises InputError.
    """
    ids = read_ids(path)
    values = np.unique(ids)
    if values[-1] > 0xFFFF and (values % _GREY == 0).all():
        ids, values = ids // _GREY, values // _GREY
    values = values[values != 0]
    if values.size < 2:
        return [Mask.from_dense(ids != 0)]
    if _VOID in values and _counted(values[values != _VOID]):
        values = values[values != _VOID]
    elif values.size > _MOST or (values[-1] == _VOID and not _counted(values)):
        return [Mask.from_dense(_bright(ids))]
    return [Mask.from_dense(ids == value) for value in values]


def _counted(values: Int32[ndarray, " n"]) -> bool:
    """Whether values are 1, 2, ..."""
    return values.size > 0 and bool(values[-1] == values.size)


def _bright(ids: Int32[ndarray, "height width"]) -> Bool[ndarray, "height width"]:
    """What is nearer to white than to black; of a colour its brightest channel counts."""
    return np.maximum(np.maximum(ids >> 16, (ids >> 8) & 255), ids & 255) > _VOID // 2
