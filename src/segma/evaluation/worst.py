"""The worst answers of a report as one picture: what is true in green, what was answered in orange."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from segma.errors import InputError
from segma.evaluation.report import Case, Row
from segma.masks.mask import CompactMasks, Mask
from segma.media.draw import Colour, overlay
from segma.media.image import read_picture
from segma.prompts.types import Box, Points

TRUE: Colour = (40, 200, 90)
ANSWERED: Colour = (255, 120, 20)

_PAPER, _INK = (250, 250, 251), (38, 43, 51)
_GAP, _LINE = 12, 22
_MIN_VIEW = 96  # pixels of the picture that are shown at least, so that a tile says where it is
_BORDER = 2.0

_Image = UInt8[ndarray, "_ _ 3"]


def worst_sheet(
    rows: Sequence[Row], *, columns: int = 4, tile_pixels: int = 320
) -> UInt8[ndarray, "height width 3"]:
    """A tile for each row, in their order: its part of the picture, and its name and score below.

    `rows` are those of `Report.worst`. Raises InputError where none of them can be shown, or a picture cannot
    be read.
    """
    shown = [(row, row.case) for row in rows if row.case is not None]
    if not shown:
        raise InputError("input.value", "There is no answer to show.")
    columns = min(columns, len(shown))
    step = tile_pixels + _GAP
    height = -(-len(shown) // columns) * (step + _LINE) + _GAP
    sheet = np.full((height, columns * step + _GAP, 3), _PAPER, np.uint8)
    lines: list[tuple[int, int, str]] = []
    for number, (row, case) in enumerate(shown):
        y, x = _GAP + (number // columns) * (step + _LINE), _GAP + (number % columns) * step
        tile = _tile(case, tile_pixels)
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        name = " ".join(part for part in (row.mode, row.key) if part)
        lines.append((x, y + tile_pixels, f"{100 * case.score:.0f} %  {name}"))
    return _written(sheet, lines, tile_pixels)


def _tile(case: Case, side: int) -> _Image:
    """The surroundings of the object with both outlines and what was asked, its longer side `side` pixels."""
    y0, y1, x0, x1 = _view(case)
    factor = side / max(y1 - y0, x1 - x0)
    # Outlines are drawn on the enlarged part, else they would be as coarse as its pixels.
    part = read_picture(case.picture)[y0:y1, x0:x1]
    canvas = _resized(part, factor, cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    for mask, colour, opacity in ((case.answer, ANSWERED, 0.25), (case.truth, TRUE, 0.0)):
        inside = _resized(mask.dense()[y0:y1, x0:x1].astype(np.uint8), factor, cv2.INTER_NEAREST) > 0
        one = CompactMasks([Mask.from_dense(inside)], inside.shape)
        canvas = overlay(canvas, one, colours=[colour], opacity=opacity, border_pixels=_BORDER)

    def placed(x: float, y: float) -> tuple[float, float]:
        return ((x - x0 + 0.5) * factor - 0.5, (y - y0 + 0.5) * factor - 0.5)

    points = case.points and Points([placed(*xy) for xy in case.points.xy], case.points.labels)
    boxes = [Box(*placed(*case.box.xyxy[:2]), *placed(*case.box.xyxy[2:]))] if case.box else []
    return overlay(canvas, CompactMasks([], canvas.shape[:2]), points=points, boxes=boxes)


def _view(case: Case) -> tuple[int, int, int, int]:
    """Rows and columns (from, to) of the square that is shown: the object and as much again on each side."""
    (top, left), (rows, columns) = case.truth.offset, case.truth.crop_size
    if not rows:
        return 0, case.truth.size[0], 0, case.truth.size[1]
    side = max(_MIN_VIEW, 3 * max(rows, columns))
    spans: list[int] = []
    for start, length, limit in ((top, rows, case.truth.size[0]), (left, columns, case.truth.size[1])):
        low = int(np.clip(start + length // 2 - side // 2, 0, max(0, limit - side)))
        spans += [low, min(limit, low + side)]
    return spans[0], spans[1], spans[2], spans[3]


def _resized(image: ndarray, factor: float, how: int) -> ndarray:
    """At the scale of the tile."""
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return cv2.resize(image, size, interpolation=how).astype(np.uint8, copy=False)


def _written(sheet: _Image, lines: Sequence[tuple[int, int, str]], width: int) -> _Image:
    """The sheet with lines of text at x, y, cut at `width`."""
    picture = Image.fromarray(sheet)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13)
    for x, y, line in lines:
        while font.getlength(line) > width:
            line = line[:-4] + "..."
        pen.text((x, y + _LINE / 2), line, fill=_INK, font=font, anchor="lm")
    return np.array(picture)
