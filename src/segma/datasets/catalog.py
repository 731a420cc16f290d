"""The data sets by name. Imports nothing; a reader is imported when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from segma.errors import InputError

if TYPE_CHECKING:
    from segma.datasets.report import ReadReport
    from segma.samples import ImageSample, VideoSample

Kind = Literal["images", "videos", "both"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One data set: its module, which has `read`, `matches` and `LAYOUT`, and what its samples are.

    Samples of one that is not `labelled` have no objects.
    """

    module: str
    kind: Kind
    help: str
    labelled: bool = True


DATASETS: Mapping[str, Entry] = MappingProxyType(
    {
        "worlds-val": Entry(
            module="segma.worlds.worlds_val",
            kind="both",
            help="the exam of made scenes: a folder made by python -m segma.worlds.exam make FOLDER",
        ),
        "promptbench": Entry(
            module="segma.datasets.promptbench",
            kind="both",
            help="photos and clips to measure prompts on: index.json, images, videos, masks",
        ),
        "webdataset": Entry(
            module="segma.datasets.webdataset",
            kind="both",
            help="tar shards of pictures beside JSON with masks",
        ),
        "davis": Entry(
            module="segma.datasets.davis",
            kind="videos",
            help="DAVIS: JPEGImages and Annotations by resolution, a palette PNG a frame",
        ),
        "sav": Entry(
            module="segma.datasets.sav",
            kind="videos",
            help="SA-V: a JSON beside each video, or a PNG an object and frame",
        ),
        "youtube_vos": Entry(
            module="segma.datasets.youtube_vos",
            kind="videos",
            help="YouTube-VOS or MOSE: JPEGImages and Annotations, palette PNGs, meta.json",
        ),
        "coco": Entry(
            module="segma.datasets.coco",
            kind="images",
            help="COCO: one JSON for a folder of pictures",
        ),
        "sa1b": Entry(
            module="segma.datasets.sa1b",
            kind="images",
            help="SA-1B: a JSON beside each picture",
        ),
        "folder": Entry(
            module="segma.datasets.folder",
            kind="images",
            help="a folder of pictures with their masks as PNGs beside them or in a folder masks",
        ),
        "media_folder": Entry(
            module="segma.datasets.media_folder",
            kind="both",
            help="pictures and videos without labels, at any depth, as ImageNet, UCF-101 and Kinetics",
            labelled=False,
        ),
    }
)
"""In the order in which `detect` asks them: what is told apart by more comes first."""


def entry(name: str) -> Entry:
    """One data set. Raises InputError `input.value` for a name that is none."""
    if name not in DATASETS:
        raise InputError("input.value", f"No data set {name!r}.", f"Known: {', '.join(DATASETS)}.")
    return DATASETS[name]


def read(
    name: str,
    root: str | Path,
    *,
    report: ReadReport | None = None,
    **options: Any,  # they differ by data set
) -> Iterator[ImageSample | VideoSample]:
    """The samples of a data set in a folder, read as they are asked for.

    `options` are those of the `read` of its module (as `split`, `part`). Raises InputError.
    """
    return import_module(entry(name).module).read(Path(root), report=report, **options)


def detect(root: str | Path, *, labelled: bool = True) -> str:
    """Which data set's layout a folder (or file) has; without `labelled`, also of those without labels.

    Raises InputError `input.not_found` where there is nothing, or nothing known; the hint lists what was
    looked for.
    """
    root = Path(root)
    if not root.exists():
        raise InputError(
            "input.not_found", f"{root.name}: no such folder.", f"Looked in {root.resolve().parent}."
        )
    asked = {name: row for name, row in DATASETS.items() if row.labelled or not labelled}
    for name, row in asked.items():
        if import_module(row.module).matches(root):
            return name
    what = "labelled data" if labelled else "pictures or videos"
    wanted = "; ".join(f"{name} ({row.help})" for name, row in asked.items())
    raise InputError("input.not_found", f"{root}: no known layout of {what}.", f"Looked for: {wanted}.")
