"""Input and what is known about it: the same noun from an annotation file, a dataset and a world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from segma.masks.mask import Box, Mask, Masklet

Attribute = str | int | float | bool | None


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSample:
    """One image: where it is, how large (height, width), and its objects."""

    file_name: str
    size: tuple[int, int]
    objects: tuple[ObjectSample, ...] = ()
    image_id: int | None = None


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
    spaced. `frame_names` are the files of a folder of frames, by frame.
    """

    name: str
    size: tuple[int, int]
    num_frames: int
    fps: float | None = None
    times: tuple[float, ...] | None = None
    frame_names: tuple[str, ...] | None = None
    objects: tuple[TrackSample, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
