"""Run lengths of masks: COCO's compressed form over pycocotools, on the box crop of the mask.

Runs go down the columns (index = x * height + y) and alternate, background first. Encoding the crop
instead of the whole picture takes most of the cost away for small objects; `shift_runs` moves the
runs of a crop into the frame of the picture without ever making the picture-sized array.

Where pycocotools is not installed (a machine lent for training), numpy does the same, more slowly.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Bool, Integer
from numpy import ndarray

Size = tuple[int, int]


class CocoRle(TypedDict):
    """COCO's run-length object: `size` = [height, width], `counts` compressed (text or bytes) or a list."""

    size: list[int]
    counts: str | bytes | list[int]


@cache
def _pycocotools() -> Any:  # its stubs say str where it gives bytes, and know one form of input only
    """The module, imported when first asked for; None where there is none."""
    try:
        from pycocotools import mask
    except ImportError:
        return None
    return mask


def encode(mask: Bool[ndarray, "height width"]) -> bytes:
    """Compressed column-order counts of a mask."""
    coco = _pycocotools()
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"] if coco else _string(_counts(mask))


def decode(counts: bytes, size: Size) -> Bool[ndarray, "height width"]:
    """The mask of compressed counts; the sum of the runs must be that of `size`."""
    values = runs(counts)
    # Not by pycocotools: its decoder trusts the counts, and warns with numpy 2.
    flat = np.repeat(np.arange(values.size) % 2 == 1, values)
    return flat.reshape(size[1], size[0]).T


def area(counts: bytes, size: Size) -> int:
    """Foreground pixels."""
    coco = _pycocotools()
    return int(coco.area({"size": list(size), "counts": counts}) if coco else runs(counts)[1::2].sum())


def runs(counts: bytes) -> Integer[ndarray, " runs"]:
    """Uncompressed run lengths, background first.

    COCO's string has 5 bits a character, differences to the run before last from the fourth run on, and
    the sign in bit 0x10.
    """
    digits = np.frombuffer(counts, np.uint8) - np.uint8(48)  # which wraps round below 48
    if digits.size == 0:
        return np.zeros(0, np.int64)
    if digits.max() > 63 or digits[-1] & 0x20:
        raise ValueError("not a COCO run-length string")
    ends = np.flatnonzero(digits < 0x20)
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    lengths[0] += 1
    longest = int(lengths.max())
    if longest > 12:
        raise ValueError("a run length of over 60 bits")
    values = digits.astype(np.int64)
    numbers = ((values[ends] & 0x1F) ^ 0x10) - 0x10  # the last digit has the sign
    for back in range(1, longest):
        at = np.flatnonzero(lengths > back)
        numbers[at] = (numbers[at] << 5) | (values[ends[at] - back] & 0x1F)
    for odd in (1, 2):  # runs 1, 3, 5, ... and 2, 4, 6, ...: differences to the run before last
        numbers[odd::2] = np.cumsum(numbers[odd::2])
    return numbers


def listed(counts: object) -> Integer[ndarray, " runs"]:
    """Run lengths of a list of whole numbers. Raises ValueError for anything else."""
    values = np.asarray(counts)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iuf") or (values % 1 != 0).any():
        raise ValueError("counts is no list of whole numbers")
    return values.astype(np.int64)


def compress(counts: Integer[ndarray, " runs"], size: Size) -> bytes:
    """Compressed counts of uncompressed ones."""
    coco = _pycocotools()
    if coco is None:
        return _string(counts)
    return coco.frPyObjects({"size": list(size), "counts": counts.tolist()}, *size)["counts"]


def _counts(mask: Bool[ndarray, "height width"]) -> Integer[ndarray, " runs"]:
    """Uncompressed run lengths of a mask, background first."""
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0, 0] if flat[:1].any() else [0]  # the background comes first, if only for no pixels
    return np.diff(np.concatenate([first, changes, [flat.size]]))


def _string(counts: Integer[ndarray, " runs"]) -> bytes:
    """COCO's string, the inverse of `runs`: from the fourth on, a run is told by its difference."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    digits: list[Integer[ndarray, " runs"]] = []
    going = np.ones(values.size, bool)
    while going.any():
        low, values = values & 0x1F, values >> 5
        more = going & (values != -(low >> 4))  # else the sign of this digit says it all
        digits.append(np.where(going, low + (more << 5) + 48, 0))
        going = more
    table = np.array(digits, np.uint8).T.reshape(-1)
    return table[table > 0].tobytes()


def shift_runs(
    counts: Integer[ndarray, " runs"], crop: Size, offset: tuple[int, int], size: Size
) -> Integer[ndarray, " more_runs"]:
    """Runs of a crop as runs of the whole picture; `offset` = (top, left) of the crop."""
    height = crop[0]
    ends = np.cumsum(counts)
    first, past = ends[:-1:2], ends[1::2]
    first, past = first[first < past], past[first < past]
    if first.size == 0:
        return np.array([size[0] * size[1]])
    # A run that crosses columns of the crop is cut at every column it enters.
    column_first, column_last = first // height, (past - 1) // height
    pieces = column_last - column_first + 1
    column = np.repeat(column_first, pieces) + _ramp(pieces)
    top = np.maximum(np.repeat(first, pieces), column * height) - column * height
    bottom = np.minimum(np.repeat(past, pieces), (column + 1) * height) - column * height
    base = (column + offset[1]) * size[0] + offset[0]
    edges = np.stack([base + top, base + bottom], 1).reshape(-1)
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1  # full-height columns touch
    edges = np.delete(edges, np.concatenate([joined, joined + 1]))
    found = np.diff(np.concatenate(([0], edges, [size[0] * size[1]])))
    return found if found[-1] else found[:-1]  # no empty run after a last pixel of the foreground


def crop_runs(
    counts: Integer[ndarray, " runs"], size: Size
) -> tuple[Integer[ndarray, " fewer_runs"], tuple[int, int], Size]:
    """Runs of the tight box of the foreground, its offset (top, left) and its size: undoes `shift_runs`.

    The runs must sum to the pixels of `size`. Of an empty mask there are no runs, of 0 x 0 pixels at (0, 0).
    """
    ends = np.cumsum(counts)
    first, past = ends[:-1:2], ends[1::2]
    if not counts.all():  # empty runs may stand anywhere: without them no two runs touch
        first, past = _untouching(first[first < past], past[first < past])
    if first.size == 0:
        return counts[:0], (0, 0), (0, 0)
    height = size[0]
    column, last_column = first // height, (past - 1) // height
    left, right = int(column[0]), int(last_column[-1])
    top, bottom = 0, height - 1
    if (column == last_column).all():  # else a run goes from the last row to the first
        rows = first - column * height
        top, bottom = int(rows.min()), int((rows + (past - first)).max()) - 1
    rows = bottom - top + 1
    skipped = top + column * (height - rows) + left * rows
    first, past = first - skipped, past - skipped
    if 0 < rows < height:
        first, past = _untouching(first, past)
    pixels = rows * (right - left + 1)
    edges = np.empty(2 * first.size + 2, np.int64)
    edges[0], edges[-1] = 0, pixels
    edges[1:-1:2], edges[2:-1:2] = first, past
    found = edges[1:] - edges[:-1]
    return (found if found[-1] else found[:-1]), (top, left), (rows, right - left + 1)


def _untouching(
    first: Integer[ndarray, " n"], past: Integer[ndarray, " n"]
) -> tuple[Integer[ndarray, " fewer"], Integer[ndarray, " fewer"]]:
    """Stretches of foreground, those joined that touch."""
    apart = first[1:] != past[:-1]
    return first[np.append(True, apart)[: first.size]], past[np.append(apart, True)[: past.size]]


def _ramp(lengths: Integer[ndarray, " n"]) -> Integer[ndarray, " total"]:
    """0, 1, ..., length - 1 for each length, one after the other."""
    total = int(lengths.sum())
    return np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
