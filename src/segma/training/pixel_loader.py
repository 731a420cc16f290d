"""Batches of bare pixels for tokenizers: crops of pictures, of clips, and of photos under a moving camera.

Clips are folders or stretches of pictures, or video files, which are opened only when one of their clips is
drawn. Where there are no pictures at all, frames of clips are taken for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch.utils.data import Dataset

from segma.errors import InputError, SegmaError
from segma.media.image import read_picture
from segma.samples import ImageSample, VideoSample
from segma.training.batch import PixelBatch
from segma.training.clip_sources import Grouped, grouped
from segma.training.config import TrainConfig
from segma.training.loader import made_ahead
from segma.worlds.panning import camera_path, seen

# Tells these draws from those of other batches of the same seed and number.
_PIXELS = 0x91E1
_TRIES = 20
# Speeds of a camera over a photo, as shares of its view a frame.
_SPEEDS = (0.005, 0.06)


@dataclass(frozen=True, slots=True)
class PixelPool:
    """Pictures and clips by source, each source with the chance of the square root of its size."""

    pictures: Grouped[ImageSample]
    clips: Grouped[VideoSample]

    @classmethod
    def of(cls, pictures: Sequence[ImageSample], clips: Sequence[VideoSample]) -> PixelPool:
        """The pool of what has pixels; labels are not looked at."""
        return cls(
            grouped([(each.source, each) for each in pictures if each.picture is not None]),
            grouped([(each.source, each) for each in clips if num_frames(each) > 1]),
        )


@dataclass(frozen=True, slots=True)
class PixelBatches(Dataset[PixelBatch]):
    """Batch number i of a run, for a `DataLoader`."""

    pool: PixelPool
    config: TrainConfig

    def __len__(self) -> int:
        return self.config.steps * self.config.optim.accumulate

    def __getitem__(self, index: int) -> PixelBatch:
        """The batch, made from the run's seed and its number. Raises InputError where hardly any can be."""
        started = time.perf_counter()
        random = np.random.default_rng((self.config.seed, index, _PIXELS))
        codes = self.config.codes
        size = int(random.choice(codes.sizes))
        is_clip = random.random() < self.config.video_share
        whole = codes.clips if is_clip else self.config.batch
        count = max(1, round(whole * (codes.sizes[0] / size) ** 2))
        parts: list[ndarray] = []
        unreadable = 0
        while len(parts) < count:
            try:
                parts.append(self._clip(size, random) if is_clip else self._picture(size, random)[None])
            except (SegmaError, OSError) as error:
                unreadable += 1
                if unreadable > _TRIES * count:
                    raise InputError("input.unreadable", "Hardly any picture can be read.") from error
        pixels = torch.from_numpy(np.ascontiguousarray(np.stack(parts).transpose(0, 1, 4, 2, 3)))  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        return PixelBatch(pixels=pixels, unreadable=unreadable, seconds=time.perf_counter() - started)

    def _picture(self, size: int, random: np.random.Generator) -> UInt8[ndarray, "size size 3"]:
        if not self.pool.pictures:
            _, video = self.pool.clips.draw(random)
            frames = read_frames(video, lambda total: [int(random.integers(total))])
            return mirrored(self._part(frames, size, random), random)[0]
        _, sample = self.pool.pictures.draw(random)
        assert sample.picture is not None
        image = read_picture(sample.picture)
        return mirrored(self._part([image], size, random), random)[0]

    def _clip(self, size: int, random: np.random.Generator) -> UInt8[ndarray, "frames size size 3"]:
        codes = self.config.codes
        if not self.pool.clips or (self.pool.pictures and random.random() < codes.panned):
            _, sample = self.pool.pictures.draw(random)
            assert sample.picture is not None
            image = read_picture(sample.picture)
            path = camera_path(image.shape[:2], codes.frames, float(random.uniform(*_SPEEDS)), random)
            return mirrored(seen(image, path, size), random)
        _, video = self.pool.clips.draw(random)
        frames = read_frames(video, lambda total: _times(total, codes.frames, codes.strides, random))
        return mirrored(self._part(frames, size, random), random)

    def _part(
        self, frames: Sequence[UInt8[ndarray, "height width 3"]], size: int, random: np.random.Generator
    ) -> UInt8[ndarray, "frames size size 3"]:
        """A square of frames: the largest one, or a part as large as chance wants."""
        share = self.config.codes.whole
        # nothing is drawn where all are parts, so that such runs stay what they were
        return cropped(frames, size, random, whole=bool(share) and random.random() < share)


def num_frames(video: VideoSample) -> int:
    """How many frames of a clip there are pixels of; of a video file as many as its header claims."""
    return len(video.pictures) if video.pictures or video.video is None else video.num_frames


def read_frames(
    video: VideoSample, times: Callable[[int], Sequence[int]]
) -> list[UInt8[ndarray, "height width 3"]]:
    """The frames of a clip that `times` chooses, given how many there are; no others are kept.

    Raises InputError where one cannot be decoded.
    """
    if video.pictures or video.video is None:
        return [read_picture(video.pictures[time]) for time in times(len(video.pictures))]
    # a machine lent for training has no FFmpeg, and is given pictures alone
    from segma.media.video import VideoFile

    with VideoFile(video.video) as source:
        wanted: Sequence[int] = times(source.num_frames)
        found = {time: source.read(time).pixels for time in sorted(set(wanted))}
    return [found[time] for time in wanted]


def _times(total: int, count: int, strides: tuple[int, int], random: np.random.Generator) -> list[int]:
    """So many frames at one stride, perhaps backwards; a short clip is gone through to and fro."""
    most = max(1, (total - 1) // max(1, count - 1))
    stride = int(random.integers(min(strides[0], most), min(strides[1], most) + 1))
    start = int(random.integers(max(1, total - stride * (count - 1))))
    period = max(1, 2 * (total - 1))
    places = [(start + stride * number) % period for number in range(count)]
    times = [place if place < total else period - place for place in places]
    return times[::-1] if random.random() < 0.5 else times


def cropped(
    images: Sequence[UInt8[ndarray, "height width 3"]],
    size: int,
    random: np.random.Generator,
    *,
    whole: bool = False,
) -> UInt8[ndarray, "frames size size 3"]:
    """One square part of all frames, at its own pixels, coarser, or (small pictures) a little finer.

    `whole`: the part is as large as the frames' shorter side.
    Raises InputError for frames of different sizes.
    """
    height, width = (int(each) for each in images[0].shape[:2])
    if any(image.shape != images[0].shape for image in images):
        raise InputError("input.unreadable", "Frames of a clip have different sizes.")
    largest = int(min(height, width))
    finest = float(np.log(max(1.0, largest / size)))
    scale = finest if whole else float(random.uniform(0, finest))
    side = round(min(largest, size * float(np.exp(scale))))
    x, y = (int(random.integers(each - side + 1)) for each in (width, height))
    how = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    parts = [image[y : y + side, x : x + side] for image in images]
    return np.stack([cv2.resize(part, (size, size), interpolation=how) for part in parts])


def mirrored(frames: ndarray, random: np.random.Generator) -> ndarray:
    """The frames, half the time the other way round."""
    return frames[:, :, ::-1] if random.random() < 0.5 else frames


def pixel_batches(
    pool: PixelPool, config: TrainConfig, numbers: Sequence[int] | None = None
) -> Iterator[PixelBatch]:
    """The run's batches of these numbers (None: of all), made ahead by `config.workers` processes."""
    dataset = PixelBatches(pool, config)
    return made_ahead(dataset, range(len(dataset)) if numbers is None else numbers, config.workers)
