"""The first prompts of a training picture, and the places where its masks are compared with the truth."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray

from segma.masks.components import disc
from segma.training.config import PromptConfig

# Of the compared places: in the grown box of the object, near its edge; the rest anywhere. With fewer of the
# rest a click's answer runs out into the picture, and dice alone hardly calls it back.
_IN_BOX, _NEAR_EDGE = 0.35, 0.25


def moved(
    mask: UInt8[ndarray, "height width"], random: np.random.Generator
) -> UInt8[ndarray, "height width"]:
    """A mask as it may have been a moment ago: shifted, turned, larger or smaller, drawn too wide or narrow.

    The still of a video (arXiv 1612.02646): what follows an object's mask can be learned from pictures.
    """
    x, y, w, h = cv2.boundingRect(mask)
    angle, stretch = random.normal(0, 0.14), np.exp(random.normal(0, 0.09, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * stretch
    middle = np.array([x + (w - 1) / 2, y + (h - 1) / 2])
    shift = middle - turn @ middle + random.normal(0, 0.08, 2) * (w, h)
    matrix = np.concatenate([turn, shift[:, None]], 1)
    found = cv2.warpAffine(mask, matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    width = int(abs(random.normal(0, 0.03 * min(w, h))) + random.random())
    if width:
        change = cv2.dilate if random.random() < 0.5 else cv2.erode
        found = change(found, disc(width))
    return np.asarray(found, np.uint8) if cv2.countNonZero(found) else mask


class Compared(NamedTuple):
    """Places xy (pixels, integers in the middle), what the mask is there, and weights that make them fair.

    `edge` says which lie within two pixels of the mask's edge.
    """

    places: Float[ndarray, "count 2"]
    inside: Bool[ndarray, " count"]
    weights: Float[ndarray, " count"]
    edge: Bool[ndarray, " count"]


def first_click(
    mask: UInt8[ndarray, "height width"], inner: float, random: np.random.Generator
) -> tuple[int, int]:
    """x, y of a pixel of a mask: from its inner half with the chance `inner`, else from anywhere in it."""
    x, y, w, h = cv2.boundingRect(mask)
    region = mask[y : y + h, x : x + w]
    if random.random() < inner:
        depth = cv2.distanceTransform(np.pad(region, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        rows, columns = np.nonzero(depth >= 0.5 * depth.max())
    else:
        rows, columns = np.nonzero(region)
    pick = random.integers(len(rows))
    return int(columns[pick]) + x, int(rows[pick]) + y


def jittered(
    mask: UInt8[ndarray, "height width"], jitter: float, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 around a mask (integers are middles of pixels), each side moved by up to `jitter`."""
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask)
    amount = random.uniform(0, jitter)
    move = random.uniform(-amount, amount, 4) * (w, h, w, h)
    x0, y0, x1, y1 = np.array([x, y, x + w, y + h]) + move - 0.5
    x0, x1 = np.clip([x0, max(x1, x0 + 1)], -0.5, width - 0.5)
    y0, y1 = np.clip([y0, max(y1, y0 + 1)], -0.5, height - 0.5)
    return float(x0), float(y0), float(x1), float(y1)


def compared_places(
    mask: UInt8[ndarray, "height width"], count: int, random: np.random.Generator
) -> Compared:
    """Places to compare a mask at, and what it is there.

    A third lies in the surroundings of the object, many near its edge, the rest anywhere, so that small
    objects and thin edges count; a weighted sum over places is an unbiased estimate of one over the picture.
    """
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask)
    grow_x, grow_y = 0.3 * w + 6, 0.3 * h + 6
    box = np.array([x - grow_x, y - grow_y, x + w + grow_x, y + h + grow_y])
    box = np.clip(box, 0, (width, height, width, height))
    in_box, near = round(_IN_BOX * count), round(_NEAR_EDGE * count)
    around = random.uniform(box[:2], box[2:], (in_box, 2))
    anywhere = random.uniform(0, (width, height), (count - in_box - near, 2))
    band = cv2.morphologyEx(np.pad(mask, 2), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))[2:-2, 2:-2]
    rows, columns = np.nonzero(band)
    if len(rows):
        pick = random.integers(len(rows), size=near)
        edge = np.stack([columns[pick], rows[pick]], 1) + random.random((near, 2))
    else:
        edge = random.uniform(0, (width, height), (near, 2))
    places = np.concatenate([around, edge, anywhere])
    cells = np.minimum(places.astype(int), (width - 1, height - 1))
    truth = mask[cells[:, 1], cells[:, 0]] > 0
    inside = ((places >= box[:2]) & (places <= box[2:])).all(1)
    box_area = max(1.0, float((box[2] - box[0]) * (box[3] - box[1])))
    density = inside * (_IN_BOX / box_area) + (1 - _IN_BOX - _NEAR_EDGE) / (width * height)
    at_edge = band[cells[:, 1], cells[:, 0]] > 0
    if len(rows):
        density = density + at_edge * (_NEAR_EDGE / len(rows))
    weights = 1 / (density * count)  # pixels that a place stands for
    return Compared(
        places=(places - 0.5).astype(np.float32),
        inside=truth,
        weights=weights.astype(np.float32),
        edge=at_edge,
    )


def weights_of_objects(areas: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Chances of objects to be asked about, by their share of the picture: large ones more, none ruling."""
    chances = np.clip(areas, 1e-4, 0.6) ** 0.35
    return chances / chances.sum()


def chosen_objects(
    masks: list[UInt8[ndarray, "height width"]], config: PromptConfig, random: np.random.Generator
) -> list[int]:
    """Indices of the objects to ask about, without those that fill the picture; may be none, may repeat."""
    size = masks[0].size if masks else 1
    areas = np.array([cv2.countNonZero(mask) / size for mask in masks])
    usable = np.flatnonzero((areas > 0) & (areas < 0.9))
    if not len(usable):
        return []
    count = min(config.objects, len(usable))
    picked = random.choice(usable, count, replace=False, p=weights_of_objects(areas[usable]))
    again = random.choice(picked, max(0, config.least - count))
    return [int(index) for index in (*picked, *again)]
