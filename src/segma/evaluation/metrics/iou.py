"""The Jaccard index of two masks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from numpy import ndarray


def iou(prediction: Bool[ndarray, "height width"], truth: Bool[ndarray, "height width"]) -> float:
    """Pixels in both over pixels in either, 0 to 1; 1 for two empty masks.

    >>> iou(np.array([[True, True, False]]), np.array([[False, True, True]]))
    0.3333333333333333
    """
    either = np.count_nonzero(prediction | truth)
    return float(np.count_nonzero(prediction & truth) / either) if either else 1.0
