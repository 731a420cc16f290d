"""YouTube-VOS as it is unpacked, and MOSE, which lies the same way without the labels of `meta.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segma.datasets.pictures import broken, no_layout, with_frames
from segma.datasets.report import ReadReport
from segma.formats import ytvos
from segma.samples import VideoSample

LAYOUT = (
    "JPEGImages/<video>/00000.jpg, Annotations/<video>/00000.png (palette PNGs, every 5th frame) and "
    "meta.json with the labels, or these in a folder train"
)
"""What a folder must look like, in one line."""


def matches(root: Path) -> bool:
    """Whether a folder looks like this."""
    return _place(root, "train") is not None


def read(
    root: str | Path, *, split: str = "train", report: ReadReport | None = None
) -> Iterator[VideoSample]:
    """The videos of the folder, or of the folder of a split in it, by name.

    What cannot be used is left out and counted. Raises InputError where the folder looks different,
    FormatError where `meta.json` is broken.
    """
    root = Path(root)
    place = _place(root, split)
    if place is None:
        raise no_layout(root, LAYOUT)
    return _read(place, ReadReport() if report is None else report)


def _read(place: Path, report: ReadReport) -> Iterator[VideoSample]:
    for sample in ytvos.each(place, skip=broken(report)):
        folder = place / "JPEGImages" / sample.name
        found = with_frames(sample, folder, source="youtube_vos", report=report)
        if found is not None:
            yield found


def _place(root: Path, split: str) -> Path | None:
    """The folder that holds pictures and masks, the split's own first."""
    for folder in (root / split, root):
        if (folder / "JPEGImages").is_dir() and next(folder.glob("Annotations/*/*.png"), None):
            return folder
    return None
