"""What comes out of a tracked video, and where: by the names of -o, checked before the work."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from segma.cli.output import Place, is_folder
from segma.cli.progress import Bar
from segma.cli.stopping import Stop
from segma.errors import FormatError, InputError

if TYPE_CHECKING:
    from segma.tracker import Tracker

PROJECT, OVERLAY = "project", "overlay"
ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        PROJECT: ".segma",
        OVERLAY: ".overlay.mp4",
        "png": ".masks",
        "davis": ".davis",
        "ytvos": ".ytvos",
        "sav-png": ".sav-png",
        "sav": ".sav.json",
        "ytvis": ".ytvis.json",
        "coco": ".coco.json",
        "csv": ".csv",
    }
)
"""What follows the video's name beside the source, by kind."""

_FOLDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "png": (),
        "davis": ("Annotations", "480p", "{}"),
        "ytvos": ("Annotations", "{}"),
        "sav-png": ("Annotations_6fps", "{}"),
    }
)
"""Kinds that are folders, and the folder in it that the masks of a video make."""

_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        ".segma": PROJECT,
        ".mp4": OVERLAY,
        ".csv": "csv",
        ".coco.json": "coco",
        ".ytvis.json": "ytvis",
        ".sav.json": "sav",
        "_manual.json": "sav",
        "_auto.json": "sav",
    }
)

Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="By its name: x.segma a project; x.mp4 the video with masks drawn over it; x.csv, x.coco.json, "
        "x.ytvis.json, x.sav.json; a folder palette PNGs. Repeat for several. Without it a project beside "
        "the source, or none with --json.",
    ),
]
OutputKind = Annotated[
    str | None,
    typer.Option(
        "--format",
        "--export",
        "-f",
        metavar="KIND",
        help=f"What is written, where the name of -o does not say: {', '.join(ENDINGS)}.",
    ),
]
ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="FOLDER",
        help="Keep the project here (x.segma); else only an -o x.segma is kept.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One output."""

    path: Path
    kind: str
    overwrite: bool

    def check(self, video: str) -> None:
        """Raises InputError where something is in the way, StoreError where nothing can be written.

        `video` is its name without a suffix.
        """
        if self.kind not in _FOLDERS:
            if self.kind != PROJECT:
                Place(path=self.path, kind=self.kind, overwrite=self.overwrite).check()
            return
        if self.path.is_file():
            raise InputError("input.exists", f"{self.path} is a file.", "Give the folder another name.")
        inner = self.path.joinpath(*(part.format(video) for part in _FOLDERS[self.kind]))
        if not self.overwrite and inner.is_dir() and any(inner.iterdir()):
            raise InputError(
                "input.exists", f"{inner} exists and is not empty.", "Use --overwrite to replace it."
            )

    def write(self, tracker: Tracker, frames: tuple[int, int] | None, stop: Stop, *, quiet: bool) -> str:
        """Write it, of an overlay these frames only, and tell what was lost. Raises SegmaError."""
        if self.kind == PROJECT:
            tracker.save(self.path, overwrite=self.overwrite)
            return ""
        if self.kind != OVERLAY:
            report = tracker.export(self.kind, self.path, overwrite=self.overwrite)
            return "; ".join(report.lost)
        first, last = frames or (0, None)
        with Bar("drawing", quiet=quiet, memory=True) as bar, stop.gently() as event:
            tracker.overlay(
                self.path,
                first=first,
                last=last,
                overwrite=self.overwrite,
                on_progress=bar.update,
                cancel=event,
            )
        return ""


def targets(
    outputs: Sequence[str] | None, kind: str | None, beside: Path, *, overwrite: bool
) -> list[Target]:
    """All outputs. `beside` is the source without its suffix. Raises FormatError, InputError."""
    if kind is not None and kind not in ENDINGS:
        raise FormatError("format.unknown", f'No output kind "{kind}".', f"Kinds: {', '.join(ENDINGS)}.")
    if not outputs:
        if kind is None:
            return []
        path = beside.with_name(beside.name + ENDINGS[kind])
        return [Target(path=path, kind=kind, overwrite=overwrite)]
    by_name = [_kind_of(output) for output in outputs]
    if kind is not None and kind not in by_name and None not in by_name:
        raise InputError("input.value", f"-o {', '.join(outputs)} and --format {kind} contradict each other.")
    return [
        _target(output, named, kind, beside.name, overwrite=overwrite)
        for output, named in zip(outputs, by_name, strict=True)
    ]


def _kind_of(output: str) -> str | None:
    """What a name says; None where it does not say enough."""
    for suffix, kind in _SUFFIXES.items():
        if output.rstrip("/" + os.sep).lower().endswith(suffix) and not (
            kind != PROJECT and Path(output).is_dir()
        ):
            return kind
    return None


def _target(output: str, named: str | None, kind: str | None, stem: str, *, overwrite: bool) -> Target:
    path = Path(output)
    if named is not None:
        return Target(path=path, kind=named, overwrite=overwrite)
    if is_folder(output):
        kind = kind or "png"
        if kind not in _FOLDERS:
            path = path / (stem + ENDINGS[kind])
            path.parent.mkdir(parents=True, exist_ok=True)
        return Target(path=path, kind=kind, overwrite=overwrite)
    if kind is None or kind in (*_FOLDERS, OVERLAY, PROJECT):
        hint = f"Names end in {', '.join(_SUFFIXES)}; a folder gets palette PNGs; or give --format."
        if path.suffix.lower() in (".mov", ".webm", ".mkv", ".avi"):
            hint = 'The video with masks is .mp4; objects with alpha come with "segma cutout".'
        raise FormatError("format.unknown", f"{output}: the name does not say what to write.", hint)
    return Target(path=path, kind=kind, overwrite=overwrite)
