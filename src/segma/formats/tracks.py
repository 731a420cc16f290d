"""What the formats for video share: masks read on demand, which frames are written, what a format loses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Generic, Literal, TypeVar

import numpy as np

from segma.errors import FormatError
from segma.formats.document import inside_name
from segma.formats.loss import note
from segma.masks.mask import Mask
from segma.masks.rle import CocoRle
from segma.samples import VideoSample

Kept = Literal["labels", "predicted_iou", "anchors", "attributes", "video", "length"]

_Found = TypeVar("_Found")


class LazyMasks(Mapping[int, Mask], Generic[_Found]):
    """Masks by frame that are made when asked for, from what was found of each in a file.

    Two are equal, and equal to a dict, when all their masks are; that decodes them.
    """

    __slots__ = ("_found", "_load")

    def __init__(self, found: Mapping[int, _Found], load: Callable[[_Found], Mask]) -> None:
        self._found = found
        self._load = load

    def __getitem__(self, frame: int) -> Mask:
        return self._load(self._found[frame])

    def __contains__(self, frame: object) -> bool:
        return frame in self._found

    def __iter__(self) -> Iterator[int]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"LazyMasks({len(self)} frames)"


def lazy_rle(found: Mapping[int, CocoRle | Mask]) -> Mapping[int, Mask]:
    """Masks of run lengths that were checked (`document.checked_rle`), decoded when asked for."""
    return LazyMasks(found, _decoded)


def empty_mask(size: tuple[int, int]) -> Mask:
    """No pixel of an image: the object is not to be seen."""
    return Mask(size=size, offset=(0, 0), crop_size=(0, 0), counts=b"")


def annotated_frames(sample: VideoSample, *, every: int = 1) -> list[int]:
    """The frames with a mask of any object, in order; of these, with `every`, the multiples of it.

    Raises FormatError `format.loss` where a frame is not one of the video's.
    """
    frames = sorted({frame for each in sample.objects for frame in each.masklet.masks})
    if frames and (frames[0] < 0 or frames[-1] >= sample.num_frames):
        wrong = frames[0] if frames[0] < 0 else frames[-1]
        raise FormatError(
            "format.loss",
            f"{sample.name}: there is a mask on frame {wrong}, the video has {sample.num_frames} frames.",
            "Give the sample the number of frames of its video.",
        )
    return [frame for frame in frames if frame % every == 0]


def left_out(sample: VideoSample, every: int) -> int:
    """How many masks lie on frames that are no multiple of `every`."""
    return sum(frame % every != 0 for each in sample.objects for frame in each.masklet.masks)


def file_names(samples: Sequence[VideoSample], what: str) -> tuple[list[str], tuple[str, ...]]:
    """A name for each video's file or folder, and a sentence about those that had to be changed.

    Raises FormatError `format.loss` where two are the same; `what` says of what.
    """
    names = [_file_name(sample.name) for sample in samples]
    if len(set(names)) < len(names):
        raise FormatError("format.loss", f"Two videos have the same name; each needs its own {what}.")
    changed = sum(name != sample.name for name, sample in zip(names, samples, strict=True))
    return names, note(changed, "video names changed into names of files")


def video_name(value: object) -> str:
    """The name of a video's file or folder, read from a file: it must stay in its folder, and be in it.

    Raises InputError `input.outside` and ValueError.
    """
    name = inside_name(value, "the video's name")
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"{name!r} is no name of a video")
    return name


def lost(samples: Sequence[VideoSample], *, kept: Sequence[Kept] = ()) -> tuple[str, ...]:
    """A sentence for each thing the samples say and the format does not keep."""
    objects = [each for sample in samples for each in sample.objects]
    counts = {
        "labels": (sum(each.label is not None for each in objects), "labels"),
        "predicted_iou": (sum(len(each.predicted_iou) > 0 for each in objects), "objects' predicted IoUs"),
        "anchors": (sum(len(each.anchors) > 0 for each in objects), "objects' anchors"),
        "attributes": (sum(len(each.attributes) > 0 for each in objects), "objects' attributes"),
        "video": (
            sum(
                len(sample.attributes) > 0 or sample.fps is not None or sample.times is not None
                for sample in samples
            ),
            "videos' times and attributes",
        ),
        "length": (
            sum(sample.frame_names is None and _last(sample) < sample.num_frames - 1 for sample in samples),
            "videos' lengths: they have frames after the last mask",
        ),
    }
    notes = [note(*counts[name]) for name in counts if name not in kept]
    return tuple(text for texts in notes for text in texts)


def finite(value: float | None) -> float | None:
    """A number that JSON knows, else None."""
    return value if value is not None and np.isfinite(value) else None


def _last(sample: VideoSample) -> int:
    """The last frame with a mask, or -1."""
    return max((max(each.masklet.masks, default=-1) for each in sample.objects), default=-1)


def _decoded(found: CocoRle | Mask) -> Mask:
    return found if isinstance(found, Mask) else Mask.from_coco(found)


def _file_name(name: str) -> str:
    """The last part of a name, without what no file may hold."""
    last = PurePosixPath(PureWindowsPath(name.replace("\0", "")).as_posix()).name
    return last if last not in ("", ".", "..") else "video"
