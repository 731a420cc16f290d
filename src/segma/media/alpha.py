"""The alpha of a picture, which `image.read_image` leaves out."""

from __future__ import annotations

import contextlib

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import ImageOps

from segma.media.image import MAX_PIXELS, decoded

_OPAQUE = 255


def read_alpha(source: object, *, max_pixels: int = MAX_PIXELS) -> UInt8[ndarray, "height width"] | None:
    """How opaque the pixels of a picture file, or of its bytes, are; upright, None where all are opaque.

    Raises InputError.
    """
    image, _ = decoded(source, max_pixels)
    if "transparency" not in image.info and not {"A", "a"} & set(image.getbands()):
        return None
    with contextlib.suppress(Exception):  # a broken tag: `read_image` does not turn the picture either
        image = ImageOps.exif_transpose(image)
    alpha = np.array(image.convert("RGBA").getchannel("A"))
    return None if bool((alpha == _OPAQUE).all()) else alpha
