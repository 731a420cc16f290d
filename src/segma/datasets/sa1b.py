"""SA-1B as it is unpacked: `sa_1.jpg` beside `sa_1.json`, one folder for each archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segma.datasets.pictures import broken, no_layout, with_picture
from segma.datasets.report import ReadReport
from segma.errors import SegmaError
from segma.formats import sa1b
from segma.media.image import SUFFIXES
from segma.samples import ImageSample

LAYOUT = (
    '<name>.jpg beside <name>.json = {"image": {"image_id", "width", "height", "file_name"}, "annotations": '
    '[{"id", "segmentation": {"size": [h, w], "counts": "..."}}]}, at any depth'
)
"""What a folder must look like, in one line."""


def matches(root: Path) -> bool:
    """Whether a folder, or one in it, begins with such a pair."""
    firsts = (next(root.glob(at), None) for at in ("*.json", "*/*.json"))
    return any(file is not None and picture_of(file) is not None for file in firsts)


def read(root: str | Path, *, report: ReadReport | None = None) -> Iterator[ImageSample]:
    """The images of all `*.json` in the folder and below, by name.

    What cannot be used is left out and counted. Raises InputError where there is no such file.
    """
    root = Path(root)
    files = sorted(root.rglob("*.json"))
    if not files:
        raise no_layout(root, LAYOUT)
    return _read(files, "sa1b", ReadReport() if report is None else report)


def read_files(files: list[Path], source: str, report: ReadReport) -> Iterator[ImageSample]:
    """The images of JSON files with their pictures, which lie beside them."""
    return _read(files, source, report)


def picture_of(file: Path) -> Path | None:
    """The picture beside a JSON file of the same name."""
    return next((path for end in SUFFIXES if (path := file.with_suffix(end)).is_file()), None)


def _read(files: list[Path], source: str, report: ReadReport) -> Iterator[ImageSample]:
    skip = broken(report)
    for file in files:
        try:
            sample = sa1b.read(file, skip=skip)[0]
        except SegmaError as error:
            skip(error)
            continue
        named = file.parent / sample.file_name
        path = named if sample.file_name and named.is_file() else picture_of(file)
        found = with_picture(sample, path, source=source, report=report)
        if found is not None:
            yield found
