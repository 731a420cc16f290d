"""SA-V: one JSON a video, `<video>_manual.json` or `<video>_auto.json`, masks of every 4th frame.

Row i of `masklet` is frame 4i (6 of 24 a second), with one entry an object: run lengths, or null where nobody
annotated; an object that is not to be seen has empty run lengths. `masklet_first_appeared_frame` counts rows,
as in the data set itself (0 where there is nothing to see). Whole numbers may be floats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from segma.errors import FormatError
from segma.formats.document import (
    Document,
    Row,
    checked_rle,
    image_size,
    optional_number,
    placed,
    read_document,
    whole,
)
from segma.formats.json_stream import write_json
from segma.formats.loss import LossReport, note
from segma.formats.tracks import annotated_frames, file_names, lazy_rle, left_out, lost, video_name
from segma.masks.mask import Mask, Masklet
from segma.masks.rle import CocoRle
from segma.media.files import make_folder
from segma.media.image import not_found
from segma.samples import Attribute, TrackSample, VideoSample

Kind = Literal["manual", "auto"]

_FPS = 24
_SMALL, _MEDIUM = 32**2, 96**2  # pixels: from here on medium, large
_DIGITS = 10  # of averages, as in the data set


def read(path: str | Path, *, every: int = 4) -> list[VideoSample]:
    """The video of a file, or those of all `*_manual.json` and `*_auto.json` in a folder, by file name.

    Row i is frame `every` * i. Environment and split are attributes of the video; type, number of edited
    frames and the stability scores by row (JSON text) are attributes of the objects. Raises FormatError,
    InputError.
    """
    path = Path(path)
    if not path.is_dir():
        return [_read_file(path, every)]
    files = sorted([*path.glob("*_manual.json"), *path.glob("*_auto.json")])
    if not files:
        raise not_found(path / "*_manual.json")
    return [_read_file(file, every) for file in files]


def write(
    samples: Sequence[VideoSample],
    path: str | Path,
    *,
    every: int = 4,
    kind: Kind = "manual",
    overwrite: bool = False,
) -> LossReport:
    """Write one file (`path` ends in .json; one video only) or a folder with `<video>_<kind>.json` of each.

    Rows are the frames 0, `every`, ... up to the end of the video; other masks are left out. Stability
    scores are written where the objects' attributes hold them, as `read` gives them; type and number of
    edited frames too, else they are `kind` and the number of anchors. Raises FormatError `format.loss` and
    the errors of `media.files`.
    """
    path = Path(path)
    names, changed = file_names(samples, "file")
    if len(samples) == 1 and path.suffix.lower() == ".json":
        files = [path]
    else:
        folder = make_folder(path)
        files = [folder / f"{name}_{kind}.json" for name in names]
    for sample, name, file in zip(samples, names, files, strict=True):
        annotated_frames(sample)  # complains before anything is written
        write_json(file, _document(sample, name, every, kind), overwrite=overwrite)
    between = sum(left_out(sample, every) for sample in samples)
    return LossReport(
        written=sum(len(sample.objects) for sample in samples),
        lost=(
            *note(between, "masks on frames between those written"),
            *_unkept(samples),
            *changed,
        ),
    )


@dataclass(slots=True)
class _Seen:
    """What the rows say of one object so far; areas are pixels."""

    first: int | None = None
    changes: int = 0
    visible: int = 0
    area: int = 0
    annotated: int = 0
    last: bool = False

    def add(self, row: int, mask: Mask | None) -> None:
        """Count one row, in order."""
        area = mask.area if mask is not None else 0
        self.annotated += mask is not None
        self.visible += area > 0
        self.area += area
        if self.first is None:
            self.first = row if area else None
        elif mask is not None and (area > 0) != self.last:
            self.changes += 1
        self.last = area > 0 if mask is not None else self.last

    @property
    def mean(self) -> float:
        """The mean area where the object is to be seen."""
        return self.area / self.visible if self.visible else 0.0


def _document(sample: VideoSample, name: str, every: int, kind: Kind) -> Row:
    """The JSON of a video; its iterators are asked in this order, so that the rows are counted first."""
    objects, pixels = sample.objects, sample.size[0] * sample.size[1]
    seen = [_Seen() for _ in objects]
    rows = range(0, sample.num_frames, every)
    types = [str(each.attributes.get("type") or kind) for each in objects]
    scores = [_scores(each, len(rows)) for each in objects]
    by_row = any(score is not None for score in scores)
    return {
        "video_id": name,
        "video_duration": _seconds(sample),
        "video_frame_count": float(sample.num_frames),
        "video_height": float(sample.size[0]),
        "video_width": float(sample.size[1]),
        "video_resolution": float(pixels),
        "video_environment": sample.attributes.get("environment"),
        "video_split": sample.attributes.get("split"),
        "masklet": _rows(sample, rows, seen),
        "masklet_id": [each.object_id for each in objects],
        "masklet_size_rel": (_rounded(one.mean / pixels, kind) for one in seen),
        "masklet_size_abs": (_rounded(one.mean, kind) for one in seen),
        "masklet_size_bucket": (_bucket(one.mean) for one in seen),
        "masklet_visibility_changes": (one.changes for one in seen),
        "masklet_first_appeared_frame": (one.first or 0 for one in seen),
        "masklet_frame_count": (one.annotated for one in seen),
        "masklet_edited_frame_count": [_edited(*pair) for pair in zip(objects, types, strict=True)],
        "masklet_type": types,
        "masklet_stability_score": (
            [[score[row] if score else None for score in scores] for row in range(len(rows))]
            if by_row
            else [None for _ in objects]
        ),
        "masklet_num": len(objects),
    }


def _rows(sample: VideoSample, frames: range, seen: Sequence[_Seen]) -> Iterator[list[CocoRle | None]]:
    for row, frame in enumerate(frames):
        masks = [each.masklet.masks.get(frame) for each in sample.objects]
        for one, mask in zip(seen, masks, strict=True):
            one.add(row, mask)
        yield [None if mask is None else mask.to_coco() for mask in masks]


def _rounded(mean: float, kind: Kind) -> float:
    """An average as the data set has it: the files of automatic masklets have all digits."""
    return mean if kind == "auto" else round(mean, _DIGITS)


def _bucket(area: float) -> str:
    return "small" if area < _SMALL else "medium" if area < _MEDIUM else "large"


def _edited(each: TrackSample, kind: str) -> int:
    """How many frames a person made; none of an automatic masklet."""
    given = each.attributes.get("edited_frame_count")
    return given if isinstance(given, int) else len(each.anchors) * (kind != "auto")


def _scores(each: TrackSample, rows: int) -> list[Any] | None:  # JSON
    """The stability score of each row; None where there are none for these rows."""
    text = each.attributes.get("stability_score")
    try:
        found: object = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if not isinstance(found, list) or len(cast("list[Any]", found)) != rows:  # JSON
        return None
    return cast("list[Any]", found)  # JSON


def _seconds(sample: VideoSample) -> float:
    """How long a video is."""
    times = sample.times or ()
    if sample.fps is None and len(times) > 1 and times[-1] > 0:
        return times[-1] * sample.num_frames / (len(times) - 1)
    return sample.num_frames / (sample.fps or _FPS)


def _unkept(samples: Sequence[VideoSample]) -> tuple[str, ...]:
    """What the fields of SA-V do not hold."""
    known = {"type", "edited_frame_count", "stability_score"}
    objects = [each for sample in samples for each in sample.objects]
    times = sum(sample.times is not None or sample.fps not in (None, _FPS) for sample in samples)
    more = sum(len(set(sample.attributes) - {"environment", "split"}) > 0 for sample in samples)
    return (
        *lost(samples, kept=["attributes", "video", "length"]),
        *note(sum(len(set(each.attributes) - known) > 0 for each in objects), "objects' attributes"),
        *note(times, "videos' times"),
        *note(more, "videos' attributes"),
    )


def _read_file(path: Path, every: int) -> VideoSample:
    document = read_document(path)
    data = document.data
    with placed(lambda: path.name):
        frames = whole(data["video_frame_count"])
        if frames < 1:
            raise ValueError(f"a video cannot have {frames} frames")
        size = image_size({"height": data["video_height"], "width": data["video_width"]})
        ids = [whole(value) for value in _list(data["masklet_id"], "masklet_id")]
        if len(set(ids)) < len(ids):
            raise ValueError("two objects have one masklet_id")
        attributes = {
            name: value
            for name in ("environment", "split")
            if isinstance(value := data.get(f"video_{name}"), str)
        }
        duration = optional_number(data.get("video_duration"))
        name = video_name(data["video_id"])
        said = _attributes(data, len(ids), len(_list(data["masklet"], "masklet")))
    found = _read_rows(document, ids, size, frames, every)
    objects = tuple(
        TrackSample(object_id=object_id, masklet=Masklet(size=size, masks=lazy_rle(masks)), attributes=more)
        for object_id, masks, more in zip(ids, found, said, strict=True)
    )
    return VideoSample(
        name=name,
        size=size,
        num_frames=frames,
        fps=round(frames / duration, 6) if duration and duration > 0 else None,
        objects=objects,
        attributes=attributes,
    )


def _read_rows(
    document: Document, ids: Sequence[int], size: tuple[int, int], frames: int, every: int
) -> list[dict[int, CocoRle | Mask]]:
    """The run lengths of each object by frame, checked."""
    found: list[dict[int, CocoRle | Mask]] = [{} for _ in ids]
    for row, entries in enumerate(_list(document.data["masklet"], "masklet")):
        frame = row * every
        with document.at("masklet", row):
            if frame >= frames:
                raise FormatError(
                    "format.bad",
                    f"row {row} is frame {frame}, the video has {frames} frames.",
                    "Was another than every 4th frame annotated? Say so with `every`.",
                )
            masks = _list(entries, "a row")
            if len(masks) != len(ids):
                raise ValueError(f"there are {len(masks)} masks, and {len(ids)} objects")
            for object_id, masks_of, mask in zip(ids, found, masks, strict=True):
                if mask is not None:
                    with placed(lambda i=object_id, f=frame: f"object {i} frame {f}"):
                        masks_of[frame] = checked_rle(mask, size)
    return found


def _attributes(data: Row, count: int, rows: int) -> list[dict[str, Attribute]]:
    """What a file says of each object besides its masks."""
    found: list[dict[str, Attribute]] = [{} for _ in range(count)]
    for key, name in (("masklet_type", "type"), ("masklet_edited_frame_count", "edited_frame_count")):
        for attributes, value in zip(found, _column(data, key, count), strict=False):
            attributes[name] = whole(value) if name == "edited_frame_count" else str(value)
    scores = _list(data.get("masklet_stability_score") or [], "masklet_stability_score")
    if scores and isinstance(scores[0], list):
        by_row = [_column({"a row": row}, "a row", count) for row in scores]
        if len(by_row) != rows:
            raise ValueError(f"masklet_stability_score has {len(by_row)} rows, masklet has {rows}")
        for index, attributes in enumerate(found):
            values = [optional_number(row[index]) for row in by_row]
            attributes["stability_score"] = json.dumps(values)
    return found


def _column(data: Row, key: str, count: int) -> list[Any]:  # JSON
    """A list with an entry for each object; an empty one where there is none."""
    if data.get(key) is None:
        return []
    found = _list(data[key], key)
    if len(found) != count:
        raise ValueError(f"{key} has {len(found)} entries, and there are {count} objects")
    return found


def _list(value: object, what: str) -> list[Any]:  # JSON: what it holds is checked entry by entry
    if not isinstance(value, list):
        raise TypeError(f"{what} is no list")
    return cast("list[Any]", value)
