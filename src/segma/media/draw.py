"""Pictures of masks: overlays, cut-outs and contact sheets (numpy and OpenCV, pure).

Sizes on the picture (border, markers) are pixels of a picture whose longer side is at most 1280; on
larger ones they grow with it, so that they look the same on a screen.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from segma.errors import InputError
from segma.masks.mask import CompactMasks, Mask
from segma.prompts.types import Box, Points

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (19, 134, 191),
    (255, 140, 25),
    (224, 22, 123),
    (64, 255, 191),
    (255, 223, 64),
    (127, 0, 153),
    (115, 208, 255),
    (153, 0, 26),
    (22, 22, 224),
    (255, 0, 255),
    (19, 191, 134),
    (153, 102, 0),
)
"""Colours of objects, RGB, in the order they are given out. Chosen by search so that any two stay apart
for people with full, red-blind, green-blind and blue-blind sight."""

_INCLUDE: Colour = (28, 32, 38)
_EXCLUDE: Colour = (214, 39, 40)
_WHITE: Colour = (255, 255, 255)
_SCREEN_PIXELS = 1280
_MARKER_RADIUS, _RING_WIDTH = 8.0, 2.0
_SUBPIXEL_BITS = 4

_Image = UInt8[ndarray, "_ _ 3"]


def overlay(
    image: UInt8[ndarray, "height width 3"],
    masks: CompactMasks,
    *,
    opacity: float | int = 0.5,
    border_pixels: float | int = 1.5,
    colours: Sequence[Colour] | None = None,
    points: Points | None = None,
    boxes: Sequence[Box] = (),
) -> UInt8[ndarray, "height width 3"]:
    """A copy of the picture with the masks filled at `opacity`, a solid border, and the prompts on top.

    Large masks are drawn first, so that small ones stay visible. Mask i has colour i of `colours`
    (default: `PALETTE`), counted round. Raises InputError where the masks belong to another size.
    """
    _check_size(image, masks.size)
    canvas = image.copy()
    scale = screen_scale(masks.size)
    chosen = PALETTE if colours is None else tuple(colours)
    for index in (int(i) for i in np.argsort(-masks.areas, kind="stable")):
        _paint(canvas, masks[index], chosen[index % len(chosen)], opacity, border_pixels * scale)
    for box in boxes:
        _draw_box(canvas, box, scale)
    if points is not None:
        for (x, y), label in zip(points.xy, points.labels, strict=True):
            _draw_marker(canvas, x, y, label == 1, scale)
    return canvas


def cutout(
    image: UInt8[ndarray, "height width 3"],
    mask: Mask,
    *,
    feather_pixels: float | int = 0,
    grow_pixels: float | int = 0,
    background: Colour | UInt8[ndarray, "rows columns 3"] | None = None,
) -> UInt8[ndarray, "height width channels"]:
    """The object alone: RGBA, or RGB over a `background` colour or picture (resized to fit).

    The edge is moved out by `grow_pixels` (in, if negative) and is soft over `feather_pixels` across it.
    Where alpha is 0 nothing of the picture is left. Raises InputError for a mask of another size.
    """
    _check_size(image, mask.size)
    alpha = alpha_of(mask, feather_pixels, grow_pixels)
    if background is None:
        levels = np.rint(alpha * 255).astype(np.uint8)[..., None]
        return np.concatenate([np.where(levels > 0, image, np.uint8(0)), levels], 2)
    if isinstance(background, tuple):
        behind = np.broadcast_to(np.array(background, np.float32), image.shape)
    else:
        size = (image.shape[1], image.shape[0])
        behind = cv2.resize(background, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    mixed = behind + (image.astype(np.float32) - behind) * alpha[..., None]
    return np.rint(mixed).astype(np.uint8)


def screen_scale(size: tuple[int, int]) -> float:
    """How much larger lines are drawn on a picture of `size` = (height, width)."""
    return max(1.0, max(size) / _SCREEN_PIXELS)


def _check_size(image: UInt8[ndarray, "height width 3"], size: tuple[int, int]) -> None:
    if image.shape[:2] != size:
        raise InputError(
            "input.array",
            f"The picture is {image.shape[1]}x{image.shape[0]}, its masks are {size[1]}x{size[0]}.",
            "Draw masks on the picture they were made of.",
        )


def _paint(canvas: _Image, mask: Mask, colour: Colour, opacity: float | int, border: float | int) -> None:
    """Blend one mask into the canvas, looking only at its surroundings."""
    if not mask.crop_size[0]:
        return
    pad = int(np.ceil(border)) + 2
    (top, left), (rows, columns) = mask.offset, mask.crop_size
    y0, x0 = max(top - pad, 0), max(left - pad, 0)
    y1, x1 = min(top + rows + pad, mask.size[0]), min(left + columns + pad, mask.size[1])
    inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
    inside[top - y0 : top - y0 + rows, left - x0 : left - x0 + columns] = mask.crop()
    alpha = inside * np.float32(opacity)
    if border > 0:
        alpha = np.maximum(alpha, _border_coverage(inside, border))
    part = canvas[y0:y1, x0:x1]
    mixed = part + (np.array(colour, np.float32) - part) * alpha[..., None]
    canvas[y0:y1, x0:x1] = np.rint(mixed)


def _border_coverage(inside: UInt8[ndarray, "h w"], width: float | int) -> Float[ndarray, "h w"]:
    """How much of each pixel a smooth line of this width along the edge covers.

    A straight edge blurred by a Gaussian has the value Phi(distance / sigma); read backwards this gives
    each pixel's distance to the smoothed edge, without the steps of the pixel grid.
    """
    sigma = max(0.8, width / 2)
    blurred = cv2.GaussianBlur(inside * np.uint8(255), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return _line_table(width, sigma)[blurred.astype(np.uint8, copy=False)]


def _line_table(width: float | int, sigma: float | int) -> Float[ndarray, " 256"]:
    """Coverage of the line by blurred value."""
    distance = np.linspace(-5 * sigma, 5 * sigma, 2001)
    density = np.exp(-0.5 * (distance / sigma) ** 2)
    level = np.cumsum(density) / density.sum()
    nearest = np.interp(np.arange(256) / 255, level, distance)
    return np.clip(width / 2 + 0.5 - np.abs(nearest), 0, 1).astype(np.float32)


def alpha_of(mask: Mask, feather: float | int = 0, grow: float | int = 0) -> Float[ndarray, "height width"]:
    """How much of each pixel is the object, 0 to 1, from the distance to the edge.

    The edge is moved and softened as in `cutout`; an object cut by the image's edge stays solid there.
    """
    inside = mask.dense()
    if (feather <= 0 and grow == 0) or not mask.crop_size[0]:
        return inside.astype(np.float32)
    signed = np.where(inside, _distance(inside) - 0.5, 0.5 - _distance(~inside)) + np.float32(grow)
    if feather <= 0:
        return (signed > 0).astype(np.float32)
    return np.clip(0.5 + signed / np.float32(feather), 0, 1).astype(np.float32)


def _distance(inside: Bool[ndarray, "height width"]) -> Float[ndarray, "height width"]:
    """Distance to the nearest pixel that is not inside; far away where there is none."""
    return cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(
        np.float32
    )


def _draw_box(canvas: _Image, box: Box, scale: float | int) -> None:
    """A white frame with a dark one around it, visible on any picture."""
    corners = _fixed(box.x0, box.y0), _fixed(box.x1, box.y1)
    for colour, width in ((_INCLUDE, 4), (_WHITE, 2)):
        thickness = max(1, round(width * scale))
        cv2.rectangle(canvas, *corners, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_marker(canvas: _Image, x: float | int, y: float | int, include: bool, scale: float | int) -> None:
    """A dot in a white ring: dark with a plus (include) or red with a minus (exclude)."""
    radius, ring = _MARKER_RADIUS * scale, _RING_WIDTH * scale
    for colour, size in ((_WHITE, radius + ring), (_INCLUDE if include else _EXCLUDE, radius)):
        cv2.circle(canvas, _fixed(x, y), _fixed(size, 0)[0], colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
    arm, width = radius * 0.55, max(1, round(ring))
    ends = [((x - arm, y), (x + arm, y))] + ([((x, y - arm), (x, y + arm))] if include else [])
    for start, end in ends:
        cv2.line(canvas, _fixed(*start), _fixed(*end), _WHITE, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(x: float | int, y: float | int) -> tuple[int, int]:
    """Coordinates as OpenCV's whole numbers with 4 bits behind the point, kept where it can count."""
    limit = 1 << 26
    step = 1 << _SUBPIXEL_BITS
    return (int(np.clip(round(x * step), -limit, limit)), int(np.clip(round(y * step), -limit, limit)))
