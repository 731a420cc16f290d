"""The annotation formats by name. Imports nothing; a reader or writer is imported when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from segma.errors import FormatError

Holds = Literal["images", "videos"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One format: the modules for images and for videos, and which of `read` and `write` they have.

    `suffixes` are the ends of file names that mean this format; none means a folder.
    """

    images: str = ""
    videos: str = ""
    suffixes: tuple[str, ...]
    read: bool = True
    write: bool = True
    help: str

    @property
    def holds(self) -> tuple[Holds, ...]:
        """What the format can hold."""
        modules: tuple[tuple[Holds, str], ...] = (("images", self.images), ("videos", self.videos))
        return tuple(name for name, module in modules if module)


FORMATS: dict[str, Entry] = {
    "coco": Entry(
        images="segma.formats.coco",
        videos="segma.formats.coco_video",
        suffixes=(".coco.json",),
        help="one JSON for many images or videos: COCO, with run lengths or polygons, and tracks",
    ),
    "sa1b": Entry(
        images="segma.formats.sa1b",
        suffixes=(".sa1b.json", ".json"),
        help="one JSON an image, as in the SA-1B data set",
    ),
    "sav": Entry(
        videos="segma.formats.sav",
        suffixes=("_manual.json", "_auto.json", ".sav.json", ".json"),
        help="one JSON a video, masks of every 4th frame, as in the SA-V data set",
    ),
    "sav-png": Entry(
        videos="segma.formats.sav_png",
        suffixes=(),
        help="a folder: one PNG an object and frame, as in SA-V's sets for validation; keeps overlaps",
    ),
    "davis": Entry(
        videos="segma.formats.davis",
        suffixes=(),
        help="a folder: Annotations/480p/<video>, one palette PNG a frame, one object a pixel",
    ),
    "ytvos": Entry(
        videos="segma.formats.ytvos",
        suffixes=(),
        help="a folder: Annotations/<video>, one palette PNG a frame, and meta.json with the labels",
    ),
    "ytvis": Entry(
        videos="segma.formats.ytvis",
        suffixes=(".ytvis.json",),
        help="one JSON for many videos, as in YouTube-VIS",
    ),
    "csv": Entry(
        images="segma.formats.table",
        videos="segma.formats.track_table",
        suffixes=(".csv",),
        read=False,
        help="a table of areas, boxes, centres and qualities, without the masks",
    ),
    "png": Entry(
        images="segma.formats.png",
        videos="segma.formats.tracks_png",
        suffixes=(),
        help="a folder: of an image one PNG a mask and metadata.csv, as SAM's own script writes it; "
        "of a video one palette PNG a frame",
    ),
}


def reader(name: str, holds: Holds = "images") -> Callable[..., Any]:  # samples would import numpy here
    """A format's `read(path) -> list[ImageSample]`, or `list[VideoSample]`. Raises FormatError."""
    return _function(name, "read", holds)


def writer(name: str, holds: Holds = "images") -> Callable[..., Any]:  # options differ by format
    """A format's `write(samples, path, *, overwrite=False) -> LossReport`. Raises FormatError."""
    return _function(name, "write", holds)


def _function(name: str, verb: str, holds: Holds) -> Callable[..., Any]:  # see reader and writer
    entry = FORMATS.get(name)
    able = sorted(known for known, row in FORMATS.items() if getattr(row, verb) and holds in row.holds)
    if entry is None or name not in able:
        done = "read" if verb == "read" else "written"
        what = f"The format {name!r} cannot be {done} for {holds}."
        what = f"No format {name!r}." if entry is None else what
        raise FormatError("format.unknown", what, f"Formats to {verb} {holds}: {', '.join(able)}.")
    return getattr(import_module(entry.images if holds == "images" else entry.videos), verb)
