"""Name tags beside objects on a picture, drawn with Pillow's own font."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from segma.media.draw import Colour, screen_scale

_TEXT_PIXELS = 15
_LONGEST = 40  # letters of a name that are shown
_INK: Colour = (20, 24, 30)
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A name, its object's colour and box (x0, y0, x1, y1), and whether a person made this frame."""

    name: str
    colour: Colour
    box: tuple[float, float, float, float]
    is_anchor: bool = False


def draw_labels(
    image: UInt8[ndarray, "height width 3"], labels: Sequence[Label]
) -> UInt8[ndarray, "height width 3"]:
    """A copy of the picture with each name above its object, or where there is room, none over another.

    An anchor has a diamond before its name and a white border.
    """
    canvas = image.copy()
    taken: list[tuple[int, int, int, int]] = []
    for label in labels:
        tag = _tag(label.name, label.colour, label.is_anchor, screen_scale(image.shape[:2]))
        height, width = min(tag.shape[0], image.shape[0]), min(tag.shape[1], image.shape[1])
        top, left = _place(label.box, (height, width), image.shape[:2], taken)
        taken.append((top, left, top + height, left + width))
        part = canvas[top : top + height, left : left + width]
        shown = tag[:height, :width]
        alpha = shown[..., 3:].astype(np.float32) / 255
        part[:] = np.rint(part + (shown[..., :3] - part.astype(np.float32)) * alpha)
    return canvas


def _place(
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    image: tuple[int, ...],
    taken: Sequence[tuple[int, int, int, int]],
) -> tuple[int, int]:
    """Top and left of a tag of `size`: above the box, else further down as long as others are in the way."""
    height, width = size
    x0, y0, x1, _ = box
    left = int(np.clip(round((x0 + x1 - width) / 2), 0, image[1] - width))
    top = int(np.clip(round(y0) - height - 4, 0, image[0] - height))
    for _ in taken:
        hit = [t for t in taken if t[0] < top + height and top < t[2] and t[1] < left + width and left < t[3]]
        below = max((t[2] + 2 for t in hit), default=top)
        if not hit or below + height > image[0]:
            break
        top = below
    return top, left


@lru_cache(maxsize=256)
def _tag(name: str, colour: Colour, is_anchor: bool, scale: float) -> UInt8[ndarray, "height width 4"]:
    """The tag as RGBA: a rounded plate in the object's colour, its text dark or white."""
    text = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    size = _TEXT_PIXELS * scale
    font = ImageFont.load_default(size)
    room, mark = size * 0.45, size * 0.85 if is_anchor else 0.0
    width, height = round(font.getlength(text) + 2 * room + mark), round(size * 1.55)
    tag = Image.new("RGBA", (max(width, 1), max(height, 1)), (*colour, 0))
    pen = ImageDraw.Draw(tag)
    ink = _INK if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else _WHITE
    pen.rounded_rectangle(
        (0, 0, width - 1, height - 1),
        height * 0.28,
        fill=(*colour, 225),
        outline=(*_WHITE, 255) if is_anchor else None,
        width=max(1, round(1.6 * scale)),
    )
    if is_anchor:
        x, y, r = room + mark * 0.32, height / 2, size * 0.3
        pen.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], fill=(*ink, 255))
    pen.text((room + mark, height / 2), text, fill=(*ink, 255), font=font, anchor="lm")
    return np.array(tag)
