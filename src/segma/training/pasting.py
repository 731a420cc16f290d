"""Things of other pictures, pasted in front of a training picture: new neighbours, and new things hidden."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from segma.media.image import read_picture
from segma.samples import ImageSample, ObjectSample
from segma.training.augment import SMALLEST_PIECE, Labelled
from segma.worlds.sprite_paths import drawn_path
from segma.worlds.sprites import Sprite, composed, cut_out, fitted, matched

# The longer side of what is pasted, as a share of the picture's.
_SIDES = (0.1, 0.65)


def cut_from(sample: ImageSample, each: ObjectSample, random: np.random.Generator) -> Sprite | None:
    """An object of a picture, cut out; None where it will not do. Raises InputError."""
    assert sample.picture is not None
    image = read_picture(sample.picture)
    return None if image.shape[:2] != each.mask.size else cut_out(image, each.mask.dense(), random)


def drawn_side(size: int, random: np.random.Generator) -> float:
    """The longer side of something to paste into a picture of `size`, in pixels."""
    return size * math.exp(random.uniform(math.log(_SIDES[0]), math.log(_SIDES[1])))


def pasted(
    labelled: Labelled, sprites: Sequence[Sprite], labels: Sequence[str], random: np.random.Generator
) -> Labelled:
    """A square picture with sprites in front, the last one nearest; what is nearly hidden loses its label."""
    image, size = labelled.image, len(labelled.image)
    placed: list[Sprite] = []
    for sprite in sprites:
        scaled, enlarged = fitted(sprite, drawn_side(size, random), random)
        placed.append(matched(scaled, image, 0.4 * max(0.0, enlarged - 1), random))
    paths = [drawn_path(2, size, random) for _ in placed]  # a still: where the way begins
    made = composed(image[None], placed, paths, shadow=float(random.uniform(0, 0.5)))
    in_front = made.masks[:, 0]
    uncovered = (~in_front.any(0)).astype(np.uint8)
    found = [(mask * uncovered, cv2.countNonZero(mask)) for mask in labelled.masks]
    found += [
        (np.ascontiguousarray(mask), int(sprite.pixels[:, :, 3].sum()))
        for mask, sprite in zip(in_front, placed, strict=True)
    ]
    seen = [cv2.countNonZero(mask) >= max(12, SMALLEST_PIECE * before) for mask, before in found]
    return Labelled(
        made.frames[0],
        [mask for (mask, _), is_seen in zip(found, seen, strict=True) if is_seen],
        [label for label, is_seen in zip([*labelled.labels, *labels], seen, strict=True) if is_seen],
    )
