"""Any tree of pictures and videos without labels; at most the folder of a file says what it shows.

So are ImageNet (`train/n01440764/*.JPEG`, `val`), UCF-101 (`Class/*.avi`) and Kinetics (`train/class/*.mp4`)
once they are unpacked, and a plain folder of photos. Headers are read and nothing is decoded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from segma.datasets.pictures import no_layout
from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.media.image import SUFFIXES, counting_order, picture_size, read_image
from segma.media.whole import seems_cut
from segma.samples import ImageSample, PictureFile, VideoSample

LAYOUT = (
    "pictures (.jpg, .png, ...) and videos (.mp4, .avi, ...) at any depth, as <class>/<name>.jpg, "
    "train/<class>/<name>.mp4 and val/<class>/<name>.mp4, or all in one folder"
)
"""What a folder must look like, in one line."""

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv",
)  # fmt: skip
"""Names of files that are taken for videos."""

Part = Literal["all", "train", "tune"]

_TRAIN = "train"
# Folders beside `train` that are not trained on, and whether they are for tuning.
_ASIDE: Mapping[str, bool] = MappingProxyType({"val": True, "valid": True, "validation": True, "test": False})


@dataclass(frozen=True, slots=True)
class _Found:
    """A file, and its name in the tree."""

    path: Path
    name: str

    @property
    def is_picture(self) -> bool:
        return self.path.suffix.lower() in SUFFIXES


def matches(root: Path) -> bool:
    """Whether a folder holds a picture or a video, however deep."""
    return root.is_dir() and next(_files(root, frozenset(), ReadReport()), None) is not None


def read(
    root: str | Path, *, split: str | None = None, part: Part = "all", report: ReadReport | None = None
) -> Iterator[ImageSample | VideoSample]:
    """The pictures and videos of a folder and below, without objects, in the order people count.

    `source` is the name of the folder that a file lies in. A folder of numbered frames is so many pictures.
    Of a video, size (before any turning), length and rate are those that its header claims. `split` is a
    folder in `root`. Where `root` has a folder `train`, the part "train" leaves out `val` (`valid`,
    `validation`) and `test`, and "tune" is `val`; elsewhere everything is "train". Hidden files and links are
    left out; what is empty, broken or cut short, and links that lead elsewhere, are counted. Raises
    InputError where there is no picture or video at all, or no such split.
    """
    root = Path(root)
    report = ReadReport() if report is None else report
    if not matches(root):
        raise no_layout(root, LAYOUT)
    aside = {name: tune for name, tune in _ASIDE.items() if (root / _TRAIN).is_dir()}
    if split is not None:
        if split in ("", "..") or Path(split).name != split or not (root / split).is_dir():
            raise InputError("input.not_found", f"{root}: no split {split!r}.", f"Wanted: {LAYOUT}.")
        return _read([root / split], root, frozenset(), report)
    if part == "tune":
        return _read([root / name for name in aside if aside[name]], root, frozenset(), report)
    return _read([root], root, frozenset(aside) if part == "train" else frozenset[str](), report)


def _read(
    folders: list[Path], root: Path, without: frozenset[str], report: ReadReport
) -> Iterator[ImageSample | VideoSample]:
    for folder in folders:
        if not folder.is_dir() or (folder.is_symlink() and folder != root):
            continue
        for path in _files(folder, without, report, top=root):
            found = _Found(path, path.relative_to(root).as_posix())
            try:
                yield _picture(found, root) if found.is_picture else _video(found, root)
            except (InputError, OSError):
                report.add(
                    "unreadable picture" if found.is_picture else "unreadable video", _said(found.name)
                )


def _files(
    folder: Path, without: frozenset[str], report: ReadReport, *, top: Path | None = None
) -> Iterator[Path]:
    """The pictures and videos of a folder and below; `without` are folders in it that are not entered."""
    top = (top or folder).resolve()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                shown = [each for each in entries if not each.name.startswith(".")]
        except OSError:
            report.add("unreadable picture", _said(f"{place.name}: folder cannot be opened"))
            continue
        inner: list[Path] = []
        for entry in sorted(shown, key=lambda each: counting_order(Path(each.path))):
            path = Path(entry.path)
            if entry.is_symlink():
                # what a link in the tree leads to is read where it stands
                if not path.resolve().is_relative_to(top):
                    report.add("link elsewhere", _said(path.name))
            elif entry.is_dir():
                inner.append(path)
            elif path.suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES) and entry.is_file():
                yield path
        skipped = without if place == folder else frozenset[str]()
        waiting.extend(path for path in reversed(inner) if path.name not in skipped)


def _picture(found: _Found, root: Path) -> ImageSample:
    """Raises InputError, OSError where it cannot be used."""
    size = picture_size(found.path, upright=True)
    if min(size) < 1:
        raise InputError("input.unreadable", f"{found.name}: has no pixels.")
    if seems_cut(found.path):
        read_image(found.path)
    return ImageSample(
        file_name=found.name, size=size, picture=PictureFile(found.path), source=_source(found.path, root)
    )


def _video(found: _Found, root: Path) -> VideoSample:
    """Raises InputError, OSError where it cannot be used."""
    # a machine lent for training has no FFmpeg, and is given pictures alone
    from segma.media.container import open_file, video_stream
    from segma.media.video import VideoFile

    with open_file(found.path, found.name) as container:
        stream = video_stream(container, found.name)
        rate = stream.average_rate or stream.guessed_rate
        size = stream.codec_context.height, stream.codec_context.width
        claimed = stream.frames
        if not claimed and rate and container.duration:
            claimed = round(rate * container.duration / 1_000_000)
    if min(size) < 1 or claimed < 1 or seems_cut(found.path):
        with VideoFile(found.path) as video:
            if video.num_frames < claimed:
                raise InputError("input.unreadable", f"{found.name}: cut short.")
            size, claimed = video.size, video.num_frames
    return VideoSample(
        name=found.name.removesuffix(found.path.suffix),
        size=size,
        num_frames=claimed,
        fps=float(rate) if rate else None,
        video=found.path,
        source=_source(found.path, root),
    )


def _source(path: Path, root: Path) -> str:
    return path.parent.name if path.parent != root else root.resolve().name


def _said(name: str) -> str:
    """A name that any terminal can show."""
    return name.encode(errors="replace").decode()
