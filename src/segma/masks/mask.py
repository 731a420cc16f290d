"""What is inside: one mask, and a list of them. Stored as run lengths, dense on request.

Invariants: the crop is the tight box of the foreground (0 x 0 at (0, 0) for an empty mask), so two
masks are equal when their pixels are; nothing here is ever changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from segma.errors import FormatError
from segma.masks import rle
from segma.masks.rle import CocoRle

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """One object's pixels in an image of `size` = (height, width).

    `counts` are COCO's compressed run lengths (down the columns) of the crop of `crop_size` pixels
    whose first pixel is `offset` = (top, left).

    >>> import numpy as np
    >>> mask = Mask.from_dense(np.array([[0, 0, 0], [0, 1, 1]], bool))
    >>> mask.area, mask.box
    (2, (1.0, 1.0, 2.0, 1.0))
    """

    size: tuple[int, int]
    offset: tuple[int, int]
    crop_size: tuple[int, int]
    counts: bytes

    @classmethod
    def from_dense(cls, mask: Bool[ndarray, "height width"], *, within: Box | None = None) -> Mask:
        """The mask of a boolean array.

        `within` (x0, y0, x1, y1, inclusive) may name a region that holds all of its pixels, so that the
        rest need not be looked at.
        """
        top, left, region = 0, 0, mask
        if within is not None:
            x0, y0, x1, y1 = (int(v) for v in within)
            top, left, region = y0, x0, mask[y0 : y1 + 1, x0 : x1 + 1]
        return cls.from_crop(region, (top, left), mask.shape)

    @classmethod
    def from_crop(
        cls,
        crop: Bool[ndarray, "rows columns"],
        offset: tuple[int, int],
        size: tuple[int, int],
    ) -> Mask:
        """The mask of a boolean crop whose first pixel is at `offset` = (top, left)."""
        rows, columns = np.flatnonzero(crop.any(1)), np.flatnonzero(crop.any(0))
        if rows.size == 0:
            return cls(size=(size[0], size[1]), offset=(0, 0), crop_size=(0, 0), counts=b"")
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
        tight = crop[y0 : y1 + 1, x0 : x1 + 1]
        return cls(
            size=(size[0], size[1]),
            offset=(offset[0] + y0, offset[1] + x0),
            crop_size=(y1 - y0 + 1, x1 - x0 + 1),
            counts=rle.encode(tight),
        )

    @classmethod
    def from_coco(cls, data: CocoRle) -> Mask:
        """The mask of COCO's run-length object. Raises FormatError where it is none."""
        numbers, size = coco_runs(data)
        runs, offset, crop_size = rle.crop_runs(numbers, size)
        counts = rle.compress(runs, crop_size) if runs.size else b""
        return cls(size=size, offset=offset, crop_size=crop_size, counts=counts)

    def dense(self) -> Bool[ndarray, "height width"]:
        """The boolean array, made anew on every call."""
        out = np.zeros(self.size, bool)
        (y, x), (h, w) = self.offset, self.crop_size
        if h:
            out[y : y + h, x : x + w] = self.crop()
        return out

    def crop(self) -> Bool[ndarray, "rows columns"]:
        """The pixels inside the tight box."""
        return rle.decode(self.counts, self.crop_size) if self.crop_size[0] else np.zeros((0, 0), bool)

    def to_coco(self) -> CocoRle:
        """COCO's object: compressed counts of the whole image, as text, so that it is JSON."""
        return {"size": list(self.size), "counts": rle.compress(self.runs(), self.size).decode()}

    def runs(self) -> ndarray:
        """Uncompressed run lengths of the whole image, down the columns, background first."""
        if not self.crop_size[0]:
            return np.array([self.size[0] * self.size[1]])
        return rle.shift_runs(rle.runs(self.counts), self.crop_size, self.offset, self.size)

    @property
    def area(self) -> int:
        """Foreground pixels."""
        return rle.area(self.counts, self.crop_size) if self.crop_size[0] else 0

    @property
    def box(self) -> Box:
        """x0, y0, x1, y1 of the outermost pixels, themselves inside; all 0 for an empty mask."""
        if not self.crop_size[0]:
            return (0.0, 0.0, 0.0, 0.0)
        (y, x), (h, w) = self.offset, self.crop_size
        return (float(x), float(y), float(x + w - 1), float(y + h - 1))

    def moved(self, offset: tuple[int, int], size: tuple[int, int]) -> Mask:
        """The same pixels in a larger image, shifted by (down, right)."""
        if not self.crop_size[0]:
            return Mask(size=size, offset=(0, 0), crop_size=(0, 0), counts=b"")
        place = (self.offset[0] + offset[0], self.offset[1] + offset[1])
        return Mask(size=size, offset=place, crop_size=self.crop_size, counts=self.counts)

    @classmethod
    def union(cls, masks: Sequence[Mask]) -> Mask:
        """The pixels of any of several masks of one size."""
        dense = np.zeros(masks[0].size, bool)
        for mask in masks:
            (y, x), (h, w) = mask.offset, mask.crop_size
            dense[y : y + h, x : x + w] |= mask.crop()
        return cls.from_dense(dense)

    def __repr__(self) -> str:
        x0, y0, x1, y1 = self.box
        return f"Mask({self.size[1]}x{self.size[0]}, area {self.area}, box {x0:g},{y0:g},{x1:g},{y1:g})"


def coco_runs(data: CocoRle) -> tuple[Integer[ndarray, " runs"], tuple[int, int]]:
    """Run lengths, background first, and size of COCO's object; nothing is decoded. Raises FormatError."""
    try:
        height, width = (int(v) for v in data["size"])
        counts = data["counts"]
        numbers = (
            rle.runs(counts.encode() if isinstance(counts, str) else counts)
            if isinstance(counts, str | bytes)
            else rle.listed(counts)
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError("format.bad", f"run lengths cannot be read: {error}.") from error
    total = int(numbers.sum()) if numbers.size else 0
    if height < 0 or width < 0 or height * width > 10**9:
        raise FormatError("format.bad", f"a mask claims {width}x{height} pixels.")
    most = height * width  # no run is longer: that also keeps their sum from wrapping round
    bad = numbers.size and (numbers.min() < 0 or numbers.max() > most)
    if bad or total != most:
        raise FormatError("format.bad", f"rle sums to {total}, image is {width}x{height} = {height * width}.")
    return numbers, (height, width)


def mask_iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks of one size; 1 where both are empty.

    >>> import numpy as np
    >>> mask_iou(Mask.from_dense(np.eye(2, dtype=bool)), Mask.from_dense(np.ones((2, 2), bool)))
    0.5
    """
    total = a.area + b.area
    if not total:
        return 1.0
    top, left = (max(x, y) for x, y in zip(a.offset, b.offset, strict=True))
    bottom, right = (
        min(a.offset[axis] + a.crop_size[axis], b.offset[axis] + b.crop_size[axis]) for axis in (0, 1)
    )
    if bottom <= top or right <= left:
        return 0.0
    first, second = (
        each.crop()[
            top - each.offset[0] : bottom - each.offset[0], left - each.offset[1] : right - each.offset[1]
        ]
        for each in (a, b)
    )
    shared = int(np.count_nonzero(first & second))
    return shared / (total - shared)


@dataclass(frozen=True, slots=True)
class CompactMasks(Sequence[Mask]):
    """Several masks of one image, a sequence of `Mask`; `dense()` stacks them."""

    items: tuple[Mask, ...]
    size: tuple[int, int]

    def __init__(self, items: Iterable[Mask], size: tuple[int, int]) -> None:
        object.__setattr__(self, "items", tuple(items))
        object.__setattr__(self, "size", size)

    def dense(self) -> Bool[ndarray, "n height width"]:
        """All masks as one boolean array."""
        out = np.zeros((len(self.items), *self.size), bool)
        for row, mask in zip(out, self.items, strict=True):
            row[...] = mask.dense()
        return out

    @property
    def boxes(self) -> Float[ndarray, "n 4"]:
        """Tight boxes, xyxy, float32."""
        return np.array([m.box for m in self.items], np.float32).reshape(-1, 4)

    @property
    def areas(self) -> ndarray:
        """Foreground pixels of each."""
        return np.array([m.area for m in self.items], np.int64)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Mask]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Mask: ...
    @overload
    def __getitem__(self, index: slice) -> CompactMasks: ...
    def __getitem__(self, index: int | slice) -> Mask | CompactMasks:
        if isinstance(index, slice):
            return CompactMasks(self.items[index], self.size)
        return self.items[index]

    def __repr__(self) -> str:
        return f"CompactMasks({len(self.items)} of {self.size[1]}x{self.size[0]})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Masklet:
    """One object over frames: `masks` by frame index, in the order of the frames.

    A frame that is not in `masks` was not annotated; an empty mask says that the object is not to be seen.
    The mapping may read from a database as it is asked, so go through it frame by frame.
    """

    size: tuple[int, int]
    masks: Mapping[int, Mask]

    def dense(self, frame: int) -> Bool[ndarray, "height width"]:
        """The pixels on one frame; none where it was not annotated."""
        mask = self.masks.get(frame)
        return np.zeros(self.size, bool) if mask is None else mask.dense()

    def __len__(self) -> int:
        return len(self.masks)
