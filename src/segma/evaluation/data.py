"""The labelled pictures or clips of a folder, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from segma.datasets import promptbench, webdataset
from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.media.image import not_found
from segma.samples import ImageSample, VideoSample

_Sample = TypeVar("_Sample", ImageSample, VideoSample)

_READERS: Mapping[str, Callable[..., Iterable[ImageSample | VideoSample]]] = MappingProxyType(
    {"promptbench": promptbench.read, "webdataset": webdataset.read}
)


def labelled(
    path: Path, kind: type[_Sample], *, dataset: str | None = None, report: ReadReport | None = None
) -> list[_Sample]:
    """The samples of a kind (pictures or clips) that have objects; their pixels are not read.

    `dataset` is the name of the layout, which is found out without. What the reader skips is counted in
    `report`. Raises InputError where there is nothing of the kind, FormatError for broken labels.
    """
    if not path.exists():
        raise not_found(path)
    report = ReadReport() if report is None else report
    found: list[Any] = list(_reader(path, dataset)(path, report=report))  # of both kinds
    chosen = [each for each in found if isinstance(each, kind) and each.objects]
    if not chosen:
        what = "pictures" if kind is ImageSample else "clips"
        hint = report.summary() if report.skipped else "Name another folder, or its layout with --dataset."
        raise InputError("input.not_found", f"{path}: there are no {what} with masks in it.", hint)
    return chosen


def _reader(path: Path, dataset: str | None) -> Callable[..., Iterable[ImageSample | VideoSample]]:
    if dataset is None:
        dataset = "promptbench" if promptbench.is_here(path) else "webdataset"
    if dataset not in _READERS:
        raise InputError(
            "input.value", f'There is no layout "{dataset}".', f"Layouts: {', '.join(_READERS)}."
        )
    return _READERS[dataset]
