"""How near a picture is to another: PSNR, and SSIM (Wang et al. 2004), over all channels."""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from segma.errors import InputError

_PEAK = 255.0
# Wang et al. 2004, section III.C: a Gaussian window, and what keeps quotients finite.
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


def psnr(
    prediction: UInt8[ndarray, "height width channels"], truth: UInt8[ndarray, "rows columns c"]
) -> float:
    """Decibels, 10 log10(255^2 / mean squared error); infinite for equal pictures.

    Raises InputError input.array where the sizes differ.

    >>> round(psnr(np.full((2, 2, 3), 10, np.uint8), np.full((2, 2, 3), 11, np.uint8)), 2)
    48.13
    """
    _check(prediction, truth)
    error = float(np.mean((prediction.astype(np.float64) - truth) ** 2))
    return 10 * math.log10(_PEAK**2 / error) if error else math.inf


def ssim(
    prediction: UInt8[ndarray, "height width channels"], truth: UInt8[ndarray, "rows columns c"]
) -> float:
    """Structural similarity, -1 to 1 (equal), the mean over channels and places of the window.

    Only places where the whole window lies in the picture count, as in the authors' code; a picture smaller
    than that is reflected at its edges. Raises InputError input.array where the sizes differ.
    """
    _check(prediction, truth)
    x, y = prediction.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variances = _blurred(x * x) - mean_x**2 + _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    means = mean_x * mean_y
    likeness = (2 * means + _C1) * (2 * covariance + _C2)
    likeness /= (mean_x**2 + mean_y**2 + _C1) * (variances + _C2)
    return float(np.mean(_whole(likeness)))


def _blurred(values: Float[ndarray, "h w c"]) -> Float[ndarray, "h w c"]:
    kernel = cv2.getGaussianKernel(_WINDOW, _SIGMA)
    found = cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float64).reshape(values.shape)


def _whole(values: Float[ndarray, "h w c"]) -> Float[ndarray, "rows columns c"]:
    """The places where the window is inside, along each axis that is long enough."""
    half = _WINDOW // 2
    rows, columns = (slice(half, -half) if side >= _WINDOW else slice(None) for side in values.shape[:2])
    return values[rows, columns]


def _check(
    prediction: UInt8[ndarray, "height width channels"], truth: UInt8[ndarray, "rows columns c"]
) -> None:
    if prediction.shape != truth.shape or not truth.size:
        raise InputError(
            "input.array", f"Pictures of shapes {prediction.shape} and {truth.shape} cannot be compared."
        )
