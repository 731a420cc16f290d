"""Where everything mode clicks: grids of points and layers of crops (SAM, appendix B)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from numpy import ndarray

CropBox = tuple[int, int, int, int]


def point_grid(points_per_side: int) -> Float[ndarray, "points 2"]:
    """Centres of an n x n grid over the unit square, x running fastest.

    >>> point_grid(2).tolist()
    [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    offset = 1 / (2 * points_per_side)
    side = np.linspace(offset, 1 - offset, points_per_side)
    x, y = np.meshgrid(side, side)
    return np.stack([x, y], -1).reshape(-1, 2)


def layer_grids(
    points_per_side: int, num_layers: int, downscale_factor: int
) -> list[Float[ndarray, "points 2"]]:
    """One grid for the image and one for each layer of crops, thinner by the factor each time."""
    sides = (int(points_per_side / downscale_factor**layer) for layer in range(num_layers + 1))
    return [point_grid(max(1, side)) for side in sides]


def crop_boxes(
    image_size: tuple[int, int], num_layers: int, overlap_ratio: float
) -> list[tuple[CropBox, int]]:
    """The image and its crops, each x0, y0, x1, y1 (x1 and y1 exclusive) with its layer.

    Layer k has 2^k x 2^k crops, column by column; neighbours overlap by ratio * short side * 2 / 2^k pixels.
    """
    height, width = image_size
    boxes: list[tuple[CropBox, int]] = [((0, 0, width, height), 0)]
    for layer in range(1, num_layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / per_side))
        crop_width = math.ceil((overlap * (per_side - 1) + width) / per_side)
        crop_height = math.ceil((overlap * (per_side - 1) + height) / per_side)
        lefts = [int((crop_width - overlap) * index) for index in range(per_side)]
        tops = [int((crop_height - overlap) * index) for index in range(per_side)]
        boxes += [
            ((x, y, min(x + crop_width, width), min(y + crop_height, height)), layer)
            for x in lefts
            for y in tops
            if x < width and y < height  # of a picture of few pixels some would be empty
        ]
    return boxes
