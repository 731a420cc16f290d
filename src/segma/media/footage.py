"""A picture or a video as frames one after the other, for work that takes both alike."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from segma.errors import InputError
from segma.media.arrays import Tensor
from segma.media.image import SUFFIXES, list_images, read_image
from segma.media.source import ArraySource, FrameSource, open_source, span

# Pictures that may move.
_ANIMATED = frozenset({".gif", ".apng"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Footage:
    """Frames `first` to `last` (inclusive; None: to the end) of a source, all of `size` (height, width).

    `is_picture`: whether it is a single picture, and not a video of one frame.
    """

    source: FrameSource
    size: tuple[int, int]
    is_picture: bool
    first: int = 0
    last: int | None = None

    @property
    def fps(self) -> float | None:
        """Frames a second, on average; None of a picture."""
        return None if self.is_picture else self.source.fps

    @property
    def num_frames(self) -> int | None:
        """How many frames, where it is known."""
        if self.last is not None:
            return self.last - self.first + 1
        return None if self.source.num_frames is None else self.source.num_frames - self.first

    def frames(self) -> Iterator[UInt8[ndarray, "height width 3"]]:
        """The frames; one that cannot be decoded is the one before it again, so that time does not shift.

        Raises InputError where none can be decoded.
        """
        expected, pixels = self.first, None
        for frame in self.source.frames(self.first, self.last):
            while pixels is not None and expected < frame.index:
                yield pixels
                expected += 1
            pixels = resized(frame.pixels, self.size)
            yield pixels
            expected = frame.index + 1
        if pixels is None:
            raise InputError("input.unreadable", f"{self.source.name}: no frame of it can be decoded.")
        for _ in range(expected, self.first + (self.num_frames or 0)):
            yield pixels

    def close(self) -> None:
        """Let go of the file."""
        self.source.close()


def open_footage(
    source: object,
    *,
    longest_side: int | None = None,
    frames: tuple[int, int] | None = None,
    fps: float | int | None = None,
    allow_network: bool = False,
) -> Footage:
    """Whatever `image.read_image` or `source.open_source` takes.

    An array of three axes is a picture, one of four a clip. Larger pictures are made smaller, so that their
    longer side is `longest_side`. `frames` (first, last) are a part of a video. Raises InputError.
    """
    if longest_side is not None and longest_side < 1:
        raise InputError("input.value", f"A longer side of {longest_side} pixels is none.")
    picture = _picture(source, allow_network)
    if picture is not None:
        opened: FrameSource = ArraySource(picture[None], name=_name(source))
    else:
        opened = open_source(source, fps=fps, allow_network=allow_network)
    try:
        size = fitted(opened.size, longest_side)
        first, last = frames or (0, None)
        if frames is not None and frames[1] < frames[0]:
            raise InputError("input.value", f"Frames {frames[0]} to {frames[1]} are none.")
        if frames is not None and opened.num_frames is not None:
            span(opened.name, *frames, opened.num_frames)
    except BaseException:
        opened.close()
        raise
    return Footage(source=opened, size=size, is_picture=picture is not None, first=first, last=last)


def fitted(size: tuple[int, int], longest_side: int | None) -> tuple[int, int]:
    """Height and width, made smaller where the longer one is above `longest_side`.

    >>> fitted((300, 1200), 256)
    (64, 256)
    """
    height, width = size
    if longest_side is None or max(size) <= longest_side:
        return size
    factor = longest_side / max(size)
    return max(1, round(height * factor)), max(1, round(width * factor))


def resized(pixels: UInt8[ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[ndarray, "height width 3"]:
    """A picture made smaller by averaging; the same where it has the size."""
    if pixels.shape[:2] == size:
        return pixels
    return cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def middle_of(pixels: UInt8[ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[ndarray, "height width 3"]:
    """The middle of a picture that has the shape of `size` (height, width), made larger or smaller to it."""
    factor = min(side / wanted for side, wanted in zip(pixels.shape[:2], size, strict=True))
    rows, columns = (max(1, round(side * factor)) for side in size)
    top, left = (pixels.shape[0] - rows) // 2, (pixels.shape[1] - columns) // 2
    part = pixels[top : top + rows, left : left + columns]
    if part.shape[:2] == size:
        return np.ascontiguousarray(part)
    how = cv2.INTER_AREA if rows >= size[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (size[1], size[0]), interpolation=how), np.uint8)


def _picture(source: object, allow_network: bool) -> UInt8[ndarray, "height width 3"] | None:
    """The pixels, if it is a single picture."""
    if isinstance(source, ndarray | Tensor):
        axes = len(tuple(cast("ndarray", source).shape))
        return None if axes == 4 else read_image(cast("object", source))
    if isinstance(source, Image.Image):
        return read_image(source)
    if isinstance(source, bytes | bytearray | io.BytesIO):
        return _picture_of_bytes(source.getvalue() if isinstance(source, io.BytesIO) else bytes(source))
    if isinstance(source, str | Path) and Path(source).suffix.lower() in set(SUFFIXES) - _ANIMATED:
        path = Path(source)
        is_address = isinstance(source, str) and "://" in source
        if is_address or path.is_file() or not _names_several(source):
            return read_image(source, allow_network=allow_network)
    return None


def _picture_of_bytes(data: bytes) -> UInt8[ndarray, "height width 3"] | None:
    try:
        return read_image(data)
    except InputError as error:
        if error.code != "input.unreadable" or "known format" not in error.message:
            raise
    return None


def _names_several(source: str | Path) -> bool:
    """Whether a path is a folder or a glob."""
    try:
        return Path(source).is_dir() or bool(list_images(source))
    except InputError:
        return False


def _name(source: object) -> str:
    """The file's name, where there is one."""
    return Path(source).name if isinstance(source, str | Path) else "picture"
