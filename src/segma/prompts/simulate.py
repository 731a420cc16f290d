"""What a person who knows the true mask would click or draw: clicks, corrections, boxes (numpy, OpenCV).

Corrections follow the interactive benchmarks: a click in the middle of the worst error. Coordinates are
image pixels, x first; an integer is the middle of that pixel.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from segma.errors import InputError
from segma.masks.boundary import distance_inside
from segma.prompts.types import BACKGROUND, FOREGROUND, Box, Points

Rule = Literal["area", "depth"]
"""Which error is the worst: the connected region of most pixels, or the one that reaches deepest."""


@dataclass(frozen=True, slots=True)
class Click:
    """A pixel that is clicked on: `label` 1 says that the object is there, 0 that it is not."""

    x: int
    y: int
    label: int


def deepest_point(region: Bool[ndarray, "height width"]) -> tuple[int, int]:
    """The pixel (x, y) farthest from what is outside the region; of several the first in reading order.

    The image's own edge counts as outside. Raises InputError for a region without a pixel.
    """
    return _deepest(region)[:2]


def first_click(truth: Bool[ndarray, "height width"]) -> Click:
    """The click that asks for an object: on its deepest pixel. Raises InputError for an empty mask."""
    return Click(*deepest_point(truth), FOREGROUND)


def next_click(
    predicted: Bool[ndarray, "height width"],
    truth: Bool[ndarray, "height width"],
    used: Iterable[Sequence[float | int]] = (),
    rule: Rule = "area",
) -> Click | None:
    """The click that corrects an answer: in the middle of its worst error, None where nothing is wrong.

    Pixels clicked on before (`used`, x and y of each) are no error any more. With "area" the worst error is
    the 4-connected region of most pixels, missed and false alike; with "depth" all that is missed, or all
    that is false, whichever reaches farther from its edge. What is missed goes first where both are equal.
    """
    best: Click | None = None
    best_score = 0.0
    clicked = [(int(y), int(x)) for x, y in used]
    for label, errors in ((FOREGROUND, truth & ~predicted), (BACKGROUND, predicted & ~truth)):
        for place in clicked:
            errors[place] = False
        if not errors.any():
            continue
        region, score = _largest_part(errors) if rule == "area" else (errors, 0.0)
        x, y, depth = _deepest(region)
        score = score if rule == "area" else depth
        if score > best_score:
            best, best_score = Click(x, y, label), score
    return best


def jittered_box(
    mask: Bool[ndarray, "height width"], generator: np.random.Generator, amount: float | int = 0.05
) -> tuple[float, float, float, float]:
    """The tight box of a mask, each side moved by up to `amount` of the box's width or height.

    These are edges, x0, y0, x1, y1, so that x1 - x0 is the width (x1 and y1 are exclusive), kept inside the
    image; `box_prompt` makes a prompt of them. A box thinner than a pixel becomes the tight one. Raises
    InputError for an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        raise _empty()
    tight = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
    extent = np.tile(tight[2:] - tight[:2], 2)
    moved = tight + generator.uniform(-amount, amount, 4) * extent
    height, width = mask.shape
    moved = np.clip(moved, 0, [width, height, width, height])
    if (moved[2:] - moved[:2] < 1).any():
        moved = tight
    x0, y0, x1, y1 = moved.tolist()
    return (x0, y0, x1, y1)


def box_prompt(edges: Sequence[float | int]) -> Box:
    """A box by the edges of its pixels (x1, y1 exclusive) as a prompt, where an integer is a pixel's middle.

    The tight box of a mask becomes that of its outermost pixels, as SAM's own boxes are.
    """
    x0, y0, x1, y1 = (float(edge) for edge in edges)
    return Box(x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))


def key_generator(key: str) -> np.random.Generator:
    """Random numbers that belong to a name: the same on every machine and in every run."""
    return np.random.default_rng(zlib.crc32(key.encode()))


def points_of(clicks: Sequence[Click]) -> Points:
    """Clicks as a prompt. Raises PromptError where there are none."""
    return Points([(click.x, click.y) for click in clicks], [click.label for click in clicks])


def _deepest(region: Bool[ndarray, "height width"]) -> tuple[int, int, float]:
    """x, y and distance to the outside of the deepest pixel."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if not rows.size:
        raise _empty()
    top, left = int(rows[0]), int(columns[0])
    depth = distance_inside(region[top : rows[-1] + 1, left : columns[-1] + 1])
    y, x = divmod(int(np.argmax(depth)), depth.shape[1])
    return left + x, top + y, float(depth[y, x])


def _largest_part(errors: Bool[ndarray, "height width"]) -> tuple[Bool[ndarray, "height width"], float]:
    """The 4-connected region of most pixels, and how many they are."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(errors.astype(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = int(np.argmax(areas))
    return np.equal(labels, largest + 1), float(areas[largest])


def _empty() -> InputError:
    return InputError("input.array", "The mask is empty: there is nothing to click on.")
