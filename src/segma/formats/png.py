"""One PNG a mask and a `metadata.csv`, as SAM's own command line writes them.

Masks are 0.png, 1.png, ... in black and white (0 and 255), in a folder with the name of the image
without its suffix. `bbox` is the record's own (w = x1 - x0 of the outermost pixels); cells stay empty
for what was not measured.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from segma.errors import FormatError, InputError
from segma.formats.document import box_of, stored_name, xywh
from segma.formats.loss import LossReport, note
from segma.masks.mask import Mask
from segma.media.files import make_folder, write_files
from segma.media.image import mask_bytes, not_found, read_mask
from segma.samples import ImageSample, ObjectSample

COLUMNS: tuple[str, ...] = (
    "id",
    "area",
    "bbox_x0",
    "bbox_y0",
    "bbox_w",
    "bbox_h",
    "point_input_x",
    "point_input_y",
    "predicted_iou",
    "stability_score",
    "crop_box_x0",
    "crop_box_y0",
    "crop_box_w",
    "crop_box_h",
)
_TABLE = "metadata.csv"

_Cells = dict[str, str]


def read(path: str | Path) -> list[ImageSample]:
    """The images of a folder with `metadata.csv`, or of a folder of such folders.

    The image's name is the folder's, its size that of the masks (0 x 0 where there is none); object ids
    count from 1. Raises FormatError, InputError.
    """
    path = Path(path)
    if not path.is_dir():
        raise not_found(path)
    folders = (
        [path] if (path / _TABLE).is_file() else sorted(file.parent for file in path.glob(f"*/{_TABLE}"))
    )
    if not folders:
        raise FormatError("format.bad", f"{path.name}: there is no {_TABLE} in it.")
    return [_read_folder(folder) for folder in folders]


def write(samples: Sequence[ImageSample], path: str | Path, *, overwrite: bool = False) -> LossReport:
    """Write a folder for each image into `path`. Errors as in `write_folder`."""
    path = Path(path)
    stems = [Path(stored_name(sample.file_name)).stem or "image" for sample in samples]
    if len(set(stems)) < len(stems):
        raise FormatError(
            "format.loss", "Two images have the same name in different folders.", "Use coco for them."
        )
    for stem in stems:
        _check_free(path / stem, overwrite)
    reports = [
        write_folder(sample, path / stem, overwrite=overwrite)
        for sample, stem in zip(samples, stems, strict=True)
    ]
    lost = tuple(dict.fromkeys(text for report in reports for text in report.lost))
    return LossReport(written=sum(report.written for report in reports), lost=lost)


def write_folder(sample: ImageSample, folder: str | Path, *, overwrite: bool = False) -> LossReport:
    """Write the masks of one image into a folder, which is made where it is missing.

    With `overwrite` the masks of an earlier run are replaced; other files stay. Nothing is written where
    the disk has no room for all. Raises InputError `input.exists` and StoreError.
    """
    folder = Path(folder)
    _check_free(folder, overwrite)
    make_folder(folder)
    stream = io.StringIO()
    table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(_row(number, each) for number, each in enumerate(sample.objects))
    masks = {f"{number}.png": mask_bytes(each.mask.dense()) for number, each in enumerate(sample.objects)}
    write_files(folder, masks | {_TABLE: stream.getvalue().encode()}, overwrite=overwrite)
    for stale in folder.glob("*.png"):
        if stale.stem.isdecimal() and stale.name not in masks:
            stale.unlink()
    return LossReport(written=len(sample.objects), lost=_lost(sample))


def _check_free(folder: Path, overwrite: bool) -> None:
    if folder.is_file():
        raise InputError("input.exists", f"{folder.name} is a file.", "Give the folder another name.")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            "input.exists", f"{folder.name} exists and is not empty.", "Use --overwrite to replace its masks."
        )


def _lost(sample: ImageSample) -> tuple[str, ...]:
    objects = sample.objects
    renamed = sum(each.object_id != number for number, each in enumerate(objects, 1))
    return (
        *note(renamed, "object ids, numbered by position"),
        *note(sum(each.label is not None for each in objects), "labels"),
        *note(sum(bool(each.attributes) for each in objects), "objects' attributes"),
        *note(sum(each.is_crowd for each in objects), "crowd marks"),
        *note(sum(len(each.points) > 1 for each in objects), "objects' points after the first"),
    )


def _row(number: int, each: ObjectSample) -> dict[str, object]:
    point = each.points[0] if each.points else (None, None)
    box, crop = xywh(each.mask.box), xywh(each.crop_box)
    values = (number, each.mask.area, *(box or ()), *point, each.predicted_iou, each.stability_score)
    return dict(zip(COLUMNS, (*values, *(crop or [None] * 4)), strict=True))


def _read_folder(folder: Path) -> ImageSample:
    try:
        text = (folder / _TABLE).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("input.unreadable", f"{_TABLE}: cannot be read ({error}).") from error
    objects: list[ObjectSample] = []
    for line, cells in enumerate(_rows(folder, text), 2):
        try:
            objects.append(_read_object(folder, cells))
        except KeyError as error:
            message = f"{folder.name}/{_TABLE} line {line}: has no column {error}."
            raise FormatError("format.bad", message) from error
        except (TypeError, ValueError) as error:
            message = getattr(error, "message", f"{error}.")
            raise FormatError("format.bad", f"{folder.name}/{_TABLE} line {line}: {message}") from error
    sizes = {each.mask.size for each in objects}
    if len(sizes) > 1:
        raise FormatError("format.bad", f"{folder.name}: its masks have {len(sizes)} different sizes.")
    return ImageSample(file_name=folder.name, size=next(iter(sizes), (0, 0)), objects=tuple(objects))


def _rows(folder: Path, text: str) -> list[_Cells]:
    try:
        return list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise FormatError("format.bad", f"{folder.name}/{_TABLE}: no table ({error}).") from error


def _read_object(folder: Path, cells: _Cells) -> ObjectSample:
    number = int(cells["id"])
    point = [_number(cells[name]) for name in ("point_input_x", "point_input_y")]
    crop = [_number(cells[name]) for name in COLUMNS[-4:]]
    x, y = point
    return ObjectSample(
        object_id=number + 1,
        mask=Mask.from_dense(read_mask(folder / f"{number}.png")),
        predicted_iou=_number(cells["predicted_iou"]),
        stability_score=_number(cells["stability_score"]),
        points=() if x is None or y is None else ((x, y),),
        crop_box=None if None in crop else box_of(crop),
    )


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
