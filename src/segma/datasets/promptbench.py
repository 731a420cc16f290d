"""A small set to measure prompts on: photos with a mask picture for each object, clips with palette PNGs."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from segma.datasets.report import ReadReport
from segma.errors import FormatError, InputError
from segma.formats.document import Document, Row, inside_name, read_document, whole
from segma.formats.palettes import read_folder
from segma.masks.mask import Mask
from segma.media.image import picture_size, read_palette
from segma.samples import ImageSample, ObjectSample, PictureFile, VideoSample

LAYOUT = (
    "index.json, images/<id>.jpg with masks/<id>_<k>.png (255 on 0), videos/<id>/00000.jpg with "
    "masks/<id>/00000.png (palette ids)"
)
"""What a folder must look like, in one line."""

INDEX = "index.json"
_INSIDE = 127  # a value above it is the object

_log = logging.getLogger(__name__)


def matches(root: Path) -> bool:
    """Whether a folder looks like this."""
    return (root / INDEX).is_file() and ((root / "images").is_dir() or (root / "videos").is_dir())


def read(root: str | Path, *, report: ReadReport | None = None) -> Iterator[ImageSample | VideoSample]:
    """All photos, then all clips, in the order of the index; an object's id is its `k`, or its palette id.

    `source` is what the index calls `repo`. A frame without a mask file was not annotated. What cannot be
    used is left out and counted in `report` (in the log, where there is none). Raises InputError where there
    is no index, FormatError where it is broken.
    """
    folder = Path(root)
    index = _index(folder)
    return _samples(folder, index, report)


def _samples(folder: Path, index: Document, report: ReadReport | None) -> Iterator[ImageSample | VideoSample]:
    counting = ReadReport() if report is None else report
    for name, row in _entries(index, "images"):
        with _counted(name, counting):
            yield _image(folder, name, row, counting)
    for name, row in _entries(index, "videos"):
        with _counted(name, counting):
            yield _video(folder, name, row)
    if report is None and counting.skipped:
        _log.warning("%s: %s", folder.name, counting.summary())


@contextmanager
def _counted(name: str, report: ReadReport) -> Generator[None, None, None]:
    """Errors inside are counted, and the sample left out."""
    try:
        yield
    except InputError:
        report.add("unreadable picture", name)
    except (FormatError, OSError):
        report.add("broken labels", name)


def _index(folder: Path) -> Document:
    try:
        return read_document(folder / INDEX)
    except InputError as error:
        raise InputError(error.code, error.message, f"Wanted: {LAYOUT}.") from error


def _entries(index: Document, key: str) -> Iterator[tuple[str, Row]]:
    """Name and row of each entry; none where the index has no such list."""
    if key not in index.data:
        return
    for number, row in index.rows(key):
        with index.at(key, number):
            name = inside_name(row["id"], "id")
        yield name, row


def _image(folder: Path, name: str, row: Row, report: ReadReport) -> ImageSample:
    """One photo with its masks. Raises InputError where it cannot be read, FormatError for a bad entry."""
    picture = folder / "images" / f"{name}.jpg"
    size = picture_size(picture)
    objects: list[ObjectSample] = []
    for number, label in _listed(name, row):
        file = folder / "masks" / f"{name}_{number}.png"
        values = read_palette(file)
        if values.shape != size:
            report.add("size", file.name)
        elif not (values > _INSIDE).any():
            report.add("empty object", file.name)
        else:
            objects.append(
                ObjectSample(object_id=number, mask=Mask.from_dense(values > _INSIDE), label=label)
            )
    return ImageSample(
        file_name=picture.name,
        size=size,
        objects=tuple(objects),
        picture=PictureFile(picture),
        source=str(row.get("repo") or ""),
    )


def _listed(name: str, row: Row) -> Iterator[tuple[int, str | None]]:
    """Number and label of each object of a photo's entry. Raises FormatError."""
    try:
        for each in row.get("objects", ()):
            yield whole(each["k"]), str(each["name"]) if each.get("name") else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError("format.bad", f"{INDEX}: an object of {name} has no number k.") from error


def _video(folder: Path, name: str, row: Row) -> VideoSample:
    """One clip. Raises FormatError, InputError, OSError."""
    frames = folder / "videos" / name
    sample = read_folder(folder / "masks" / name, images=frames)
    if sample.frame_names is None:
        raise FormatError("format.bad", f"{name}: there are no frames.")
    pictures = tuple(PictureFile(frames / each) for each in sample.frame_names)
    return replace(sample, pictures=pictures, source=str(row.get("repo") or ""))
