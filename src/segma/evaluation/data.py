"""The labelled pictures or clips of a folder, whatever its layout."""

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


def _split_option(name: str) -> str:
    """What a reader calls its splits. Raises InputError for one that has none."""
    known = signature(import_module(catalog.entry(name).module).read).parameters
    for option in ("split", "part"):
        if option in known:
            return option
    raise InputError("input.value", f"A data set of the layout {name} has no splits.")
