"""YouTube-VOS: `Annotations/<video>/%05d.png`, palette PNGs as in DAVIS, and `meta.json` on the objects.

`meta.json` is {"videos": {video: {"objects": {"1": {"category": ..., "frames": ["00000", ...]}}}}}, `frames`
being those on which the object is to be seen, also where no PNG shows it (as in the sets for validation,
which hold the first mask of each object only). Objects may begin after frame 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from segma.errors import FormatError
from segma.formats import palettes
from segma.formats.document import Row, Skip, placed, read_document, skipping
from segma.formats.frame_files import frame_stem, listed_videos
from segma.formats.json_stream import write_json
from segma.formats.loss import LossReport
from segma.formats.tracks import file_names, lost, video_name
from segma.media.files import check_free
from segma.samples import VideoSample

_MASKS, _IMAGES, _META = "Annotations", "JPEGImages", "meta.json"
_UNLABELLED = "unlabelled"


def read(path: str | Path) -> list[VideoSample]:
    """The videos of a folder that `meta.json` lists, by name; without that file all that have masks.

    Where `frames` says that an object is to be seen and the PNG does not show it, it was not annotated; on
    all other frames with a PNG it is not to be seen. Raises FormatError, InputError.
    """
    return list(each(path))


def each(path: str | Path, *, skip: Skip | None = None) -> Iterator[VideoSample]:
    """The same one by one; with `skip` a broken video is left out, and told to it."""
    root = Path(path)
    folder = root / _MASKS
    there = listed_videos(folder, None)
    if not (root / _META).is_file():
        for name in there:
            with skipping(skip):
                yield _read_video(root, name, {})
        return
    videos = _object(read_document(root / _META).data.get("videos"), f'{_META}: "videos"')
    for key, value in sorted(videos.items()):
        with skipping(skip), placed(lambda key=key: f"{_META}: video {key!r}"):
            name = video_name(key)
            if name not in there:
                raise ValueError(f"there is no folder {name} in {_MASKS}")
            objects = _object(_object(value, "its entry").get("objects"), '"objects"')
            yield _read_video(root, name, objects)


def write(
    samples: Sequence[VideoSample], path: str | Path, *, every: int = 1, overwrite: bool = False
) -> LossReport:
    """Write the masks, of the frames with one, and `meta.json`. The data set itself has every 5th frame.

    With `every` only multiples of it. Where several objects share a pixel the lowest id stands, with a
    warning in the log. Errors as in `palettes.write_folder`.
    """
    root = Path(path)
    names, changed = file_names(samples, "folder")
    check_free(root / _META, overwrite=overwrite)
    reports = [
        palettes.write_folder(sample, root / _MASKS / name, every=every, overwrite=overwrite)
        for sample, name in zip(samples, names, strict=True)
    ]
    videos = {
        name: {"objects": _meta(sample, report)}
        for name, sample, report in zip(names, samples, reports, strict=True)
    }
    write_json(root / _META, {"videos": videos}, overwrite=overwrite)
    return LossReport(
        written=sum(len(sample.objects) for sample in samples),
        lost=(*palettes.cost(reports, keeps_unseen=True), *lost(samples, kept=["labels"]), *changed),
    )


def _meta(sample: VideoSample, report: palettes.Written) -> Row:
    """The entries of a video's objects."""
    stem = frame_stem(sample)
    rows: Row = {}
    for number, each, seen in zip(palettes.object_numbers(sample), sample.objects, report.seen, strict=True):
        row: Row = {"category": "object" if each.label is None else each.label}
        rows[str(number)] = row | ({_UNLABELLED: True} if each.label is None else {})
        rows[str(number)]["frames"] = [stem(frame) for frame in seen]
    return rows


def _read_video(root: Path, name: str, objects: Row) -> VideoSample:
    labels: dict[int, str | None] = {}
    stems: dict[int, frozenset[str]] = {}
    for key, value in objects.items():
        with placed(lambda key=key: f"object {key!r}"):
            if not (key.isascii() and key.isdecimal() and 1 <= int(key) <= palettes.MAX_IDS):
                raise ValueError(f"an object's number is 1 to {palettes.MAX_IDS}")
            row = _object(value, "its entry")
            labels[int(key)] = _label(row)
            stems[int(key)] = frozenset(_stems(row))
    return palettes.read_folder(
        root / _MASKS / name, images=root / _IMAGES / name, labels=labels, shown=stems
    )


def _label(row: Row) -> str | None:
    category = row.get("category")
    if category is not None and not isinstance(category, str):
        raise ValueError("category is no text")
    return None if row.get(_UNLABELLED) is True else category


def _stems(row: Row) -> Iterator[str]:
    """The names of the frames on which an object is to be seen."""
    frames: object = row.get("frames") or []
    if not isinstance(frames, list):
        raise TypeError("frames is no list")
    for frame in cast("list[object]", frames):
        if not isinstance(frame, str):
            raise TypeError("frames holds something else than names")
        yield frame


def _object(value: object, what: str) -> Row:
    if not isinstance(value, dict):
        raise FormatError("format.bad", f"{what} is no object.")
    return cast(Row, value)  # keys of JSON objects are strings
