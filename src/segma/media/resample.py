"""Pictures made a whole number of times smaller or larger, by the bicubic kernel that Pillow has."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image


def reduced(pixels: UInt8[ndarray, "h w *c"], scale: int) -> UInt8[ndarray, "small_h small_w *c"]:
    """A picture, so many times smaller, with antialiasing; what is over at right and below is cut off first.

    >>> reduced(np.zeros((9, 6, 3), np.uint8), 2).shape
    (4, 3, 3)
    """
    height, width = (side // scale for side in pixels.shape[:2])
    return _resized(pixels[: height * scale, : width * scale], (height, width))


def enlarged(pixels: UInt8[ndarray, "h w *c"], scale: int) -> UInt8[ndarray, "large_h large_w *c"]:
    """A picture or a plane, so many times larger."""
    height, width = pixels.shape[:2]
    return _resized(pixels, (height * scale, width * scale))


def _resized(pixels: UInt8[ndarray, "h w *c"], size: tuple[int, int]) -> UInt8[ndarray, "height width *c"]:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(image.resize((size[1], size[0]), Image.Resampling.BICUBIC))
