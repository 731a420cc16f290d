"""What a run learns from and is measured on: folders of pictures and clips, in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from segma.datasets import catalog
from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.samples import ImageSample, VideoSample

# Layouts whose `read` takes `part`.
_PARTED = frozenset({"webdataset", "media_folder"})

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Samples:
    """Pictures and clips, and what was skipped while they were read."""

    pictures: tuple[ImageSample, ...]
    clips: tuple[VideoSample, ...]
    report: ReadReport


@dataclass(frozen=True, slots=True)
class Parts:
    """What is trained on, and what is kept for measuring and choosing; no picture is in both."""

    train: Samples
    kept: Samples


def read_samples(folder: Path, part: str = "all", *, labelled: bool = True) -> Samples:
    """The samples of a folder or file, in any layout of `datasets.catalog`; no pixels are read.

    `labelled`: only those with objects, of layouts with labels. `part` is told to layouts that know it; of
    others everything is read. Raises InputError, FormatError.
    """
    name, report = catalog.detect(folder, labelled=labelled), ReadReport()
    options = {"part": part} if name in _PARTED else {}
    pictures: list[ImageSample] = []
    clips: list[VideoSample] = []
    for sample in catalog.read(name, folder, report=report, **options):
        if labelled and not sample.objects:
            continue
        if isinstance(sample, VideoSample):
            clips.append(sample)
        elif sample.picture is not None:
            pictures.append(sample)
    return Samples(tuple(pictures), tuple(clips), report)


def read_parts(folders: Sequence[Path], part: str, held_out: float | int, *, labelled: bool = True) -> Parts:
    """The samples of several folders, each parted as it says itself, else by `held_out`.

    Data that know a part "tune" keep that. Of others a share of the pictures is kept, at least one of two,
    those with the lowest hash of their names: the same ones whatever else is in the folder, or nearly so.
    Without `labelled`, so is a share of the clips that have pixels. Raises InputError, FormatError.
    """
    if not 0 <= held_out < 1:
        raise InputError("input.value", f"held_out is {held_out}, expected a share from 0 to below 1.")
    found: list[tuple[Samples, Samples]] = []
    for folder in folders:
        train = read_samples(folder, part, labelled=labelled)
        has_kept = part == "train" and catalog.detect(folder, labelled=labelled) in _PARTED
        kept = read_samples(folder, "tune", labelled=labelled) if has_kept else None
        if kept is not None and (kept.pictures or kept.clips):
            found.append((train, kept))
        else:
            found.append(_split(train, float(held_out), with_clips=not labelled))
    return Parts(_joined([train for train, _ in found]), _joined([kept for _, kept in found]))


def _split(samples: Samples, share: float, *, with_clips: bool) -> tuple[Samples, Samples]:
    """The samples to train on, and those that are kept."""
    pictures = _kept([each.file_name for each in samples.pictures], share)
    seen = [number for number, each in enumerate(samples.clips) if each.pictures or each.video]
    places = _kept([samples.clips[number].name for number in seen], share) if with_clips else frozenset[int]()
    clips = frozenset(seen[place] for place in places)
    return (
        Samples(
            _those(samples.pictures, pictures, False), _those(samples.clips, clips, False), samples.report
        ),
        Samples(_those(samples.pictures, pictures, True), _those(samples.clips, clips, True), ReadReport()),
    )


def _kept(names: Sequence[str], share: float) -> frozenset[int]:
    """The places of the names that are kept."""
    order = sorted(range(len(names)), key=lambda place: _hash(names[place]))
    count = round(share * len(order))
    if share and len(order) > 1:
        count = min(max(1, count), len(order) - 1)
    return frozenset(order[:count])


def _those(items: Sequence[_Item], places: Set[int], inside: bool) -> tuple[_Item, ...]:
    return tuple(item for place, item in enumerate(items) if (place in places) == inside)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()


def _joined(parts: Sequence[Samples]) -> Samples:
    report = ReadReport()
    for part in parts:
        report.add_all(part.report)
    return Samples(
        tuple(sample for part in parts for sample in part.pictures),
        tuple(sample for part in parts for sample in part.clips),
        report,
    )
