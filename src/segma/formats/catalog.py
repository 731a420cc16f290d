"""The annotation formats by name. Imports nothing; a reader or writer is imported when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from segma.errors import FormatError


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One format: the module with `read` and `write`, and which of the two it has.

    `suffixes` are the ends of file names that mean this format; none means a folder.
    """

    module: str
    suffixes: tuple[str, ...]
    read: bool
    write: bool
    help: str


FORMATS: dict[str, Entry] = {
    "coco": Entry(
        module="segma.formats.coco",
        suffixes=(".coco.json",),
        read=True,
        write=True,
        help="one JSON for many images: COCO, with run lengths or polygons",
    ),
    "sa1b": Entry(
        module="segma.formats.sa1b",
        suffixes=(".sa1b.json", ".json"),
        read=True,
        write=True,
        help="one JSON an image, as in the SA-1B data set",
    ),
    "csv": Entry(
        module="segma.formats.table",
        suffixes=(".csv",),
        read=False,
        write=True,
        help="a table of areas, boxes, centres and qualities, without the masks",
    ),
    "png": Entry(
        module="segma.formats.png",
        suffixes=(),
        read=True,
        write=True,
        help="a folder an image: one PNG a mask and metadata.csv, as SAM's own script writes it",
    ),
}


def reader(name: str) -> Callable[..., Any]:  # list[ImageSample]; samples would import numpy here
    """The function `read(path) -> list[ImageSample]` of a format. Raises FormatError."""
    return _function(name, "read")


def writer(name: str) -> Callable[..., Any]:  # LossReport; options differ by format
    """The function `write(samples, path, *, overwrite=False) -> LossReport` of a format."""
    return _function(name, "write")


def _function(name: str, verb: str) -> Callable[..., Any]:  # see reader and writer
    entry = FORMATS.get(name)
    able = sorted(known for known, row in FORMATS.items() if getattr(row, verb))
    if entry is None or name not in able:
        what = f"No format {name!r}." if entry is None else f"The format {name!r} cannot be {verb}."
        what = what.replace("be write.", "be written.")
        raise FormatError("format.unknown", what, f"Formats to {verb}: {', '.join(able)}.")
    return getattr(import_module(entry.module), verb)
