"""A plain folder of pictures with what is known about each: masks as PNGs, or a JSON beside it.

The masks of `photo.jpg` are `photo.png` beside it or in a folder `masks`, or several: `photo_1.png`,
`photo_cat.png` (the word is the label), or all PNGs of a folder `masks/photo`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segma.datasets import coco, sa1b
from segma.datasets.mask_pictures import masks_of
from segma.datasets.pictures import no_layout
from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.media.image import list_images, picture_size
from segma.samples import ImageSample, ObjectSample, PictureFile

LAYOUT = (
    "<name>.jpg with masks <name>.png or <name>_1.png, <name>_2.png, ... beside it or in a folder masks, or "
    "all PNGs of a folder masks/<name>; pictures may lie in a folder images; or JSON of COCO or SA-1B instead"
)
"""What a folder must look like, in one line."""

_MASK_FOLDERS = ("masks", "mask", "labels", "annotations", "Annotations", "gt")
_IMAGE_FOLDERS = ("images", "image", "JPEGImages", "photos")
_MASK = re.compile(r"(?i)[_\-. ](mask|label|seg|gt)[_\- ]?\d*$")
_PART = re.compile(r"[_\-. ]")
_NO_LABEL = re.compile(r"(?i)(mask|label|seg|gt|obj|object|instance)?[_\- ]?\d*")


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A picture and the files of its masks, each with the label that its name says."""

    picture: Path
    masks: Sequence[tuple[Path, str | None]]


def matches(root: Path) -> bool:
    """Whether a folder has a picture with a mask, in the places where they belong."""
    return root.is_dir() and bool(_pairs(root))


def read(root: str | Path, *, report: ReadReport | None = None) -> Iterator[ImageSample]:
    """The labelled images of a folder, in the order people count; pictures without masks are left out.

    Where there are annotations as JSON, they are read and no PNGs. What cannot be used is left out and
    counted. Raises InputError where there are no pictures with masks, FormatError for a broken COCO file.
    """
    root = Path(root)
    report = ReadReport() if report is None else report
    if coco.matches(root):
        return coco.read(root, report=report)
    source = root.resolve().name
    folder = _images(root)
    files = [file for file in sorted(folder.glob("*.json")) if sa1b.picture_of(file) is not None]
    if files:
        return sa1b.read_files(files, source, report)
    pairs = _pairs(root)
    if not pairs:
        raise no_layout(root, LAYOUT)
    return _read(pairs, source, report)


def _read(pairs: Sequence[_Labelled], source: str, report: ReadReport) -> Iterator[ImageSample]:
    for pair in pairs:
        name = f"{pair.picture.parent.name}/{pair.picture.name}"
        try:
            size = picture_size(pair.picture, upright=True)
        except InputError:
            report.add("unreadable picture", name)
            continue
        yield ImageSample(
            file_name=pair.picture.name,
            size=size,
            objects=tuple(_objects(pair, size, report)),
            picture=PictureFile(pair.picture),
            source=source,
        )


def _objects(pair: _Labelled, size: tuple[int, int], report: ReadReport) -> Iterator[ObjectSample]:
    """The objects of all masks of a picture that can be used, counted from 1."""
    number = 0
    for path, label in pair.masks:
        name = f"{path.parent.name}/{path.name}"
        try:
            masks = masks_of(path)
        except InputError:
            report.add("broken labels", name)
            continue
        for mask in masks:
            if mask.size != size:
                report.add("size", name)
            elif not mask.crop_size[0]:
                report.add("empty object", name)
            else:
                number += 1
                yield ObjectSample(object_id=number, mask=mask, label=label)


def _images(root: Path) -> Path:
    return next((root / name for name in _IMAGE_FOLDERS if (root / name).is_dir()), root)


def _pairs(root: Path) -> list[_Labelled]:
    """The pictures of a folder that have masks."""
    try:
        pictures = list_images(_images(root))
    except InputError:
        return []
    place = next((root / name for name in _MASK_FOLDERS if (root / name).is_dir()), None)
    if place is None:
        pictures, masks = _apart(pictures)
        found = _owned(pictures, masks)
        return [_Labelled(picture, found[picture]) for picture in pictures if picture in found]
    found = _owned(pictures, [path for path in sorted(place.iterdir()) if _is_png(path)])
    for picture in pictures:
        inside = sorted((place / picture.stem).glob("*.png"))
        found.setdefault(picture, []).extend((path, None) for path in inside)
    return [_Labelled(picture, found[picture]) for picture in pictures if found.get(picture)]


def _apart(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Pictures and masks of one folder: a mask is a PNG named after another picture, or as a mask."""
    others = {path.stem for path in files if not _is_png(path)}
    stems = others | {path.stem for path in files if not _MASK.search(path.stem)}
    masks: list[Path] = []
    for path in files:
        named_after = path.stem in others or any(stem in others for stem, _ in _wholes(path.stem))
        marked = _MASK.search(path.stem) and any(stem in stems for stem, _ in _wholes(path.stem))
        if _is_png(path) and (named_after or marked):
            masks.append(path)
    return [path for path in files if path not in set(masks)], masks


def _owned(pictures: Sequence[Path], masks: Sequence[Path]) -> dict[Path, list[tuple[Path, str | None]]]:
    """The masks of each picture: those of its name, or of its name and something after it."""
    by_stem: Mapping[str, Path] = {path.stem: path for path in pictures}
    found: dict[Path, list[tuple[Path, str | None]]] = {}
    for mask in masks:
        for stem, rest in ((mask.stem, ""), *_wholes(mask.stem)):
            if stem in by_stem:
                found.setdefault(by_stem[stem], []).append((mask, _label(rest)))
                break
    return found


def _wholes(stem: str) -> list[tuple[str, str]]:
    """The beginnings of a name up to a separator, the longest first, and what stands after each."""
    cuts = [match.start() for match in _PART.finditer(stem) if match.start()]
    return [(stem[:cut], stem[cut + 1 :]) for cut in reversed(cuts)]


def _label(rest: str) -> str | None:
    """The label that the end of a mask's name says: `photo_cat_2` is a cat."""
    word = re.sub(r"[_\- ]?\d+$", "", rest)
    return None if _NO_LABEL.fullmatch(rest) or not word else word


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == ".png"
