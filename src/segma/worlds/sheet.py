"""A contact sheet of scenes: families side by side, clips as rows of frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.worlds.families import FAMILIES, draw_scene
from segma.worlds.render import render


def contact_sheet(
    families: Sequence[str], *, columns: int = 10, size: int = 88, seed: int = 0
) -> UInt8[ndarray, "height width 3"]:
    """Families of images half a row each, those of videos a whole row of frames, `columns` pictures wide.

    Pictures are rendered at twice their `size` in pixels and halved.
    """
    half = columns // 2
    still = [name for name in families if not FAMILIES[name].video]
    cells = [_pictures(name, range(seed, seed + half), size) for name in still]
    if len(cells) % 2:
        cells.append(np.full_like(cells[0], 255))
    rows = [np.concatenate(pair, 1) for pair in zip(cells[0::2], cells[1::2], strict=True)]
    rows += [_frames(name, seed, 2 * half, size) for name in families if FAMILIES[name].video]
    return np.concatenate(rows, 0)


def _pictures(family: str, seeds: range, size: int) -> UInt8[ndarray, "height width 3"]:
    images = render([draw_scene(family, seed) for seed in seeds], size=2 * size).images[:, 0].numpy()
    return _row(images)


def _frames(family: str, seed: int, count: int, size: int) -> UInt8[ndarray, "height width 3"]:
    scene = draw_scene(family, seed, num_frames=count)
    return _row(render([scene], size=2 * size).images[0].numpy())


def _row(images: UInt8[ndarray, "count 3 double double"]) -> UInt8[ndarray, "height width 3"]:
    count, _, double, _ = images.shape
    halved = images.reshape(count, 3, double // 2, 2, double // 2, 2).mean((3, 5)).round().astype(np.uint8)
    halved[:, :, -1], halved[:, :, :, -1] = 255, 255
    return np.ascontiguousarray(halved.transpose(2, 0, 3, 1).reshape(double // 2, -1, 3))
