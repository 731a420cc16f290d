"""Where training clips come from: real ones with labels, cut-outs that move over a background, moved photos.

Every function gives one clip with the masks of all objects that could be asked about, or None where nothing
came of it; `clip_loader` chooses among the objects. NumPy and OpenCV, and a Generator for what is random.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray

from segma.media.image import read_picture
from segma.samples import ImageSample, TrackSample, VideoSample
from segma.training.augment import Labelled, crop_window, recoloured
from segma.training.config import ClipConfig, CropConfig
from segma.training.loader import Pool, read_labelled
from segma.training.pasting import cut_from, drawn_side
from segma.training.prompting import weights_of_objects
from segma.worlds.panning import camera_path, made_picture, seen, window_matrix
from segma.worlds.sprite_paths import SpritePath, drawn_path, leaving
from segma.worlds.sprites import (
    Sprite,
    composed,
    filmed,
    fitted,
    look_alike,
    matched,
    usable,
)

# What a sprite moves over: a photo of its own source, any photo, frames of a clip; else a made picture.
_OWN_SOURCE, _ANY_PHOTO, _REAL_CLIP = 0.35, 0.7, 0.88
# The colour outside a picture: there a reflected object would be one without a label.
_OUTSIDE = (124, 116, 104)
# A sprite that changes its background less than this, of 255, cannot be seen, so its labels count as unknown.
_LEAST_CONTRAST = 8.0
# Frames are joined for colours with this many rows between them, so that a blur stays in its frame.
_GAP = 8

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames and the objects of a clip; `known` and `complete` are those of `ClipBatch`."""

    frames: UInt8[ndarray, "frames size size 3"]
    masks: UInt8[ndarray, "objects frames size size"]
    known: Bool[ndarray, "objects frames"]
    complete: Bool[ndarray, " objects"]


@dataclass(frozen=True, slots=True)
class Grouped(Generic[_Item]):
    """Things by source, each source with the chance of the square root of its size."""

    groups: tuple[tuple[_Item, ...], ...]
    chances: tuple[float, ...]

    def draw(self, random: np.random.Generator, group: int | None = None) -> tuple[int, _Item]:
        """The number of a source, and a thing of it."""
        if group is None:
            group = int(random.choice(len(self.groups), p=self.chances))
        items = self.groups[group]
        return group, items[int(random.integers(len(items)))]

    def __bool__(self) -> bool:
        return bool(self.groups)


def grouped(items: Sequence[tuple[str, _Item]]) -> Grouped[_Item]:
    """From pairs of a source and a thing."""
    found: dict[str, list[_Item]] = defaultdict(list)
    for source, item in items:
        found[source].append(item)
    sizes = np.sqrt([len(group) for group in found.values()])
    return Grouped(tuple(tuple(group) for group in found.values()), tuple((sizes / sizes.sum()).tolist()))


@dataclass(frozen=True, slots=True)
class ClipPool:
    """Clips with at least two labelled frames, photos, and the photos that things can be cut from."""

    videos: Grouped[VideoSample]
    photos: Pool
    cut_outs: Grouped[tuple[ImageSample, tuple[int, ...]]]

    @classmethod
    def of(cls, videos: Sequence[VideoSample], images: Sequence[ImageSample]) -> ClipPool:
        """The pool of what has labels and pixels."""
        moving = [(each.source, each) for each in videos if len(labelled_frames(each)) > 1]
        found = [(each.source, (each, usable(each))) for each in images]
        return cls(
            grouped(moving),
            Pool.of(images),
            grouped([row for row in found if row[1][1]]),
        )


def labelled_frames(video: VideoSample) -> tuple[int, ...]:
    """The frames that have pixels, and a label of at least one object."""
    frames = {frame for each in video.objects for frame in each.masklet.masks}
    return tuple(sorted(frame for frame in frames if frame < len(video.pictures)))


def real_clip(
    pool: ClipPool, clips: ClipConfig, crop: CropConfig, size: int, random: np.random.Generator
) -> Clip | None:
    """Labelled frames of a real clip, all seen through one window. Raises InputError."""
    _, video = pool.videos.draw(random)
    times = _times(video, clips, random)
    shown = [
        each for each in video.objects if (mask := each.masklet.masks.get(times[0])) and mask.crop_size[0]
    ]
    if not shown:
        return None
    images = [read_picture(video.pictures[time]) for time in times]
    if any(image.shape[:2] != video.size for image in images):
        return None
    window = _window(images[0], shown, times, crop, random)
    angle = float(random.uniform(-20, 20)) if random.random() < crop.rotate else 0.0
    mirror = random.random() < 0.5
    path = [(window, angle)]
    frames = _mirrored(
        np.concatenate([seen(image, path, size, outside=_OUTSIDE) for image in images]), mirror
    )
    matrix = window_matrix(window, size, angle)
    masks = [np.stack([_warped(each.masklet.dense(time), matrix, size) for time in times]) for each in shown]
    known = [[time in each.masklet.masks for time in times] for each in shown]
    return Clip(
        frames=_recoloured(frames, crop, random),
        masks=_mirrored(np.stack(masks), mirror, axis=3),
        known=np.array(known, bool),
        complete=np.full(len(shown), not video.loose),
    )


def _times(video: VideoSample, clips: ClipConfig, random: np.random.Generator) -> list[int]:
    """Labelled frames at one stride, perhaps backwards; a short clip is gone through to and fro."""
    frames = labelled_frames(video)
    count = clips.frames
    low, high = clips.strides
    most = max(1, (len(frames) - 1) // max(1, count - 1))
    stride = int(random.integers(min(low, most), min(high, most) + 1))
    start = int(random.integers(max(1, len(frames) - stride * (count - 1))))
    places = start + stride * np.arange(count)
    period = 2 * (len(frames) - 1)
    places = places % period
    places = np.where(places >= len(frames), period - places, places)
    times = [frames[int(place)] for place in np.asarray(places)]
    return times[::-1] if random.random() < clips.reverse else times


def _window(
    image: UInt8[ndarray, "height width 3"],
    shown: Sequence[TrackSample],
    times: Sequence[int],
    crop: CropConfig,
    random: np.random.Generator,
) -> tuple[float, float, float, float]:
    """One window for all frames: all there is, any part, or the surroundings of where an object comes by."""
    height, width = image.shape[:2]
    fate = random.random()
    if fate < crop.whole:
        return 0.0, 0.0, float(width), float(height)
    if fate >= crop.whole + crop.aimed:
        return crop_window(Labelled(image, [], []), None, crop, random)
    areas = np.array([each.masklet.masks[times[0]].area / (height * width) for each in shown])
    each = shown[int(random.choice(len(shown), p=weights_of_objects(areas)))]
    visited = np.zeros((height, width), np.uint8)
    # to stay with the whole way of a fast object would make it small: sometimes only its start is aimed at
    for time in times if random.random() < 0.7 else times[:1]:
        mask = each.masklet.masks.get(time)
        if mask is not None and mask.crop_size[0]:
            (y, x), (h, w) = mask.offset, mask.crop_size
            visited[y : y + h, x : x + w] = 1
    x0, y0, side_x, side_y = crop_window(Labelled(image, [visited], [""]), 0, crop, random)
    # nothing but the picture: a margin that stands still on all frames would be easy
    side_x, side_y = min(side_x, float(width)), min(side_y, float(height))
    x0, y0 = min(max(x0, 0.0), width - side_x), min(max(y0, 0.0), height - side_y)
    return x0, y0, side_x, side_y


def still_clip(
    pool: ClipPool, clips: ClipConfig, crop: CropConfig, size: int, random: np.random.Generator
) -> Clip | None:
    """A photo under a moving camera: all of it moves alike, so few of the clips are made this way."""
    sample = pool.photos.draw(random)
    labelled = read_labelled(sample)
    mirror = random.random() < 0.5
    path = camera_path(labelled.image.shape[:2], clips.frames, float(random.uniform(0.02, 0.1)), random)
    first = window_matrix(path[0][0], size, path[0][1])
    found = [
        mask for mask in labelled.masks if 0 < cv2.countNonZero(_warped(mask, first, size)) < 0.9 * size**2
    ]
    if not found:
        return None
    areas = np.array([cv2.countNonZero(mask) / mask.size for mask in found])
    count = min(clips.objects, len(found))
    picked = random.choice(len(found), count, replace=False, p=weights_of_objects(areas))
    matrices = [window_matrix(window, size, angle) for window, angle in path]
    masks = [
        np.stack([_warped(found[number], matrix, size) for matrix in matrices]) for number in map(int, picked)
    ]
    frames = _mirrored(seen(labelled.image, path, size, outside=_OUTSIDE), mirror)
    return Clip(
        frames=_recoloured(frames, crop, random),
        masks=_mirrored(np.stack(masks), mirror, axis=3),
        known=np.ones((count, clips.frames), bool),
        complete=np.full(count, not sample.loose),
    )


def sprite_clip(
    pool: ClipPool, clips: ClipConfig, crop: CropConfig, size: int, random: np.random.Generator
) -> Clip | None:
    """Things cut out of photos, on their own ways over something that moves otherwise. Raises InputError."""
    source, sprites, scales = _cut_outs(pool, clips, size, random)
    if not sprites:
        return None
    frames, enlarged = _background(pool, source, clips, size, random)
    paths = [drawn_path(clips.frames, size, random) for _ in sprites]
    # later sprites cross the way of an earlier one
    for number in range(1, len(sprites)):
        if random.random() < 0.5:
            paths[number] = drawn_path(clips.frames, size, random, meets=paths[int(random.integers(number))])
    paths = [
        _perhaps_leaving(path, each, clips, size, random) for path, each in zip(paths, sprites, strict=True)
    ]
    # what was enlarged more is softer: the softer one stays, the other is blurred to match
    softness = max(max(scales), enlarged, 1.0)
    if softness > enlarged * 1.1:
        sigma = 0.4 * float(np.sqrt(softness**2 - max(1.0, enlarged) ** 2))
        for frame in frames:
            frame[...] = cv2.GaussianBlur(frame, (0, 0), max(0.2, sigma))
    sprites = [
        matched(each, frames[0], 0.4 * float(np.sqrt(softness**2 - max(1.0, scale) ** 2)), random)
        for each, scale in zip(sprites, scales, strict=True)
    ]
    order: list[int] = random.permutation(len(sprites)).tolist()
    made = composed(
        frames,
        [sprites[number] for number in order],
        [paths[number] for number in order],
        shutter=float(random.uniform(0.2, 0.7)) if random.random() < 0.5 else 0.0,
        shadow=float(random.uniform(0.15, 0.5)) if random.random() < 0.35 else 0.0,
    )
    return Clip(
        frames=filmed(_recoloured(made.frames, replace(crop, degrade=0.3 * crop.degrade), random), random),
        masks=made.masks,
        known=np.repeat(made.contrast[:, None] >= _LEAST_CONTRAST, clips.frames, 1),
        complete=np.ones(len(sprites), bool),
    )


def _cut_outs(
    pool: ClipPool, clips: ClipConfig, size: int, random: np.random.Generator
) -> tuple[int, list[Sprite], list[float]]:
    """The number of their source, the sprites at their size, and how far each was enlarged."""
    source, _ = pool.cut_outs.draw(random)
    sprites: list[Sprite] = []
    scales: list[float] = []
    wanted = int(random.integers(1, clips.objects + 1)) + int(random.integers(0, 3))
    for _ in range(2 * wanted):
        if len(sprites) >= wanted:
            break
        other = source if random.random() < 0.6 else None
        _, (sample, numbers) = pool.cut_outs.draw(random, other)
        each = sample.objects[numbers[int(random.integers(len(numbers)))]]
        found = cut_from(sample, each, random)
        if found is not None:
            sprite, scale = fitted(found, drawn_side(size, random), random)
            sprites.append(sprite)
            scales.append(scale)
    if sprites and random.random() < 0.35:
        number = int(random.integers(len(sprites)))
        sprites.append(look_alike(sprites[number], random))
        scales.append(scales[number])
    return source, sprites, scales


def _perhaps_leaving(
    path: SpritePath, sprite: Sprite, clips: ClipConfig, size: int, random: np.random.Generator
) -> SpritePath:
    if random.random() >= clips.absent:
        return path
    return leaving(path, size, float(np.hypot(*sprite.pixels.shape[:2])) / 2, random)


def _background(
    pool: ClipPool, source: int, clips: ClipConfig, size: int, random: np.random.Generator
) -> tuple[UInt8[ndarray, "frames size size 3"], float]:
    """Frames of what is behind the sprites, and how far they were enlarged."""
    fate = random.random()
    speed = float(random.uniform(0.0, 0.03))
    if fate < _ANY_PHOTO:
        sample = pool.cut_outs.draw(random, source)[1][0] if fate < _OWN_SOURCE else pool.photos.draw(random)
        assert sample.picture is not None
        image = read_picture(sample.picture)
    elif fate < _REAL_CLIP and pool.videos:
        _, video = pool.videos.draw(random)
        images = [read_picture(video.pictures[time]) for time in _times(video, clips, random)]
        path = camera_path(images[0].shape[:2], 1, 0.0, random)
        if all(image.shape == images[0].shape for image in images):
            return np.concatenate([seen(image, path, size) for image in images]), size / path[0][0][2]
        image = images[0]
    else:
        image = made_picture(round(1.3 * size), random)
    path = camera_path(image.shape[:2], clips.frames, speed, random)
    return seen(image, path, size), size / path[0][0][2]


def _warped(
    mask: UInt8[ndarray, "height width"] | Bool[ndarray, "height width"], matrix: ndarray, size: int
) -> UInt8[ndarray, "size size"]:
    warped = cv2.warpAffine(mask.astype(np.uint8) * np.uint8(255), matrix, (size, size))
    return (warped > 127).astype(np.uint8)


def _mirrored(array: ndarray, mirror: bool, axis: int = 2) -> ndarray:
    return np.ascontiguousarray(np.flip(array, axis)) if mirror else array


def _recoloured(
    frames: UInt8[ndarray, "frames size size 3"], crop: CropConfig, random: np.random.Generator
) -> UInt8[ndarray, "frames size size 3"]:
    """All frames recoloured alike, then each a little of its own, as a camera's exposure wavers."""
    count, size = frames.shape[:2]
    padded = np.pad(frames, ((0, 0), (_GAP, _GAP), (0, 0), (0, 0)), mode="edge")
    joined = recoloured(padded.reshape(-1, *frames.shape[2:]), crop, random)
    frames = joined.reshape(count, size + 2 * _GAP, size, 3)[:, _GAP:-_GAP]
    if random.random() < crop.colour:
        gains = random.uniform(0.96, 1.04, (count, 1)) * random.uniform(0.985, 1.015, (count, 3))
        table = np.clip(np.arange(256)[:, None] * gains[:, None], 0, 255).astype(np.uint8)  # (frames, 256, 3)
        frames = np.ascontiguousarray(frames)
        for frame, row in zip(frames, table, strict=True):
            frame[...] = cv2.LUT(frame, row[None])
    return np.ascontiguousarray(frames)
