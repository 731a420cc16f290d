"""The pictures or clips of a folder, whatever its layout: labelled ones, or all."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

from segma.datasets import catalog
from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.samples import ImageSample, VideoSample

_Sample = TypeVar("_Sample", ImageSample, VideoSample)


def labelled(
    path: Path,
    kind: type[_Sample],
    *,
    dataset: str | None = None,
    split: str | None = None,
    report: ReadReport | None = None,
) -> list[_Sample]:
    """The samples of a kind (pictures or clips) that have objects; their pixels are not read.

    `dataset` is a row of `datasets.catalog`, which is found out without; `split` is a part of it, by the name
    that its reader has for it. What the reader skips is counted in `report`. Raises InputError where there is
    nothing of the kind, FormatError for broken labels.
    """
    name = catalog.detect(path) if dataset is None else dataset
    report = ReadReport() if report is None else report
    options = {} if split is None else {_split_option(name): split}
    found: list[Any] = list(catalog.read(name, path, report=report, **options))  # of both kinds
    chosen = [each for each in found if isinstance(each, kind) and each.objects]
    if not chosen:
        what = "pictures" if kind is ImageSample else "clips"
        hint = report.summary() if report.skipped else "Name another folder, or its layout."
        raise InputError("input.not_found", f"{path}: there are no {what} with masks in it.", hint)
    return chosen


def unlabelled(
    path: Path,
    *,
    dataset: str | None = None,
    split: str | None = None,
    to_fit: bool = False,
    report: ReadReport | None = None,
) -> list[ImageSample | VideoSample]:
    """The pictures and clips of a folder in any layout, with labels or without; their pixels are not read.

    `to_fit`: only what the data says is for training, where it says so. Raises as `labelled`.
    """
    name = catalog.detect(path, labelled=False) if dataset is None else dataset
    report = ReadReport() if report is None else report
    options = {} if split is None else {_split_option(name): split}
    if to_fit and split is None and "part" in _options(name):
        options = {"part": "train"}
    found = list(catalog.read(name, path, report=report, **options))
    if not found:
        hint = report.summary() if report.skipped else "Name another folder, or its layout."
        raise InputError("input.not_found", f"{path}: there are no pictures or clips in it.", hint)
    return found


def _options(name: str) -> frozenset[str]:
    """What the reader of a data set can be told."""
    return frozenset(signature(import_module(catalog.entry(name).module).read).parameters)


def _split_option(name: str) -> str:
    """What a reader calls its splits. Raises InputError for one that has none."""
    known = _options(name)
    for option in ("split", "part"):
        if option in known:
            return option
    raise InputError("input.value", f"A data set of the layout {name} has no splits.")
