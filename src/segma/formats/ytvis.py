"""YouTube-VIS: one JSON for many videos, each object with one entry a frame in `segmentations`.

Null says that an object is not to be seen. A results file is a list of {video_id, category_id,
segmentations, score} whose ids are those of an annotation file. `object_id`, `predicted_iou` (by frame),
`anchors` and `attributes` are ours, and stand there only where there is something to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

from segma.errors import FormatError
from segma.formats import coco
from segma.formats.coco_video import Track, Video, read_video_row, track_extra, video_row, video_sample
from segma.formats.document import (
    Document,
    Row,
    attributes_of,
    inside_name,
    number,
    optional_number,
    placed,
    read_document,
    read_list,
    whole,
)
from segma.formats.frame_files import picture_names
from segma.formats.json_stream import write_json
from segma.formats.loss import LossReport, note
from segma.formats.tracks import annotated_frames, empty_mask, file_names, finite, lost
from segma.masks.rle import CocoRle
from segma.samples import TrackSample, VideoSample


def read(path: str | Path) -> list[VideoSample]:
    """The videos of an annotation file; masks are decoded when asked for.

    Raises FormatError, or InputError `input.outside` for a file name that leaves its folder.
    """
    document = read_document(path)
    videos, labels = _read_videos(document), coco.read_labels(document)
    tracks: dict[int, dict[int, Track]] = {video_id: {} for video_id in videos}
    rows = () if document.data.get("annotations") is None else document.rows("annotations")
    for index, row in rows:  # the sets for testing have none
        with document.at("annotations", index):
            video, own = _find(row, videos, tracks)
            object_id = whole(row.get("object_id", row["id"]))
            if object_id in own:
                raise ValueError(f"there are two objects {object_id} in one video")
            own[object_id] = _read_track(row, object_id, video, coco.label_of(row, labels))
    return [video_sample(video, tracks[video_id]) for video_id, video in videos.items()]


def read_results(path: str | Path, annotations: str | Path) -> list[VideoSample]:
    """The videos of an annotation file with the objects of a results file, numbered from 1 in each.

    `score` is an attribute of the objects. Raises as `read`.
    """
    truth = read_document(annotations)
    videos, labels = _read_videos(truth), coco.read_labels(truth)
    results = read_list(path, "results")
    tracks: dict[int, dict[int, Track]] = {video_id: {} for video_id in videos}
    for index, row in results.rows("results"):
        with results.at("results", index):
            video, own = _find(row, videos, tracks)
            track = _read_track(row, len(own) + 1, video, coco.label_of(row, labels))
            track.row = {
                "attributes": {**attributes_of(row.get("attributes")), "score": number(row["score"])}
            }
            own[len(own) + 1] = track
    return [video_sample(video, tracks[video_id]) for video_id, video in videos.items()]


def write(samples: Sequence[VideoSample], path: str | Path, *, overwrite: bool = False) -> LossReport:
    """Write an annotation file, object by object; masks are in memory one at a time.

    Errors as in `coco_video.write`.
    """
    names, changed = file_names(samples, "entry")
    for sample in samples:
        annotated_frames(sample)  # complains before anything is written
    categories = coco.category_ids(each.label for sample in samples for each in sample.objects)
    document = {
        "info": {"description": "tracks written by segma", "version": "1.0"},
        "licenses": [],
        "videos": [
            _video_row(sample, number, name)
            for number, (sample, name) in enumerate(zip(samples, names, strict=True), 1)
        ],
        "annotations": _annotations(samples, categories),
        "categories": coco.category_rows(categories),
    }
    write_json(path, document, overwrite=overwrite)
    return LossReport(
        written=sum(len(sample.objects) for sample in samples), lost=(*_unknown(samples), *changed)
    )


def write_results(
    samples: Sequence[VideoSample], path: str | Path, annotations: str | Path, *, overwrite: bool = False
) -> LossReport:
    """Write a results file for the videos and categories of an annotation file.

    Videos are found by their name, categories by the label. The score is the object's attribute of that
    name, else the mean of its predicted IoUs, else 1. Raises FormatError `format.loss` where a video or
    label is not in the annotation file, or has another size or length there.
    """
    document = read_document(annotations)
    videos = {video.name: (video_id, video) for video_id, video in _read_videos(document).items()}
    categories = {label: own for own, label in coco.read_labels(document).items()}
    for sample in samples:
        annotated_frames(sample)
        _check_known(sample, videos, categories)
    rows = (
        {
            "video_id": videos[sample.name][0],
            "category_id": categories[each.label],
            "segmentations": _segmentations(each, sample.num_frames),
            "score": _score(each),
        }
        for sample in samples
        for each in sample.objects
    )
    write_json(path, rows, overwrite=overwrite)
    objects = [each for sample in samples for each in sample.objects]
    more = sum(len(set(each.attributes) - {"score"}) > 0 or len(each.anchors) > 0 for each in objects)
    return LossReport(
        written=len(objects),
        lost=(
            *note(len(objects), "object ids, numbered by position"),
            *_unknown(samples),
            *lost(samples, kept=["labels", "anchors", "attributes", "video", "length"]),
            *note(more, "objects' attributes and anchors"),
        ),
    )


def _video_row(sample: VideoSample, video_id: int, name: str) -> Row:
    row = video_row(sample, video_id, name)
    row.pop("frame_names", None)  # which `file_names` say
    del row["name"]
    return row | {"file_names": [f"{name}/{file}" for file in picture_names(sample)]}


def _annotations(samples: Sequence[VideoSample], categories: dict[str | None, int]) -> Iterator[Row]:
    """An entry for each object; its iterators are asked in this order, so that masks are measured first."""
    annotation_id = 0
    for video_id, sample in enumerate(samples, 1):
        for each in sample.objects:
            annotation_id += 1
            measured: list[tuple[int, list[float]] | None] = []
            quality = {str(frame): finite(value) for frame, value in each.predicted_iou.items()}
            extra = {
                "object_id": each.object_id if each.object_id != annotation_id else None,
                "predicted_iou": quality or None,
                **track_extra(each),
            }
            yield {
                "id": annotation_id,
                "video_id": video_id,
                "category_id": categories[each.label],
                "width": sample.size[1],
                "height": sample.size[0],
                "length": sample.num_frames,
                "iscrowd": 0,
                **{name: value for name, value in extra.items() if value is not None},
                "segmentations": _segmentations(each, sample.num_frames, measured),
                "areas": (found and found[0] for found in measured),
                "bboxes": (found and found[1] for found in measured),
            }


def _segmentations(
    each: TrackSample, num_frames: int, measured: list[tuple[int, list[float]] | None] | None = None
) -> Iterator[CocoRle | None]:
    """Run lengths by frame, null where there is nothing to see; area and box of each go to `measured`."""
    for frame in range(num_frames):
        mask = each.masklet.masks.get(frame)
        shown = mask if mask is not None and mask.crop_size[0] else None
        if measured is not None:
            measured.append(None if shown is None else (shown.area, coco.mask_bbox(shown)))
        yield None if shown is None else shown.to_coco()


def _unknown(samples: Sequence[VideoSample]) -> tuple[str, ...]:
    missing = sum(
        sample.num_frames - len(each.masklet.masks) for sample in samples for each in sample.objects
    )
    return note(missing, "masks not there, which read back as empty")


def _score(each: TrackSample) -> float:
    given = each.attributes.get("score")
    if isinstance(given, int | float) and np.isfinite(given):
        return float(given)
    values = [value for value in each.predicted_iou.values() if np.isfinite(value)]
    return float(np.mean(values)) if values else 1.0


def _check_known(
    sample: VideoSample, videos: dict[str, tuple[int, Video]], categories: dict[str | None, int]
) -> None:
    labels = {each.label for each in sample.objects} - set(categories)
    if sample.name not in videos or labels:
        what = f"no category {sorted(map(str, labels))[0]!r}" if labels else f"no video {sample.name!r}"
        raise FormatError("format.loss", f"The annotation file has {what}.", "Results use its names.")
    video = videos[sample.name][1]
    if (video.size, video.num_frames) != (sample.size, sample.num_frames):
        raise FormatError(
            "format.loss",
            f"{sample.name}: [height, width] {list(sample.size)} and {sample.num_frames} frames, in the "
            f"annotation file {list(video.size or ())} and {video.num_frames}.",
        )


def _read_videos(document: Document) -> dict[int, Video]:
    videos: dict[int, Video] = {}
    for index, row in document.rows("videos"):
        with document.at("videos", index):
            video_id = whole(row["id"])
            if video_id in videos:
                raise ValueError(f"there are two videos {video_id}")
            paths = [PurePosixPath(inside_name(name)) for name in row["file_names"]]
            if whole(row.get("length", len(paths))) != len(paths) or row.get("width") is None:
                raise ValueError(f"there are {len(paths)} file names; length or width say something else")
            folders = {path.parent.as_posix() for path in paths}
            name = folders.pop() if len(folders) == 1 else "."
            video = read_video_row(row, str(video_id) if name == "." else name)
            video.num_frames, video.frame_names = len(paths), tuple(path.name for path in paths)
            video_sample(video, {})  # complains here about what the row says, not later
            videos[video_id] = video
    return videos


def _find(
    row: Row, videos: dict[int, Video], tracks: dict[int, dict[int, Track]]
) -> tuple[Video, dict[int, Track]]:
    video_id = whole(row["video_id"])
    if video_id not in videos:
        raise ValueError(f"there is no video {video_id}")
    return videos[video_id], tracks[video_id]


def _read_track(row: Row, object_id: int, video: Video, label: str | None) -> Track:
    size = cast("tuple[int, int]", video.size)  # which `_read_videos` has checked
    entries = cast("list[Any]", row["segmentations"])  # JSON
    if not isinstance(row["segmentations"], list) or len(entries) != video.num_frames:
        raise ValueError(f"object {object_id}: segmentations is no list of {video.num_frames} entries")
    track = Track(label=label, row=row)
    for frame, entry in enumerate(entries):
        with placed(lambda f=frame: f"object {object_id} frame {f}"):
            track.found[frame] = empty_mask(size) if not entry else coco.checked_segmentation(entry, size)
    for frame, value in attributes_of(row.get("predicted_iou")).items():
        quality = optional_number(value)
        if quality is not None:
            track.predicted_iou[int(frame)] = quality
    video_sample(Video(""), {0: track})  # complains here about what the row says, not later
    return track
