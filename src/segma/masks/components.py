"""Connected parts of a mask: small holes filled, small islands dropped; what masks grow by (OpenCV)."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray


def remove_small_regions(
    mask: Bool[ndarray, "height width"], min_area: float | int, mode: Literal["holes", "islands"]
) -> tuple[Bool[ndarray, "height width"], bool]:
    """The mask without regions of fewer than `min_area` pixels, and whether there were any.

    Regions are 8-connected. "holes" fills small parts of the background, also at the edge of the image;
    "islands" drops small parts of the foreground, and if all are small the largest stays.
    """
    holes = mode == "holes"
    regions = ~mask if holes else mask
    _, found, stats, _ = cv2.connectedComponentsWithStats(regions.astype(np.uint8), connectivity=8)
    labels = found.astype(np.int64, copy=False)
    areas = stats[:, cv2.CC_STAT_AREA]
    small = areas < min_area
    small[0] = False  # label 0 is what lies between the regions
    if not small.any():
        return mask, False
    if holes:
        return mask | small[labels], True
    stays = ~small
    stays[0] = False
    if not stays.any():
        stays[1 + int(np.argmax(areas[1:]))] = True
    return stays[labels], True


def disc(radius: int) -> UInt8[ndarray, "side side"]:
    """What a mask grows or shrinks by: a disc of so many pixels around its middle one."""
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
