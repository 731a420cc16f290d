from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segma.masks.mask import Mask
from segma.samples import ImageSample, ObjectSample

SIZE = (31, 43)


def dense(kind: str, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Masks that differ in what may go wrong: holes, corners that touch, edges, one pixel, nothing."""
    y, x = np.mgrid[: size[0], : size[1]]
    disc = (x - 20) ** 2 + (y - 14) ** 2
    return {
        "ring": (disc < 144) & (disc > 30),
        "noise": np.random.default_rng(1).random(size) < 0.5,
        "corners": ((x // 5) + (y // 5)) % 2 == 0,
        "full": np.ones(size, bool),
        "pixel": (x == 42) & (y == 30),
        "column": x == 7,
        "empty": np.zeros(size, bool),
    }[kind]


KINDS = ("ring", "noise", "corners", "full", "pixel", "column", "empty")


@pytest.fixture
def sample() -> ImageSample:
    """One image with everything a sample can say."""
    objects = tuple(
        ObjectSample(
            object_id=number,
            mask=Mask.from_dense(dense(kind)),
            predicted_iou=0.9 - number / 100,
            stability_score=None if number == 2 else 0.95,
            points=() if number == 3 else ((3.5, 7.0),),
            crop_box=None if number == 4 else (0.0, 0.0, 43.0, 31.0),
        )
        for number, kind in enumerate(KINDS, 1)
    )
    return ImageSample(file_name="photos/truck.jpg", size=SIZE, objects=objects, image_id=7)


@pytest.fixture
def labelled() -> list[ImageSample]:
    """Two images with labels, attributes, a crowd, and ids of the user's own."""

    def one(object_id: int, kind: str, label: str | None, **more: Any) -> ObjectSample:
        return ObjectSample(object_id=object_id, mask=Mask.from_dense(dense(kind)), label=label, **more)

    first = (
        one(12, "ring", "cup", attributes={"colour": "red", "count": 2, "full": True, "note": None}),
        one(4, "noise", None),
    )
    second = (one(12, "corners", "cup"), one(5, "pixel", "Bär, «ö»", is_crowd=True))
    return [
        ImageSample(file_name="a.jpg", size=SIZE, objects=first, image_id=3),
        ImageSample(file_name="b/c.jpg", size=SIZE, objects=second, image_id=9),
        ImageSample(file_name="none.jpg", size=(5, 6), image_id=10),
    ]


@pytest.fixture
def make_dense() -> Callable[..., np.ndarray]:
    return dense
