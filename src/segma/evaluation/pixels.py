"""Pixels to measure on: the middle square of a picture, the middle frames of a clip, all of one size."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from segma.errors import InputError
from segma.media.footage import middle_of
from segma.media.image import read_picture
from segma.media.video import VideoFile
from segma.samples import ImageSample, VideoSample


def square_of(sample: ImageSample, size: int) -> UInt8[ndarray, "1 size size 3"]:
    """A picture as a clip of one frame. Raises InputError where it cannot be read."""
    if sample.picture is None:
        raise _nowhere()
    return middle_of(read_picture(sample.picture), (size, size))[None]


def squares_of(
    sample: VideoSample, size: int, most: int, *, group: int = 1
) -> UInt8[ndarray, "frames size size 3"]:
    """The middle frames of a clip, `most` of them where there are so many, and 1 + a multiple of `group`.

    Raises InputError where they cannot be read.
    """
    return np.stack([middle_of(frame, (size, size)) for frame in _frames_of(sample, most, group)])


def _frames_of(sample: VideoSample, most: int, group: int) -> list[UInt8[ndarray, "height width 3"]]:
    if sample.pictures or sample.video is None:
        chosen = _middle(len(sample.pictures), most, group)
        frames = [read_picture(sample.pictures[index]) for index in chosen]
    else:
        with VideoFile(sample.video) as video:
            chosen = _middle(video.num_frames, most, group)
            frames = [frame.pixels for frame in video.frames(chosen.start, chosen.stop - 1)]
    if len(frames) != len(chosen):
        raise InputError("input.frame_broken", f"{len(chosen) - len(frames)} frames cannot be decoded")
    return frames


def _middle(total: int, most: int, group: int) -> range:
    if total < 1:
        raise _nowhere()
    count = 1 + (min(total, most) - 1) // group * group
    start = (total - count) // 2
    return range(start, start + count)


def squashed_picture(sample: ImageSample, size: int) -> UInt8[ndarray, "1 size size 3"]:
    """A whole picture as a square, its proportions lost, as the authors of OmniTokenizer measure (bicubic).

    Raises InputError where it cannot be read.
    """
    if sample.picture is None:
        raise _nowhere()
    return _squashed(read_picture(sample.picture), size)[None]


def squashed_frames(sample: VideoSample, size: int, count: int) -> UInt8[ndarray, "frames size size 3"]:
    """The same of the middle frames of a clip. Raises InputError for a clip of fewer."""
    frames = _frames_of(sample, count, 1)
    if len(frames) < count:
        raise InputError("input.frame_range", f"{len(frames)} frames, expected {count} or more")
    return np.stack([_squashed(frame, size) for frame in frames])


def _squashed(image: UInt8[ndarray, "height width 3"], size: int) -> UInt8[ndarray, "size size 3"]:
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def _nowhere() -> InputError:
    return InputError("input.not_found", "the data set does not say where its pixels are")
