"""One click at several scales: the parts of the picture around it, and what is told of the masks found there.

A network sees a thing best when it fills a good part of what it is shown; how large the thing is, the click
does not say. So the click is asked about in the whole picture and in closer and closer parts, and the model
chooses among all answers (`models.interfaces.JudgesViews`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from segma.tasks.second_look import Window

# Side of the raster on which masks of all views are compared.
_SIDE = 160
# Smallest side of a view, in pixels.
_LEAST = 48
# Masks that agree more than this are one answer.
_SAME = 0.85
# A mask that runs along more than this share of an edge of its view is cut off by it.
_CUT = 0.3
_SMALLEST = 1e-5
# The chance that a mask is the one that was meant goes with this power of the odds of its estimated IoU.
_SHARPNESS = 3


@dataclass(frozen=True, slots=True)
class View:
    """The masks found in a window of a picture, and how good the network says they are."""

    window: Window
    low_res_logits: Float[ndarray, "masks side side"]
    predicted_iou: Float[ndarray, " masks"]


def windows(xy: tuple[float, float], size: tuple[int, int], shares: Sequence[float]) -> list[Window]:
    """Squares in a picture of `size` (height, width), about a point, of these shares of its longer side."""
    height, width = size
    found: list[Window] = []
    for share in shares:
        side = max(_LEAST, int(max(height, width) * share))
        across, down = min(side, width), min(side, height)
        left = int(min(max(0.0, xy[0] - across / 2), width - across))
        top = int(min(max(0.0, xy[1] - down / 2), height - down))
        found.append((left, top, left + across, top + down))
    return found


def describe(views: Sequence[View], size: tuple[int, int]) -> Float[ndarray, " features"]:
    """What is told of the masks of all views of a picture of `size`.

    `nn.view_judge.num_features` numbers, in this order: predicted IoUs, logarithms of areas, IoUs of all
    pairs, how far each mask runs along an edge of its view that is none of the picture, logarithms of the
    views' own areas but the first one's.
    """
    drawn = [_on_raster(each, size) for each in views]
    flat = np.concatenate(drawn).reshape(-1, _SIDE * _SIDE).astype(np.float32)
    both, areas = flat @ flat.T, flat.sum(1)
    overlaps = both / np.maximum(1, areas[:, None] + areas[None] - both)
    shares = [(w[2] - w[0]) * (w[3] - w[1]) / (size[0] * size[1]) for w in (each.window for each in views)]
    features = np.concatenate(
        [
            *(each.predicted_iou for each in views),
            np.log(areas / _SIDE**2 + _SMALLEST),
            overlaps[np.triu_indices(len(flat), 1)],
            *(_along_edges(each, size) for each in views),
            np.log(shares[1:]),
        ]
    )
    return features.astype(np.float32)


def overlaps_in(features: Float[ndarray, " features"], num_masks: int) -> Float[ndarray, "masks masks"]:
    """The IoUs of so many masks with each other, out of what `describe` tells of them."""
    rows, columns = np.triu_indices(num_masks, 1)
    found = np.eye(num_masks, dtype=features.dtype)
    found[rows, columns] = found[columns, rows] = features[2 * num_masks :][: len(rows)]
    return found


def cut_off(features: Float[ndarray, " features"], num_masks: int) -> Bool[ndarray, " masks"]:
    """Which of so many masks the edge of a view cuts, out of what `describe` tells of them."""
    start = 2 * num_masks + num_masks * (num_masks - 1) // 2
    return features[start : start + num_masks] > _CUT


def agreement(
    scores: Float[ndarray, " masks"], overlaps: Float[ndarray, "masks masks"]
) -> Float[ndarray, " masks"]:
    """How much each mask is expected to overlap with what was meant, which may be any of them.

    The least risk, and not the best guess (minimum Bayes risk; Kumar and Byrne 2004 for translation): a mask
    that is much like several likely ones is preferred to a likelier one that stands alone. `scores` are
    estimates of IoUs, 0..1.
    """
    sure = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
    chances = (sure / (1 - sure)) ** _SHARPNESS
    return overlaps @ (chances / chances.sum())


def best_first(
    scores: Float[ndarray, " masks"],
    overlaps: Float[ndarray, "masks masks"],
    count: int,
    cut: Bool[ndarray, " masks"] | None = None,
) -> list[int]:
    """Numbers of up to `count` masks, the one of least risk first, none of which repeats a better one.

    Those that are `cut` come last: on the average they are no worse, but nobody would keep them.
    """
    risk = -agreement(scores, overlaps)
    order: list[int] = np.argsort(risk if cut is None else risk + 2 * cut, kind="stable").tolist()
    found: list[int] = []
    for number in order:
        if len(found) < count and all(overlaps[number, other] < _SAME for other in found):
            found.append(number)
    return found


def _on_raster(view: View, size: tuple[int, int]) -> Int[ndarray, "masks 160 160"]:
    """The masks of a view in the (stretched) whole picture."""
    side = view.low_res_logits.shape[-1]
    x0, y0, x1, y1 = view.window
    scale = np.array([size[1] / (x1 - x0), size[0] / (y1 - y0)]) * side / _SIDE
    shift = np.array([-x0 / (x1 - x0), -y0 / (y1 - y0)]) * side
    matrix = np.array([[scale[0], 0, 0.5 * scale[0] - 0.5 + shift[0]],
                       [0, scale[1], 0.5 * scale[1] - 0.5 + shift[1]]])  # fmt: skip
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # beyond the outermost cells' middles a mask goes on as it is there, up to the window's edge
    placed = [
        cv2.warpAffine(each, matrix, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE) > 0
        for each in view.low_res_logits
    ]
    columns, rows = (
        (np.arange(_SIDE) + 0.5) * scale[k] + shift[k] for k in (0, 1)
    )  # in cells of the view, corners as integers
    inside = ((rows >= 0) & (rows < side))[:, None] & ((columns >= 0) & (columns < side))
    return (np.stack(placed) & inside).astype(np.int8)


def _along_edges(view: View, size: tuple[int, int]) -> Float[ndarray, " masks"]:
    """The largest share of an edge of the view, that is none of the picture's, that each mask covers."""
    x0, y0, x1, y1 = view.window
    masks = view.low_res_logits > 0
    edges = [(x0 > 0, masks[:, :, 0]), (x1 < size[1], masks[:, :, -1]),
             (y0 > 0, masks[:, 0]), (y1 < size[0], masks[:, -1])]  # fmt: skip
    return np.max([is_inner * edge.mean(1) for is_inner, edge in edges], axis=0)
