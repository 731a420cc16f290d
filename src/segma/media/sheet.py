"""A contact sheet: the picture with all its masks, and below it one tile for each object."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from segma.masks.mask import CompactMasks, Mask
from segma.media.draw import PALETTE, Colour, cutout, overlay

_PAPER: Colour = (250, 250, 251)
_TILE: Colour = (233, 235, 239)
_INK: Colour = (38, 43, 51)
_GAP = 16

_Image = UInt8[ndarray, "_ _ 3"]


def contact_sheet(
    image: UInt8[ndarray, "height width 3"],
    masks: CompactMasks,
    *,
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    tile_pixels: int = 220,
) -> UInt8[ndarray, "rows sheet_columns 3"]:
    """The overlay on top, then the objects cut out on a plain ground, in the order of the masks.

    `captions` has one line an object (default: its area). `columns` defaults to what fits the number of
    masks, 4 to 8. Tiles are square, `tile_pixels` wide; small objects are enlarged, at most four times.
    """
    lines = captions if captions is not None else [caption(mask) for mask in masks]
    columns = columns or int(np.clip(np.ceil(np.sqrt(len(masks) * 1.6)), 4, 8))
    width = columns * (tile_pixels + _GAP) + _GAP
    picture = _fitted(overlay(image, masks), width - 2 * _GAP, None)
    line_height = max(28, tile_pixels // 7)
    rows = -(-len(masks) // columns)
    step = tile_pixels + line_height + _GAP // 2
    top = picture.shape[0] + 2 * _GAP
    sheet = np.full((top + rows * step + (_GAP // 2 if rows else 0), width, 3), _PAPER, np.uint8)
    sheet[_GAP : _GAP + picture.shape[0], _GAP : _GAP + picture.shape[1]] = picture
    places = [
        (top + (index // columns) * step, _GAP + (index % columns) * (tile_pixels + _GAP))
        for index in range(len(masks))
    ]
    for mask, (y, x) in zip(masks, places, strict=True):
        sheet[y : y + tile_pixels, x : x + tile_pixels] = _tile(image, mask, tile_pixels)
    return _captioned(sheet, lines, [(y + tile_pixels, x) for y, x in places], tile_pixels, line_height)


def caption(mask: Mask, predicted_iou: float | None = None, label: str | None = None) -> str:
    """What a tile says: label and predicted IoU where there are any, and the area.

    >>> caption(Mask.from_dense(np.ones((9, 250), bool)), 0.931)
    '0.93  2 250 px'
    """
    score = [] if predicted_iou is None else [f"{predicted_iou:.2f}"]
    area = f"{mask.area:,} px".replace(",", " ")
    return "  ".join([*([label] if label else []), *score, area])


def _tile(image: _Image, mask: Mask, side: int) -> _Image:
    """The object in the middle of a square."""
    tile = np.full((side, side, 3), _TILE, np.uint8)
    (top, left), (rows, columns) = mask.offset, mask.crop_size
    if not rows:
        return tile
    alone = Mask(size=mask.crop_size, offset=(0, 0), crop_size=mask.crop_size, counts=mask.counts)
    crop = cutout(image[top : top + rows, left : left + columns], alone, background=_TILE)
    small = _fitted(crop, side - _GAP, side - _GAP)
    y, x = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
    tile[y : y + small.shape[0], x : x + small.shape[1]] = small
    return tile


def _fitted(image: _Image, width: int, height: int | None) -> _Image:
    """The picture at the largest size within the limits, enlarged four times at most."""
    factor = min(4.0, width / image.shape[1], *([height / image.shape[0]] if height else []))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=how).astype(np.uint8, copy=False)


def _captioned(
    sheet: _Image, lines: Sequence[str], places: Sequence[tuple[int, int]], width: int, height: int
) -> _Image:
    """The sheet with a dot in the object's colour and its line of text below each tile."""
    size = max(11, round(height * 0.5))
    dot = size * 0.36
    for index, (y, x) in enumerate(places):
        centre = (round((x + 1 + dot) * 16), round((y + height / 2) * 16))  # in sixteenths of a pixel
        cv2.circle(sheet, centre, round(dot * 16), PALETTE[index % len(PALETTE)], cv2.FILLED, cv2.LINE_AA, 4)
    picture = Image.fromarray(sheet)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size)
    for line, (y, x) in zip(lines, places, strict=True):
        middle = y + height / 2
        start = x + 2 * dot + size * 0.5
        pen.text((start, middle), _cut(line, font, x + width - start), fill=_INK, font=font, anchor="lm")
    return np.array(picture)


def _cut(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The line, shortened with dots where it is too wide."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "...") > width:
        line = line[:-1]
    return line + "..."
