"""Boxes as arrays of x0, y0, x1, y1: area, overlap, suppression (numpy, pure).

A box here is a rectangle of the plane: its area is (x1 - x0) * (y1 - y0), with nothing added. That is
what SAM's own suppression ranks by, although the boxes of masks name the outermost pixels inside.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray


def box_area(boxes: Shaped[ndarray, "n 4"]) -> Float[ndarray, " n"]:
    """Areas; 0 or less for a box without extent."""
    boxes = _floating(boxes)
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(boxes: Shaped[ndarray, "n 4"], others: Shaped[ndarray, "m 4"]) -> Float[ndarray, "n m"]:
    """Overlap of every box with every other: intersection over union; NaN where both have no area.

    >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [4, 4, 5, 5]])).round(3).tolist()
    [[0.333, 0.0]]
    """
    boxes, others = _floating(boxes), _floating(others)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(-1)  # (n, m)
    with np.errstate(invalid="ignore", divide="ignore"):
        return inside / (box_area(boxes)[:, None] + box_area(others)[None] - inside)


def nms(
    boxes: Shaped[ndarray, "n 4"], scores: Shaped[ndarray, " n"], iou_threshold: float | int
) -> Int[ndarray, " kept"]:
    """Indices of the boxes that stay, best score first.

    Greedy: the best box stays and suppresses every later one whose IoU with it is above the threshold;
    at equal scores the lower index is the better one. A box without area suppresses nothing.
    """
    order = np.argsort(-_floating(scores), kind="stable")
    ranked = _floating(boxes)[order]
    columns = np.ascontiguousarray(ranked.T)  # (4, n), so that each step reads straight through memory
    areas = box_area(ranked)
    stays = np.ones(len(order), bool)
    for rank in range(len(order)):
        if stays[rank]:
            stays[rank + 1 :] &= ~(_iou_with_later(columns, areas, rank) > iou_threshold)
    return order[stays]


def _iou_with_later(
    columns: Float[ndarray, "4 n"], areas: Float[ndarray, " n"], rank: int
) -> Float[ndarray, " later"]:
    """IoU of one box with each after it; boxes are given as rows of x0, y0, x1, y1."""
    x0, y0, x1, y1 = columns[:, rank + 1 :]
    left, top, right, bottom = columns[:, rank]
    width = np.minimum(x1, right) - np.maximum(x0, left)
    height = np.minimum(y1, bottom) - np.maximum(y0, top)
    inside = np.maximum(width, 0) * np.maximum(height, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return inside / (areas[rank] + areas[rank + 1 :] - inside)


def _floating(values: Shaped[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """Floats as they are, so that float32 boxes give a GPU's float32 answers; whole numbers as float64."""
    return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float64)
