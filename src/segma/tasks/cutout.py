"""An object alone, on a picture or through a video: alpha, and what lies behind it (numpy and OpenCV)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import FormatError, InputError
from segma.masks.mask import Mask
from segma.media.draw import Colour, alpha_of
from segma.media.draw import cutout as drawn_cutout
from segma.media.image import read_image
from segma.media.provenance import Mark
from segma.media.source import Frame, FrameSource
from segma.media.video_kinds import GREEN, kind_of
from segma.tasks.render import Progress, Stretch, write_frames

Behind = Colour | UInt8[ndarray, "rows columns 3"] | None
"""None: nothing, the cut-out has alpha."""
Background = Callable[[UInt8[ndarray, "height width 3"]], Any]
"""What lies behind an object, given its picture: gives a `Behind` (Any, as an array's shape is no type)."""
MasksByFrame = Callable[[int], Mask | None] | Mapping[int, Mask]
"""The object's mask by frame number; none where it is not to be seen."""

_FORM = "Use none, white, black, green, blue, #rrggbb, blur:12 or image:bg.png."
_COLOURS = (("white", "#ffffff"), ("black", "#000000"), ("green", "#00b140"), ("blue", "#0047bb"))
_SPREAD_PIXELS = 12


def background_of(text: str) -> Background:
    """What lies behind the object, given the picture. Raises InputError for a text that says nothing.

    >>> background_of("#ff8000")(None)
    (255, 128, 0)
    """
    word, _, rest = text.partition(":")
    colour = dict(_COLOURS).get(text, text)
    if text == "none":
        return lambda picture: None
    if (
        colour.startswith("#")
        and len(colour) == 7
        and all(c in "0123456789abcdef" for c in colour[1:].lower())
    ):
        red, green, blue = bytes.fromhex(colour[1:])
        return lambda picture: (red, green, blue)
    if word == "image" and rest:
        return _picture_behind(Path(rest))
    if word == "blur" and 0 < _number(rest) <= 1000:
        return lambda picture: _blurred(picture, _number(rest))
    raise InputError("input.value", f'No background "{text}".', _FORM)


def cut_picture(
    picture: UInt8[ndarray, "height width 3"],
    mask: Mask,
    behind: Background,
    *,
    feather: float | int = 0,
    grow: float | int = 0,
) -> UInt8[ndarray, "height width channels"]:
    """The object alone: RGBA, or RGB where there is something behind it (see `media.draw.cutout`)."""
    return drawn_cutout(picture, mask, feather_pixels=feather, grow_pixels=grow, background=behind(picture))


def write_cutout(
    source: FrameSource,
    masks: MasksByFrame,
    path: str | Path,
    *,
    format: str = "prores4444",
    background: str = "none",
    feather: float | int = 0,
    grow: float | int = 0,
    first: int = 0,
    last: int | None = None,
    overwrite: bool = False,
    mark: Mark | None = None,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Write an object through a video; `format` is one of `media.video_kinds.KINDS`.

    `green` and `matte` (white where the object is) bring their own background, `h264` needs one, the
    others have alpha unless a `background` of `background_of` is given. Frame times, colour tags and sound
    are the source's; frames without a mask show the background only. Frames are made one at a time. `mark` is
    what the file says of its making (`Tracker.cutout` gives one).

    Raises InputError, FormatError, StoreError and Cancelled; then nothing is left on the disk.
    """
    picture = _picture_maker(masks, format, background, feather, grow)
    stretch = Stretch(first=first, last=last, on_progress=on_progress, cancel=cancel)
    return write_frames(source, path, picture, kind=format, stretch=stretch, overwrite=overwrite, mark=mark)


def spread_colours(
    picture: UInt8[ndarray, "height width 4"], pixels: int = _SPREAD_PIXELS
) -> UInt8[ndarray, "height width 4"]:
    """The object's colours continued by so many pixels to where alpha is 0.

    A codec that loses detail would otherwise mix the black around an object into its edge. Only colours of
    the object are used; nothing of what was behind it comes back.
    """
    seen = picture[..., 3] > 0
    if not seen.any():
        return picture
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    part = np.s_[
        max(rows[0] - pixels, 0) : rows[-1] + pixels + 1,
        max(columns[0] - pixels, 0) : columns[-1] + pixels + 1,
    ]
    window = (2 * pixels + 1, 2 * pixels + 1)
    weight = seen[part].astype(np.float32)
    total = cv2.boxFilter(weight, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    colours = picture[part][..., :3].astype(np.float32) * weight[..., None]
    sums = cv2.boxFilter(colours, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    near = (total > 0.5) & ~seen[part]
    out = picture.copy()
    out[part][near, :3] = np.rint(sums[near] / total[near][:, None])
    return out


def _picture_maker(
    masks: MasksByFrame, format: str, background: str, feather: float | int, grow: float | int
) -> Callable[[Frame], UInt8[ndarray, "height width channels"]]:
    """What a frame becomes. Raises FormatError and InputError for options that contradict each other."""
    kind = kind_of(format)
    behind = background_of(background)
    if format in ("green", "matte"):
        if background not in ("none", format):
            raise InputError(
                "input.value", f"{format} has its own background, {background} was asked for.", "Use h264."
            )
        behind = _green_behind
    elif background == "none" and not kind.has_alpha:
        raise FormatError(
            "format.loss", f"{format} has no alpha.", "Choose a background, or prores4444, webm-alpha or png."
        )

    def picture(frame: Frame) -> UInt8[ndarray, "height width channels"]:
        mask = masks(frame.index) if callable(masks) else masks.get(frame.index)
        if mask is None:
            size = (frame.pixels.shape[0], frame.pixels.shape[1])
            mask = Mask(size=size, offset=(0, 0), crop_size=(0, 0), counts=b"")
        if format == "matte":
            return _matte(mask, feather, grow)
        made = cut_picture(frame.pixels, mask, behind, feather=feather, grow=grow)
        return spread_colours(made) if made.shape[2] == 4 and kind.codec else made

    return picture


def _matte(mask: Mask, feather: float | int, grow: float | int) -> UInt8[ndarray, "height width 3"]:
    """Alpha as grey."""
    levels = np.rint(alpha_of(mask, feather, grow) * 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, 2)


def _green_behind(picture: UInt8[ndarray, "height width 3"]) -> Colour:
    return GREEN


def _picture_behind(path: Path) -> Background:
    """A picture scaled to the size of what it lies behind, once."""
    behind = read_image(path)

    @lru_cache(maxsize=1)
    def scaled(width: int, height: int) -> ndarray:
        return cv2.resize(behind, (width, height), interpolation=cv2.INTER_AREA)

    return lambda picture: scaled(picture.shape[1], picture.shape[0])


def _blurred(picture: UInt8[ndarray, "height width 3"], sigma: float) -> UInt8[ndarray, "height width 3"]:
    """The picture blurred by a Gaussian of `sigma` pixels."""
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return blurred.astype(np.uint8, copy=False)


def _number(text: str) -> float:
    """The number, 0 where there is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0
