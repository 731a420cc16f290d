"""Filters of everything mode that leave a given share of the candidates, whatever the weights are.

Each lies in the widest gap near its rank, so that the last digit of a float does not decide who passes.
"""

from __future__ import annotations

from multiprocessing import get_context

import numpy as np
from numpy import ndarray
from programs import ours

PASS_IOU, PASS_STABILITY = 400 / 3072, 200 / 3072
"""Shares of all candidates that are left after the filter on predicted IoU, and after that on stability."""
_LEAST = 1e-3


def find(
    variant: str, image: ndarray, points_per_side: int, offset: float, threads: int
) -> tuple[float, float]:
    """Predicted IoU and stability to filter by. Worked out in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_find, (variant, image, points_per_side, offset, threads))


def _find(
    variant: str, image: ndarray, points_per_side: int, offset: float, threads: int
) -> tuple[float, float]:
    import torch

    torch.set_num_threads(threads)
    qualities, stabilities = ours.candidates(variant, image, points_per_side, offset, PASS_IOU)
    iou = in_gap(qualities, PASS_IOU)
    passed = stabilities[qualities > iou]
    return iou, in_gap(passed, PASS_STABILITY / PASS_IOU)


def in_gap(values: ndarray, share: float) -> float:
    """A value that about `share` of the values exceed, in the middle of the widest gap around there.

    NaN exceeds nothing. Never 0 or below, which would switch the filter off.
    """
    values = np.sort(np.nan_to_num(values, nan=0.0))[::-1]
    passing = round(len(values) * share)
    low = max(1, round(passing * 0.97))
    high = max(low + 1, min(len(values), round(passing * 1.03) + 1))
    gaps = values[low - 1 : high - 1] - values[low:high]
    index = low + int(gaps.argmax())
    return max(_LEAST, float((values[index - 1] + values[index]) / 2))
