"""SA-V as it is unpacked: JSON beside videos, or (validation) pictures and one PNG an object and frame.

Videos are files in the training part; their samples have no `pictures`, but `video`, the path of the file,
which is also an attribute of this name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from segma.datasets import sa1b
from segma.datasets.pictures import broken, no_layout, shown, with_frames
from segma.datasets.report import ReadReport
from segma.errors import SegmaError
from segma.formats import sav, sav_png
from segma.samples import VideoSample

LAYOUT = (
    "<video>_manual.json or <video>_auto.json beside <video>.mp4, at any depth; or JPEGImages_24fps/<video>, "
    "Annotations_6fps/<video>/<object>/00000.png and <split>.txt"
)
"""What a folder must look like, in one line."""

_ENDS = ("_manual", "_auto")
_VIDEOS = (".mp4", ".mov", ".webm", ".mkv", ".avi")
_MASKS, _IMAGES = "Annotations_6fps", "JPEGImages_24fps"


def matches(root: Path) -> bool:
    """Whether a folder looks like this, or one folder in it does."""
    places = (f"{at}*{end}.json" for at in ("", "*/") for end in _ENDS)
    firsts = (next(root.glob(place), None) for place in places)
    return (root / _MASKS).is_dir() or any(file and sa1b.picture_of(file) is None for file in firsts)


def read(
    root: str | Path, *, split: str | None = None, report: ReadReport | None = None
) -> Iterator[VideoSample]:
    """The videos of the folder, or those of the list `<split>.txt` where masks are PNGs.

    A video with manual and automatic masklets is two samples, which the attribute `kind` tells apart. What
    cannot be used is left out and counted. Raises InputError where the folder looks different.
    """
    root = Path(root)
    report = ReadReport() if report is None else report
    if (root / _MASKS).is_dir():
        return _read_folders(root, split, report)
    files = sorted(path for end in _ENDS for path in root.rglob(f"*{end}.json"))
    if not files:
        raise no_layout(root, LAYOUT)
    return _read_files(files, report)


def _read_folders(root: Path, split: str | None, report: ReadReport) -> Iterator[VideoSample]:
    for sample in sav_png.each(root, split=split, skip=broken(report)):
        found = with_frames(sample, root / _IMAGES / sample.name, source="sav", report=report)
        if found is not None:
            yield found


def _read_files(files: list[Path], report: ReadReport) -> Iterator[VideoSample]:
    skip = broken(report)
    for file in files:
        stem, _, kind = file.stem.rpartition("_")
        video = next((path for end in _VIDEOS if (path := file.with_name(stem + end)).is_file()), None)
        if video is None:
            report.add("unreadable picture", f"{stem}{_VIDEOS[0]}: not there")
            continue
        try:
            sample = sav.read(file)[0]
        except SegmaError as error:
            skip(error)
            continue
        attributes = {**sample.attributes, "kind": kind, "video": str(video)}
        yield replace(sample, objects=shown(sample, report), attributes=attributes, video=video, source="sav")
