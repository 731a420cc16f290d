"""Input and what is known about it: the same noun from an annotation file, a dataset and a world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segma.masks.mask import Box, Mask, Masklet

Attribute = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class PictureFile:
    """Where the encoded bytes of a picture are: a whole file, or a stretch of one, as a member of a tar.

    `size` is in bytes; None means to the end of the file.
    """

    path: Path
    offset: int = 0
    size: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectSample:
    """One object of an image: its mask, who it is, and, for predictions, how good it is said to be.

    `crop_box` (x0, y0, x1, y1 of the crop it was found in, x1 and y1 exclusive) and `points` (the
    clicks that gave it) are image pixels. Qualities are None where they were not measured.
    """

    object_id: int
    mask: Mask
    label: str | None = None
    predicted_iou: float | None = None
    stability_score: float | None = None
    points: tuple[tuple[float, float], ...] = ()
    crop_box: Box | None = None
    is_crowd: bool = False
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words that mean some objects of an image or video, by id; none where they describe nothing in it.

    `kind` says what it takes to know which ("referring", "motion", "reasoning"), "" where nobody said.
    """

    text: str
    object_ids: tuple[int, ...]
    kind: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionSample:
    """A question about an image or video, by its `name`, with the answer.

    `kind` is what is asked for ("when", "count", ...); `choices`, which hold the answer, are empty where it
    is free; `object_ids` are what it is about. What one must look at to answer it: `spans_seconds` from a
    first to a last moment, `spans_frames` from a first to a last frame, both inclusive, in order of time.
    """

    name: str
    question: str
    answer: str
    kind: str = ""
    choices: tuple[str, ...] = ()
    object_ids: tuple[int, ...] = ()
    spans_seconds: tuple[tuple[float, float], ...] = ()
    spans_frames: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSample:
    """One image: where it is, how large (height, width), and its objects.

    `source` names the collection it came from, `loose` says what its masks do not keep to ("" where they are
    tight); `picture` is where its pixels are, where that is known.
    """

    file_name: str
    size: tuple[int, int]
    objects: tuple[ObjectSample, ...] = ()
    image_id: int | None = None
    picture: PictureFile | None = None
    sentences: tuple[Sentence, ...] = ()
    source: str = ""
    loose: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackSample:
    """One object of a video: its masklet, who it is, and, for predictions, how good each frame is said to be.

    `predicted_iou` is by frame, empty where nobody measured; `anchors` are the frames that a person made.
    """

    object_id: int
    masklet: Masklet
    label: str | None = None
    predicted_iou: Mapping[int, float] = field(default_factory=dict[int, float])
    anchors: tuple[int, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoSample:
    """One video: its name (without a suffix), size (height, width), length, and its objects.

    `fps` is the average, None where unknown; `times` are seconds by frame, where frames are not evenly
    spaced. `frame_names` are the files of a folder of frames, by frame; `pictures` are where the pixels of
    the frames are, where that is known; `video` is the container file of its frames, where they are in one.
    `source` and `loose` are those of `ImageSample`.
    """

    name: str
    size: tuple[int, int]
    num_frames: int
    fps: float | None = None
    times: tuple[float, ...] | None = None
    frame_names: tuple[str, ...] | None = None
    objects: tuple[TrackSample, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
    pictures: tuple[PictureFile, ...] = ()
    video: Path | None = None
    sentences: tuple[Sentence, ...] = ()
    source: str = ""
    loose: str = ""
