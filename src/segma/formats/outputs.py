"""What a result is saved as: the end of the file's name says it, or the caller does.

The kinds stand in `KINDS`; each is one function that gets the sample, the picture and the path.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import FormatError, InputError
from segma.formats import coco, png, sa1b, table
from segma.formats.palettes import id_map
from segma.masks.mask import CompactMasks, Mask
from segma.media import draw, sheet
from segma.media.image import write_image, write_mask, write_palette
from segma.media.provenance import Mark
from segma.samples import ImageSample

_Picture = UInt8[ndarray, "height width 3"]
_Writer = Callable[[ImageSample, _Picture | None, Path, bool], object]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of output; `suffixes` are the ends of names that mean it, none for a folder."""

    suffixes: tuple[str, ...]
    write: _Writer
    help: str


def kind_of(path: str | Path) -> str:
    """The kind that a file's name asks for. Raises FormatError `format.unknown`.

    >>> kind_of("truck.png"), kind_of("truck.coco.json"), kind_of("masks")
    ('mask', 'coco', 'masks')
    """
    name = Path(path).name.lower()
    ends = [(end, kind) for kind, row in KINDS.items() for end in row.suffixes if name.endswith(end)]
    if ends:
        return max(ends, key=lambda found: len(found[0]))[1]
    if not Path(path).suffix:
        return "masks"
    raise _unknown(f"{Path(path).name}: nothing is written under a name like this.")


def write(
    sample: ImageSample,
    image: UInt8[ndarray, "height width 3"] | None,
    path: str | Path,
    *,
    kind: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write one image's result as `kind`, or as the name says, and give back the path.

    Raises FormatError for an unknown kind, InputError where the kind needs the picture and there is none
    or the file exists, StoreError where the disk is full or cannot be written.
    """
    path = Path(path)
    chosen = kind_of(path) if kind is None else kind
    if chosen not in KINDS:
        raise _unknown(f"No output kind {chosen!r}.")
    KINDS[chosen].write(sample, image, path, overwrite)
    return path


def _write_mask(sample: ImageSample, _image: _Picture | None, path: Path, overwrite: bool) -> None:
    """One object black and white, several as a palette of ids."""
    if path.suffix.lower() != ".png":
        raise FormatError("format.unknown", f"{path.name}: a mask is a PNG.", "Use a name that ends in .png.")
    masks = _masks(sample)
    if len(masks) < 2:
        dense = masks[0].dense() if masks else np.zeros(sample.size, bool)
        write_mask(dense, path, overwrite=overwrite)
        return
    ids, shared = id_map(masks)
    if shared:
        _log.warning("%s: %d pixels lie in several objects, the lowest id won", path.name, shared)
    write_palette(ids, path, overwrite=overwrite)


def _write_overlay(sample: ImageSample, image: _Picture | None, path: Path, overwrite: bool) -> None:
    write_image(draw.overlay(_needed(image, "An overlay"), _masks(sample)), path, overwrite=overwrite)


def _write_cutout(sample: ImageSample, image: _Picture | None, path: Path, overwrite: bool) -> None:
    """All objects together, the rest transparent."""
    picture = _needed(image, "A cut-out")
    united = reduce(
        np.logical_or, (each.mask.dense() for each in sample.objects), np.zeros(sample.size, bool)
    )
    cut = draw.cutout(picture, Mask.from_dense(united))
    write_image(cut, path, overwrite=overwrite, mark=Mark(action="edited"))


def _write_sheet(sample: ImageSample, image: _Picture | None, path: Path, overwrite: bool) -> None:
    picture = _needed(image, "A contact sheet")
    captions = [sheet.caption(each.mask, each.predicted_iou, each.label) for each in sample.objects]
    write_image(sheet.contact_sheet(picture, _masks(sample), captions=captions), path, overwrite=overwrite)


def _write_coco(sample: ImageSample, _image: _Picture | None, path: Path, overwrite: bool) -> None:
    coco.write([sample], path, overwrite=overwrite)


def _write_sa1b(sample: ImageSample, _image: _Picture | None, path: Path, overwrite: bool) -> None:
    sa1b.write([sample], path, overwrite=overwrite)


def _write_table(sample: ImageSample, _image: _Picture | None, path: Path, overwrite: bool) -> None:
    table.write([sample], path, overwrite=overwrite)


def _write_folder(sample: ImageSample, _image: _Picture | None, path: Path, overwrite: bool) -> None:
    png.write_folder(sample, path, overwrite=overwrite)


KINDS: dict[str, Kind] = {
    "mask": Kind(
        suffixes=(".png",),
        write=_write_mask,
        help="black and white for one object, a palette of ids for several (lowest id on top)",
    ),
    "overlay": Kind(
        suffixes=(".overlay.png", ".overlay.jpg", ".overlay.jpeg", ".overlay.webp"),
        write=_write_overlay,
        help="the picture with coloured masks",
    ),
    "cutout": Kind(
        suffixes=(".cutout.png", ".cutout.webp"),
        write=_write_cutout,
        help="the objects with a transparent ground",
    ),
    "sheet": Kind(
        suffixes=(".sheet.png", ".sheet.jpg", ".sheet.jpeg", ".sheet.webp"),
        write=_write_sheet,
        help="a contact sheet: the overlay and one tile an object",
    ),
    "coco": Kind(suffixes=(".coco.json",), write=_write_coco, help="COCO, one JSON"),
    "sa1b": Kind(suffixes=(".sa1b.json", ".json"), write=_write_sa1b, help="SA-1B, one JSON an image"),
    "csv": Kind(suffixes=(".csv",), write=_write_table, help="a table of areas, boxes and qualities"),
    "masks": Kind(suffixes=(), write=_write_folder, help="a folder: one PNG a mask and metadata.csv"),
}


def _masks(sample: ImageSample) -> CompactMasks:
    return CompactMasks((each.mask for each in sample.objects), sample.size)


def _needed(image: _Picture | None, what: str) -> _Picture:
    if image is None:
        raise InputError(
            "input.value",
            f"{what} needs the picture, and this result came without it.",
            "Segment the picture again, or save a mask.",
        )
    return image


def _unknown(message: str) -> FormatError:
    known = "; ".join(f"{kind} ({' '.join(row.suffixes) or 'a folder'})" for kind, row in KINDS.items())
    return FormatError("format.unknown", message, f"Kinds: {known}.")
