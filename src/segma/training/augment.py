"""From a labelled picture to a training picture: crop, turn, recolour, degrade. NumPy and OpenCV.

Masks follow their picture; everything takes a `numpy.random.Generator`, so that a seed gives the example.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray

from segma.training.config import CropConfig

# Of an object that a crop cuts, less than this is no object of the crop any more.
SMALLEST_PIECE = 0.2
# The mean colour, which normalising makes about zero.
_OUTSIDE = (124, 116, 104)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture and its masks, of one size. `labels` name what each mask is of, "" where nobody did."""

    image: UInt8[ndarray, "height width 3"]
    masks: list[UInt8[ndarray, "height width"]]
    labels: list[str]


def crop_window(
    labelled: Labelled, aim: int | None, config: CropConfig, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """x0, y0, width, height of the part to take, in pixels; it may reach over the edge.

    `aim` is the index of the mask to aim at, or None for any part.
    """
    height, width = (int(side) for side in labelled.image.shape[:2])
    stretch = float(np.exp(random.uniform(-1, 1) * np.log1p(config.aspect)))
    if aim is None:
        share = float(np.sqrt(random.uniform(0.25, 1)))
        side_x, side_y = width * share * min(1, stretch), height * share * min(1, 1 / stretch)
        return random.uniform(0, width - side_x), random.uniform(0, height - side_y), side_x, side_y
    x, y, w, h = cv2.boundingRect(labelled.masks[aim])
    low, high = (math.log(share) for share in config.aimed_share)
    extent = max(w, h) / float(np.exp(random.uniform(low, high)))
    extent = float(np.clip(extent, 32, 1.05 * max(height, width)))
    side_x, side_y = extent * stretch**0.5, extent / stretch**0.5
    play_x, play_y = max(0.0, side_x - w), max(0.0, side_y - h)
    x0 = x - random.uniform(0, 1) * play_x if play_x else x + random.uniform(0, float(w - side_x))
    y0 = y - random.uniform(0, 1) * play_y if play_y else y + random.uniform(0, float(h - side_y))
    if side_x <= width:
        x0 = float(np.clip(x0, 0, width - side_x))
    if side_y <= height:
        y0 = float(np.clip(y0, 0, height - side_y))
    return x0, y0, side_x, side_y


def take(
    labelled: Labelled, window: tuple[float, float, float, float], size: int, angle: float = 0.0
) -> Labelled:
    """The window of a picture as a square of `size`, turned by `angle` degrees; lost masks are left out."""
    x0, y0, width, height = window
    scale_x, scale_y = size / width, size / height
    matrix = np.array([[scale_x, 0, -x0 * scale_x], [0, scale_y, -y0 * scale_y]])
    if angle:
        turn = np.vstack([cv2.getRotationMatrix2D((size / 2, size / 2), angle, 1), [0, 0, 1]])
        matrix = (turn @ np.vstack([matrix, [0, 0, 1]]))[:2]
    # an integer is the middle of a pixel in OpenCV, its corner in the window
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    image = labelled.image
    if min(scale_x, scale_y) < 0.75:  # warping skips pixels when it shrinks, so blur first
        sigma = 0.35 * (1 / min(scale_x, scale_y))
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    # Outside is one colour: a mirrored object would be one without a label.
    pixels = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=_OUTSIDE)
    masks: list[UInt8[ndarray, "height width"]] = []
    labels: list[str] = []
    for mask, label in zip(labelled.masks, labelled.labels, strict=True):
        before = cv2.countNonZero(mask) * scale_x * scale_y
        if not before:
            continue
        warped = cv2.warpAffine(mask * np.uint8(255), matrix, (size, size), flags=cv2.INTER_LINEAR)
        moved = (warped > 127).astype(np.uint8)
        if cv2.countNonZero(moved) >= max(12, SMALLEST_PIECE * before):
            masks.append(moved)
            labels.append(label)
    return Labelled(pixels, masks, labels)


def mirrored(labelled: Labelled) -> Labelled:
    """Left and right exchanged."""
    masks = [np.ascontiguousarray(mask[:, ::-1]) for mask in labelled.masks]
    return Labelled(np.ascontiguousarray(labelled.image[:, ::-1]), masks, labelled.labels)


def mosaic(parts: Sequence[Labelled], size: int) -> Labelled:
    """Four pictures of side `size` / 2 in one."""
    half = size // 2
    image = np.zeros((size, size, 3), np.uint8)
    masks: list[UInt8[ndarray, "height width"]] = []
    labels: list[str] = []
    for number, part in enumerate(parts):
        y, x = (number // 2) * half, (number % 2) * half
        image[y : y + half, x : x + half] = part.image
        for mask in part.masks:
            whole = np.zeros((size, size), np.uint8)
            whole[y : y + half, x : x + half] = mask
            masks.append(whole)
        labels.extend(part.labels)
    return Labelled(image, masks, labels)


def recoloured(
    image: UInt8[ndarray, "height width 3"], config: CropConfig, random: np.random.Generator
) -> UInt8[ndarray, "height width 3"]:
    """Brightness, contrast, saturation, hue, now and then grey; then blur, noise or compression."""
    if random.random() < config.colour:
        image = _colours(image, random)
    if random.random() < config.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if random.random() < config.degrade:
        image = _degraded(image, random)
    return image


def _colours(
    image: UInt8[ndarray, "height width 3"], random: np.random.Generator
) -> UInt8[ndarray, "height width 3"]:
    gain, lift = random.uniform(0.75, 1.3), random.uniform(-20, 20)
    tint = random.uniform(0.93, 1.07, 3) * gain
    table = np.arange(256, dtype=np.float32)[:, None] * tint + lift
    gamma = float(np.exp(random.uniform(-0.3, 0.3)))
    table = 255 * (np.clip(table, 0, 255) / 255) ** gamma
    image = cv2.LUT(image, table.astype(np.uint8)[None])
    saturation = random.uniform(0.6, 1.4)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)


def _degraded(
    image: UInt8[ndarray, "height width 3"], random: np.random.Generator
) -> UInt8[ndarray, "height width 3"]:
    kind = random.integers(3)
    if kind == 0:
        return cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.6))
    if kind == 1:
        noise = random.normal(0, random.uniform(3, 16), image.shape).astype(np.float32)
        return np.clip(image + noise, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 80))]
    decoded = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
    return image if decoded is None else np.asarray(decoded, np.uint8)


def overlaps(masks: Sequence[UInt8[ndarray, "height width"]], xy: tuple[int, int]) -> Bool[ndarray, " masks"]:
    """Which masks cover a pixel."""
    return np.array([mask[xy[1], xy[0]] > 0 for mask in masks], bool)
