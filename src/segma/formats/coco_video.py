"""COCO with tracks: `video_id` and `frame_index` on images, `track_id` on annotations, a list of videos.

An annotation is one object on one frame, as in `coco`; an empty mask says that the object is not to be seen
there. `track_id` is the object's own id, different within a video. `tracks` (video, category, anchors,
attributes) is ours and may be missing; so may be all of a video but its id.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from segma.errors import FormatError
from segma.formats import coco
from segma.formats.document import (
    Document,
    Row,
    attributes_of,
    image_size,
    inside_name,
    number,
    optional_number,
    read_document,
    whole,
)
from segma.formats.frame_files import picture_names
from segma.formats.json_stream import write_json
from segma.formats.loss import LossReport, note
from segma.formats.tracks import annotated_frames, file_names, finite, lazy_rle
from segma.masks.mask import Mask, Masklet
from segma.masks.rle import CocoRle
from segma.samples import TrackSample, VideoSample

Place = tuple[int, int]
"""Video and frame, or video and track."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Video:
    """A video while its file is read: all that is known of it so far."""

    name: str
    size: tuple[int, int] | None = None
    num_frames: int = 0
    frame_names: tuple[str, ...] | None = None
    row: Row = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class Track:
    """An object while its file is read."""

    label: str | None = None
    row: Row = field(default_factory=dict[str, Any])
    found: dict[int, CocoRle | Mask] = field(default_factory=dict[int, CocoRle | Mask])
    predicted_iou: dict[int, float] = field(default_factory=dict[int, float])


def read(path: str | Path) -> list[VideoSample]:
    """The videos of a COCO file with tracks; masks are decoded when asked for.

    Annotations without a segmentation (boxes, key points) are left out with a warning in the log. Raises
    FormatError, or InputError `input.outside` for a file name that leaves its folder.
    """
    document = read_document(path)
    videos = _read_videos(document)
    images = _read_images(document, videos)
    labels = coco.read_labels(document)
    tracks = _read_tracks(document, videos, labels)
    skipped = 0
    for index, row in document.rows("annotations"):
        with document.at("annotations", index):
            skipped += not _read_annotation(row, videos, images, tracks, labels)
    if skipped:
        _log.warning("%s: %d annotations without a mask left out", document.path.name, skipped)
    return [
        video_sample(video, {own[1]: track for own, track in tracks.items() if own[0] == video_id})
        for video_id, video in videos.items()
    ]


def write(
    samples: Sequence[VideoSample],
    path: str | Path,
    *,
    polygons: bool = False,
    crowd_rle: bool = False,
    overwrite: bool = False,
) -> LossReport:
    """Write a COCO file frame by frame; an image is a frame with a mask. Options as in `coco.to_document`.

    Raises FormatError `format.loss` for two objects of one id, and the errors of `media.files.write_bytes`.
    """
    names, changed = file_names(samples, "entry")
    frames = [annotated_frames(sample) for sample in samples]
    categories = coco.category_ids(each.label for sample in samples for each in sample.objects)
    pairs = list(enumerate(zip(samples, names, strict=True), 1))
    document = {
        "info": {"description": "tracks written by segma", "version": "1.0"},
        "licenses": [],
        "videos": [video_row(sample, number, name) for number, (sample, name) in pairs],
        "images": _images(samples, names, frames),
        "tracks": [
            {"id": each.object_id, "video_id": number, "category_id": categories[each.label]}
            | track_extra(each)
            for number, (sample, _) in pairs
            for each in sample.objects
        ],
        "annotations": _annotations(samples, frames, categories, polygons, crowd_rle),
        "categories": coco.category_rows(categories),
    }
    write_json(path, document, overwrite=overwrite)
    objects = [each for sample in samples for each in sample.objects]
    without = sum(len(set(each.predicted_iou) - set(each.masklet.masks)) > 0 for each in objects)
    marked = sum(len(each.masklet.masks) for each in objects) if crowd_rle else 0
    return LossReport(
        written=len(objects),
        lost=(
            *note(without, "objects' predicted IoUs of frames without a mask"),
            *note(marked, "masks marked as crowd"),
            *changed,
        ),
    )


def video_row(sample: VideoSample, video_id: int, name: str) -> Row:
    """The entry of a video; what COCO has no field for stands there only where there is something to say."""
    check_ids(sample)
    row: Row = {
        "id": video_id,
        "name": name,
        "width": sample.size[1],
        "height": sample.size[0],
        "length": sample.num_frames,
    }
    extra = {
        "fps": finite(sample.fps),
        "times": list(sample.times) if sample.times is not None else None,
        "attributes": dict(sample.attributes) or None,
        "frame_names": list(picture_names(sample)) if sample.frame_names is not None else None,
    }
    return row | {key: value for key, value in extra.items() if value is not None}


def track_extra(each: TrackSample) -> Row:
    """What COCO has no field for: `anchors` and `attributes` of an object, where there are any."""
    extra = {"anchors": list(each.anchors) or None, "attributes": dict(each.attributes) or None}
    return {key: value for key, value in extra.items() if value is not None}


def check_ids(sample: VideoSample) -> None:
    """Raises FormatError `format.loss` where two objects have one id."""
    ids = [each.object_id for each in sample.objects]
    if len(set(ids)) < len(ids):
        raise FormatError("format.loss", f"{sample.name}: two objects have one id.", "Number them.")


def read_video_row(row: Row, name: str) -> Video:
    """A video's entry, of which all but the id may be missing."""
    size = image_size(row) if row.get("width") is not None else None
    length = row.get("length")
    names = row.get("frame_names")
    return Video(
        name=name,
        size=size,
        num_frames=0 if length is None else whole(length),
        frame_names=None if names is None else tuple(inside_name(each) for each in names),
        row=row,
    )


def video_sample(video: Video, tracks: dict[int, Track]) -> VideoSample:
    """The finished video; one without a size and without frames has 0 x 0 pixels."""
    row, size = video.row, video.size or (0, 0)
    times = row.get("times")
    return VideoSample(
        name=video.name,
        size=size,
        num_frames=video.num_frames,
        fps=optional_number(row.get("fps")),
        times=None if times is None else tuple(number(value) for value in times),
        frame_names=video.frame_names,
        attributes=attributes_of(row.get("attributes")),
        objects=tuple(
            TrackSample(
                object_id=object_id,
                masklet=Masklet(size=size, masks=lazy_rle(dict(sorted(track.found.items())))),
                label=track.label,
                predicted_iou=track.predicted_iou,
                anchors=tuple(whole(value) for value in track.row.get("anchors") or ()),
                attributes=attributes_of(track.row.get("attributes")),
            )
            for object_id, track in tracks.items()
        ),
    )


def _images(
    samples: Sequence[VideoSample], names: Sequence[str], frames: Sequence[Sequence[int]]
) -> Iterator[Row]:
    """An entry for each frame with a mask; ids count from 1 over all videos."""
    image_id = 0
    for video_id, (sample, name, own) in enumerate(zip(samples, names, frames, strict=True), 1):
        wanted = set(own)
        for frame, file_name in enumerate(picture_names(sample)):
            if frame in wanted:
                image_id += 1
                yield {
                    "id": image_id,
                    "video_id": video_id,
                    "frame_index": frame,
                    "width": sample.size[1],
                    "height": sample.size[0],
                    "file_name": f"{name}/{file_name}",
                }


def _annotations(
    samples: Sequence[VideoSample],
    frames: Sequence[Sequence[int]],
    categories: dict[str | None, int],
    polygons: bool,
    crowd_rle: bool,
) -> Iterator[Row]:
    """An entry for each object on each frame where it has a mask, frame by frame."""
    image_id = annotation_id = 0
    for sample, own in zip(samples, frames, strict=True):
        for frame in own:
            image_id += 1
            for each in sample.objects:
                mask = each.masklet.masks.get(frame)
                if mask is None:
                    continue
                annotation_id += 1
                row = {
                    "id": annotation_id,
                    "image_id": image_id,
                    "category_id": categories[each.label],
                    "track_id": each.object_id,
                } | coco.mask_row(mask, polygons=polygons, crowd_rle=crowd_rle)
                quality = finite(each.predicted_iou.get(frame))
                yield row if quality is None else row | {"predicted_iou": quality}


def _read_videos(document: Document) -> dict[int, Video]:
    videos: dict[int, Video] = {}
    for index, row in document.rows("videos"):
        with document.at("videos", index):
            video_id = whole(row["id"])
            if video_id in videos:
                raise ValueError(f"there are two videos {video_id}")
            name = row.get("name", row.get("file_name"))
            name = str(video_id) if name is None else inside_name(name, "the video's name")
            videos[video_id] = read_video_row(row, name)
            video_sample(videos[video_id], {})  # complains here about what the row says, not later
    return videos


def _read_images(document: Document, videos: dict[int, Video]) -> dict[int, Place]:
    """Video and frame of each image; sizes and lengths that the videos lack come from here."""
    images: dict[int, Place] = {}
    places: set[Place] = set()
    for index, row in document.rows("images"):
        with document.at("images", index):
            image_id, video_id, frame = (whole(row[key]) for key in ("id", "video_id", "frame_index"))
            if image_id in images or (video_id, frame) in places:
                raise ValueError(f"there are two images {image_id}, or two of frame {frame}")
            if video_id not in videos:
                raise ValueError(f"there is no video {video_id}")
            video = videos[video_id]
            inside_name(row.get("file_name", ""))
            _check_frame(video, frame, image_size(row))
            images[image_id] = (video_id, frame)
            places.add((video_id, frame))
    return images


def _check_frame(video: Video, frame: int, size: tuple[int, int]) -> None:
    length = video.row.get("length")
    if frame < 0 or (length is not None and frame >= video.num_frames):
        raise ValueError(f"frame {frame} is none of the video's {length} frames")
    if video.size not in (None, size):
        raise ValueError(f"the frame's [height, width] is {list(size)}, the video's {list(video.size or ())}")
    video.size = size
    video.num_frames = max(video.num_frames, frame + 1)


def _read_tracks(
    document: Document, videos: dict[int, Video], labels: dict[int, str | None]
) -> dict[Place, Track]:
    tracks: dict[Place, Track] = {}
    for index, row in document.rows("tracks") if "tracks" in document.data else ():
        with document.at("tracks", index):
            own = (whole(row["video_id"]), whole(row["id"]))
            if own in tracks or own[0] not in videos:
                raise ValueError(f"there are two tracks {own[1]}, or there is no video {own[0]}")
            tracks[own] = Track(label=coco.label_of(row, labels), row=row)
            video_sample(Video(""), {0: tracks[own]})  # complains here about what the row says, not later
    return tracks


def _read_annotation(
    row: Row,
    videos: dict[int, Video],
    images: dict[int, Place],
    tracks: dict[Place, Track],
    labels: dict[int, str | None],
) -> bool:
    """Add one mask to its track; False where the annotation has none."""
    image_id, object_id = whole(row["image_id"]), whole(row["track_id"])
    if image_id not in images:
        raise ValueError(f"there is no image {image_id}")
    video_id, frame = images[image_id]
    if (video_id, object_id) not in tracks:
        tracks[video_id, object_id] = Track(label=coco.label_of(row, labels))
    track = tracks[video_id, object_id]
    if coco.label_of(row, labels) != track.label:
        raise ValueError(f"object {object_id} frame {frame}: has two categories")
    if frame in track.found:
        raise ValueError(f"object {object_id} frame {frame}: there are two masks")
    if not row.get("segmentation"):
        return False
    size = cast("tuple[int, int]", videos[video_id].size)  # which its image has given it
    track.found[frame] = coco.checked_segmentation(row["segmentation"], size)
    quality = optional_number(row.get("predicted_iou"))
    if quality is not None:
        track.predicted_iou[frame] = quality
    return True
