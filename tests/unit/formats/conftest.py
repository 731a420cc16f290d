from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from segma.masks.mask import Mask, Masklet
from segma.media.image import voc_palette
from segma.samples import ImageSample, ObjectSample, TrackSample, VideoSample

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


def masklet(size: tuple[int, int], masks: dict[int, np.ndarray]) -> Masklet:
    return Masklet(size=size, masks={frame: Mask.from_dense(mask) for frame, mask in masks.items()})


@pytest.fixture
def video() -> VideoSample:
    """Ten frames, every 4th and one between annotated; objects that overlap, vanish, start late and hide."""
    frames = (0, 4, 5, 8)
    ring = {frame: np.roll(dense("ring"), frame, 1) for frame in frames}
    late = {0: dense("empty"), 4: dense("empty"), 8: dense("pixel")}
    return VideoSample(
        name="zoo_1",
        size=SIZE,
        num_frames=10,
        fps=24.0,
        objects=(
            TrackSample(
                object_id=3,
                masklet=masklet(SIZE, ring),
                label="Bär, «ö»",
                predicted_iou={0: 1.0, 4: 0.75},
                anchors=(0, 8),
                attributes={"colour": "red", "count": 2},
            ),
            TrackSample(object_id=12, masklet=masklet(SIZE, late)),
            TrackSample(object_id=7, masklet=masklet(SIZE, {4: dense("noise")}), label="cup"),
        ),
    )


@pytest.fixture
def make_masklet() -> Callable[..., Masklet]:
    return masklet


def draw_video(data: st.DataObject) -> VideoSample:
    """A small video with at least one mask: any pixels, frames left out, empty masks, labels, odd ids.

    Plain values are drawn, and the sample made of them afterwards: the type checker of the tests uses chance,
    which hypothesis forbids in a strategy.
    """
    height, width = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    num_frames = data.draw(st.integers(1, 9))
    pixels = st.integers(0, 2 ** (height * width) - 1)
    objects: list[TrackSample] = []
    for object_id in data.draw(st.lists(st.integers(0, 300), min_size=1, max_size=4, unique=True)):
        found = data.draw(st.dictionaries(st.integers(0, num_frames - 1), pixels, max_size=4))
        found |= {} if objects else {0: data.draw(pixels)}
        bits = {f: [value >> i & 1 for i in range(height * width)] for f, value in sorted(found.items())}
        dense = {f: np.array(values, bool).reshape(height, width) for f, values in bits.items()}
        objects.append(
            TrackSample(
                object_id=object_id,
                masklet=masklet((height, width), dense),
                label=data.draw(st.none() | st.text('aä«"\\,', max_size=3)),
                anchors=tuple(sorted(found)[:1]),
                predicted_iou=dict.fromkeys(sorted(found)[1:], 0.5),
                attributes=data.draw(st.dictionaries(st.sampled_from("ab"), st.integers() | st.text("ab"))),
            )
        )
    name = data.draw(st.sampled_from(["v", "00ff", "a b", "ü"]))
    return VideoSample(name=name, size=(height, width), num_frames=num_frames, objects=tuple(objects))


@pytest.fixture(scope="session")
def any_video() -> Callable[[st.DataObject], VideoSample]:
    return draw_video


def make_png(path: Path, values: object, mode: str = "P") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(values, np.uint8))
    if mode == "P":
        image.putpalette(voc_palette().tobytes())
    image.convert(mode).save(path)
    return path


def make_jpg(path: Path, size: tuple[int, int] = (3, 2)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


def make_id_maps(sample: VideoSample, every: int = 1) -> dict[int, np.ndarray]:
    """What a palette must hold, made without the code under test: the lowest id on top."""
    ids = [each.object_id for each in sample.objects]
    numbers = ids if all(1 <= i <= 254 for i in ids) else list(range(1, len(ids) + 1))
    frames = sorted({frame for each in sample.objects for frame in each.masklet.masks})
    maps: dict[int, np.ndarray] = {}
    for frame in frames:
        if frame % every:
            continue
        values = np.full(sample.size, 999)
        for number, each in zip(numbers, sample.objects, strict=True):
            values = np.where(each.masklet.dense(frame), np.minimum(values, number), values)
        maps[frame] = np.where(values == 999, 0, values)
    return maps


@pytest.fixture
def png() -> Callable[..., Path]:
    return make_png


@pytest.fixture
def jpg() -> Callable[..., Path]:
    return make_jpg


@pytest.fixture(scope="session")
def id_maps() -> Callable[..., dict[int, np.ndarray]]:
    return make_id_maps
