"""Logits -> masks at image size, stability, choice of the candidate. On arrays, with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from segma.geometry.transforms import Transform
from segma.prompts.types import PromptSet


def to_image_size(
    low_res_logits: Float[ndarray, "side side"], transform: Transform
) -> Float[ndarray, "height width"]:
    """Logits at image size: bilinear to the model's square, the padding cut off, bilinear to the image.

    Two resizes, as in SAM section 6 (fusing them moves boundary pixels), neither antialiased nor
    corner-aligned; SAM 2, which stretches, has one.
    """
    height, width = transform.image_size
    logits = low_res_logits
    if not transform.stretched:
        square = (transform.model_size, transform.model_size)
        logits = cv2.resize(logits, square, interpolation=cv2.INTER_LINEAR)
        logits = logits[: transform.input_size[0], : transform.input_size[1]]
    return cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)


def stability_score(logits: Float[ndarray, "height width"], threshold: float, offset: float) -> float:
    """Pixels above threshold + offset over pixels above threshold - offset: the IoU of the two masks.

    NaN where the larger one is empty, as in the original; NaN passes no filter.
    """
    sure = np.count_nonzero(logits > threshold + offset)
    wide = np.count_nonzero(logits > threshold - offset)
    return float(sure / wide) if wide else float("nan")


def only_clicked(
    low_res_logits: Float[ndarray, "side side"], cells: Sequence[tuple[float, float]]
) -> Float[ndarray, "side side"]:
    """The logits with the pieces of the mask pushed out that none of the clicks lies in or next to.

    `cells` are the foreground clicks, x and y in cells. Pieces touch at corners. Where no piece is clicked at
    all, they stay as they are.
    """
    inside = (low_res_logits > 0).astype(np.uint8)
    _, labels = cv2.connectedComponents(inside, connectivity=8)
    side = len(low_res_logits)
    kept: set[int] = set()
    for x, y in cells:
        column, row = (min(side - 1, max(0, int(place))) for place in (x, y))
        near = labels[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        kept |= {int(label) for label in np.unique(near)} - {0}
    if not kept:
        return low_res_logits
    lost = (inside > 0) & ~np.isin(labels, list(kept))
    return np.where(lost, -low_res_logits, low_res_logits)


def candidate_order(
    predicted_iou: Float[ndarray, " masks"], prompt: PromptSet, candidates: int, first: int = 1
) -> Sequence[int]:
    """Which of the model's masks answer a prompt, best first.

    More than one: the ambiguous set `first`..3 by predicted IoU. One: for a single click the best of these,
    and mask 0 for a box, several clicks, a mask or an embedding (SAM section 5).
    """
    if candidates == 1 and not prompt.is_ambiguous:
        return [0]
    order = first + np.argsort(-predicted_iou[first:], kind="stable")
    return [int(index) for index in order[:candidates]]


def box_of(mask: Bool[ndarray, "height width"]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the outermost pixels, themselves inside; all 0 for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return (0, 0, 0, 0)
    return (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
