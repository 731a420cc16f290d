"""How well two contours agree: the F measure of DAVIS (Perazzi et al. 2016, section 5.1)."""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

DAVIS_TOLERANCE = 0.008
"""Share of the image's diagonal, as in the official code."""


def contour(mask: Bool[ndarray, "height width"]) -> Bool[ndarray, "height width"]:
    """The pixels that differ from the one to the right, below, or below to the right.

    So each contour lies on one side of the edge only; the image's own edge is no contour.
    """
    after = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (after[:-1, 1:] != mask) | (after[1:, :-1] != mask) | (after[1:, 1:] != mask)


def boundary_f(
    prediction: Bool[ndarray, "height width"],
    truth: Bool[ndarray, "height width"],
    tolerance: float | int = DAVIS_TOLERANCE,
) -> float:
    """The harmonic mean of how much of either contour lies near the other one, 0 to 1.

    Near is `tolerance` pixels, or below 1 that share of the image's diagonal, rounded up. 1 where neither
    has a contour, 0 where one has none.
    """
    ours, theirs = contour(prediction), contour(truth)
    num_ours, num_theirs = np.count_nonzero(ours), np.count_nonzero(theirs)
    if not num_ours or not num_theirs:
        return 1.0 if num_ours == num_theirs else 0.0
    reach = int(tolerance) if tolerance >= 1 else math.ceil(tolerance * math.hypot(*truth.shape))
    precision = np.count_nonzero(ours & _near(theirs, reach)) / num_ours
    recall = np.count_nonzero(theirs & _near(ours, reach)) / num_theirs
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _near(line: Bool[ndarray, "height width"], reach: int) -> Bool[ndarray, "height width"]:
    """The pixels at most `reach` pixels from a line that has at least one."""
    far = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.less_equal(far, reach + 1e-3)  # squares of distances are whole: nothing lies that near beyond
