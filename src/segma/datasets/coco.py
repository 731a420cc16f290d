"""COCO as it is unpacked: `annotations/instances_<split>.json`, the pictures in a folder of the split's name.

Exports of labelling tools are read as well: a COCO file in a folder with its pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from segma.datasets.pictures import broken, no_layout, with_picture
from segma.datasets.report import ReadReport
from segma.formats import coco
from segma.samples import ImageSample

LAYOUT = (
    "annotations/instances_<split>.json with the pictures in <split>, images/<split> or images; or a COCO "
    "JSON in the folder of its pictures, or beside a folder images"
)
"""What a folder must look like, in one line."""

_PLACES = ("annotations/instances_*.json", "annotations/*.json", "*.json", "*/*.json")
_LOOK = 1 << 16  # bytes at both ends of a file that show what it is
_LIST = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


def matches(root: Path) -> bool:
    """Whether this is a COCO file, or a folder with one in a place where one belongs."""
    return bool(annotation_files(root))


def read(
    root: str | Path, *, split: str | None = None, report: ReadReport | None = None
) -> Iterator[ImageSample]:
    """The images of the annotation files in a folder, or of the one file that `root` is, with pictures.

    `split` ("train2017") takes only the files of which it is part of the name, or the folder. Annotations
    without masks are left out; what cannot be used is left out and counted. Raises InputError where there
    is no such file, FormatError where one is no COCO.
    """
    root = Path(root)
    files = [
        file for file in annotation_files(root) if split is None or split in f"{file.parent.name}/{file.name}"
    ]
    if not files:
        raise no_layout(root, LAYOUT)
    return _read(root, files, ReadReport() if report is None else report)


def annotation_files(root: Path) -> list[Path]:
    """The COCO files of a folder, those of the first place that has any."""
    if root.is_file():
        return [root] if root.suffix.lower() == ".json" and _is_coco(root) else []
    for place in _PLACES:
        if found := [file for file in sorted(root.glob(place)) if _is_coco(file)]:
            return found
    return []


def _is_coco(file: Path) -> bool:
    """Whether a file has lists of images and of annotations or categories, judged by its ends."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_LOOK)
            stream.seek(max(len(text), file.stat().st_size - _LOOK))
            text += stream.read()
    except OSError:
        return False
    found, unseen = set(_LIST.findall(text)), len(text) >= 2 * _LOOK
    return (b"images" in found or (unseen and b"categories" in found)) and (unseen or len(found) > 1)


def _read(root: Path, files: list[Path], report: ReadReport) -> Iterator[ImageSample]:
    folder = root.resolve().parent if root.is_file() else root
    folder = folder.parent if root.is_file() and folder.name == "annotations" else folder
    for file in files:
        places = _folders(folder, file)
        for sample in coco.read(file, skip=broken(report)):
            path = next((at / sample.file_name for at in places if (at / sample.file_name).is_file()), None)
            if path is not None and places[0] != (first := path.parents[_depth(sample.file_name)]):
                places = [first, *(at for at in places if at != first)]  # the next lies there as well
            found = with_picture(sample, path, source=folder.resolve().name, report=report)
            if found is not None:
                yield found


def _folders(root: Path, file: Path) -> list[Path]:
    """Where the pictures of an annotation file may be."""
    split = file.stem.rpartition("_")[2]
    names = [f"{at}{name}" for name in dict.fromkeys((split, file.stem)) for at in ("", "images/")]
    above = dict.fromkeys((root, file.parent))
    return [*(at / name for at in above for name in names), *(at / "images" for at in above), *above]


def _depth(name: str) -> int:
    """How many folders a name has, so that the folder it is relative to can be found."""
    return len(Path(name).parts) - 1
