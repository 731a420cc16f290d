"""DAVIS as it is unpacked: pictures and palette PNGs in folders of the video's name, and lists of videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segma.datasets.pictures import broken, no_layout, with_frames
from segma.datasets.report import ReadReport
from segma.formats import davis
from segma.samples import VideoSample

LAYOUT = (
    "JPEGImages/480p/<video>/00000.jpg, Annotations/480p/<video>/00000.png (one palette PNG a frame) and "
    "ImageSets/2017/<split>.txt, a list of videos"
)
"""What a folder must look like, in one line."""

_RESOLUTIONS = ("480p", "Full-Resolution", "1080p")


def matches(root: Path) -> bool:
    """Whether a folder looks like this."""
    return _resolution(root) is not None


def read(
    root: str | Path, *, split: str | None = None, report: ReadReport | None = None
) -> Iterator[VideoSample]:
    """The videos of the folder by name, or those of `ImageSets/<split>.txt` ("2017/train").

    Of several resolutions 480p is read. What cannot be used is left out and counted. Raises InputError where
    the folder looks different.
    """
    root = Path(root)
    resolution = _resolution(root)
    if resolution is None:
        raise no_layout(root, LAYOUT)
    return _read(root, resolution, split, ReadReport() if report is None else report)


def _read(root: Path, resolution: str, split: str | None, report: ReadReport) -> Iterator[VideoSample]:
    for sample in davis.each(root, resolution=resolution, split=split, skip=broken(report)):
        folder = root / "JPEGImages" / resolution / sample.name
        found = with_frames(sample, folder, source="davis", report=report)
        if found is not None:
            yield found


def _resolution(root: Path) -> str | None:
    return next((name for name in _RESOLUTIONS if (root / "Annotations" / name).is_dir()), None)
