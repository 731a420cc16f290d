"""How clicks correct a mask that was tracked (ours): what is asked, and what of the answer counts.

A small network that is shown the mask before hardly dares to change it. So it is asked with the clicks and
the box of that mask alone; and since it then answers with another edge all around, also where nobody has
complained, only that counts of its answer which the clicks are about.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from segma.masks.components import disc
from segma.masks.mask import Mask, mask_iou
from segma.prompts.types import FOREGROUND, Box, Points, PromptSet

# An answer less like the mask before than this is another object, and not corrected in places.
_SAME_OBJECT = 0.5
# How thick an edge is, in square roots of the area; and the least, in pixels.
_EDGE, _LEAST_EDGE = 0.02, 1
# About a click that far, in edges, every change counts.
_NEAR = 4


def correction(before: Mask, points: Points) -> PromptSet:
    """What is asked of the network: the clicks, and a box about the mask before and what they add."""
    (y, x), (height, width) = before.offset, before.crop_size
    added = [place for place, label in zip(points.xy, points.labels, strict=True) if label == FOREGROUND]
    xs = [float(x), float(x + width), *(place[0] for place in added)]
    ys = [float(y), float(y + height), *(place[1] for place in added)]
    return PromptSet(points=points, box=Box(min(xs), min(ys), max(xs), max(ys)))


def changed_where_clicked(before: Mask, answer: Mask, points: Points) -> Mask:
    """`before` with those changes to `answer` that a click is in or beside; all of them for another object.

    Changes that touch each other by no more than an edge are told apart.
    """
    if mask_iou(before, answer) < _SAME_OBJECT:
        return answer
    old, new = before.dense(), answer.dense()
    said = _about(old ^ new, points, max(_LEAST_EDGE, round(_EDGE * float(old.sum()) ** 0.5)))
    return Mask.from_dense(np.where(said, new, old))


def _about(change: Bool[ndarray, "height width"], points: Points, edge: int) -> Bool[ndarray, "height width"]:
    """The part of a change that clicks are about."""
    thick = cv2.morphologyEx(change.astype(np.uint8), cv2.MORPH_OPEN, disc(edge))
    near = np.zeros_like(thick)
    for x, y in points.xy:
        cv2.circle(near, (int(x), int(y)), _NEAR * edge, 1, thickness=-1)
    count, regions = cv2.connectedComponents(thick, connectivity=8)
    clicked = np.unique(regions[(near > 0) & (thick > 0)])
    chosen = np.isin(regions, clicked[clicked > 0]) if count > 1 else np.zeros_like(change)
    grown = cv2.dilate(chosen.astype(np.uint8), disc(2 * edge))
    return change & ((grown > 0) | (near > 0))
