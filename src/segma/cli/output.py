"""Where results go and as what: names of output files, checks before the work, and the writing."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segma.cli.inputs import Batch, Item
from segma.errors import FormatError, InputError, StoreError

if TYPE_CHECKING:
    from segma.results import MaskRecord, Prediction

RLE = "rle"
ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        "mask": ".mask.png",
        "overlay": ".overlay.png",
        "cutout": ".cutout.png",
        "sheet": ".sheet.png",
        "coco": ".coco.json",
        "sa1b": ".masks.json",
        "csv": ".csv",
        "masks": "",
        RLE: ".json",
    }
)
"""What follows the picture's name, by kind; a kind without an ending is a folder."""

Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A file, whose name says what is written; or a folder (an existing one, or a name that ends "
        "in / or has no suffix). Without it a file beside the source, or none with --json.",
    ),
]
Kind = Annotated[
    str | None,
    typer.Option("--format", "-f", metavar="KIND", help=f"What is written: {', '.join(ENDINGS)}."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One output file, or folder where `kind` is masks."""

    path: Path
    kind: str
    overwrite: bool

    def check(self) -> None:
        """Raises InputError where something is in the way, StoreError where nothing can be written.

        The folder of a batch is made here, so that it is known to be writable before any work is done.
        """
        from segma.media.files import check_free

        if self.kind == "masks":
            if not self.overwrite and self.path.is_dir() and any(self.path.iterdir()):
                raise InputError(
                    "input.exists", f"{self.path} exists and is not empty.", "Use --overwrite to replace it."
                )
        else:
            check_free(self.path, overwrite=self.overwrite)
        folder = self.path.parent
        if not folder.is_dir():
            raise StoreError(
                "disk.unwritable", f"{self.path}: cannot be written.", f"There is no folder {folder}."
            )
        if not os.access(folder, os.W_OK):
            raise StoreError(
                "disk.unwritable", f"{self.path}: cannot be written.", f"The folder {folder} is read-only."
            )

    def write(self, prediction: Prediction) -> None:
        """Write a result. Raises InputError, FormatError, StoreError."""
        if self.kind == RLE:
            from segma.formats.sa1b import to_document
            from segma.media.files import write_text

            rows = to_document(prediction.to_sample())["annotations"]
            write_text(self.path, json.dumps(rows), overwrite=self.overwrite)
        else:
            prediction.save(self.path, kind=self.kind, overwrite=self.overwrite)


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """Options that say where results go."""

    output: Output = None
    format: Kind = None
    overwrite: Overwrite = False

    def places(self, batch: Batch, default: str, *, json_only: bool) -> list[Place | None]:
        """The place of every picture's result; None where it goes to standard output alone.

        Raises InputError, and FormatError for a kind that is unknown.
        """
        if self.format is not None and self.format not in ENDINGS:
            raise FormatError(
                "format.unknown", f'No output kind "{self.format}".', f"Kinds: {', '.join(ENDINGS)}."
            )
        if self.output is None and self.format is None and json_only:
            return [None] * len(batch.items)
        if self.output is not None and not is_folder(self.output):
            return [Place(path=one_file(self.output, batch), kind=self._kind(), overwrite=self.overwrite)]
        kind = self.format or default
        paths = result_paths(batch.items, self.output, ENDINGS[kind])
        return [Place(path=path, kind=kind, overwrite=self.overwrite) for path in paths]

    def _kind(self) -> str:
        """The kind of a single output file."""
        from segma.formats.outputs import kind_of

        assert self.output is not None
        if self.format is None and self.output.lower().endswith(".rle.json"):
            return RLE
        return self.format or kind_of(self.output)


def is_folder(output: str) -> bool:
    """Whether -o names a folder: one that exists, a name that ends in /, or one without a suffix."""
    return output.endswith(("/", os.sep)) or Path(output).is_dir() or not Path(output).suffix


def result_paths(items: Sequence[Item], folder: str | None, ending: str) -> list[Path]:
    """The path of every result: `<stem><ending>` in the folder, or beside the source without one.

    Pictures that differ in their suffix alone keep it in the name. The folder is made. Raises InputError
    where there is nothing to be beside, or where two results would still have one name.
    """
    if folder is not None:
        from segma.media.files import make_folder

        make_folder(folder)
    ending = ending or ("" if folder is not None else ".masks")
    homes = [_home(item, folder) for item in items]
    stems = [home / Path(item.file_name).stem for item, home in zip(items, homes, strict=True)]
    counts = Counter(stems)
    paths = [
        home / ((item.file_name if counts[stem] > 1 else stem.name) + ending)
        for item, home, stem in zip(items, homes, stems, strict=True)
    ]
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise InputError(
            "input.value",
            f"Two pictures would be written to {twice[0]}.",
            "Work on their folders one by one.",
        )
    return paths


def mask_line(record: MaskRecord) -> str:
    """What is said of one mask: "predicted IoU 0.96  area 58 213 px  box 362,203,727,548"."""
    box = ",".join(f"{side:.0f}" for side in record.box)
    return f"predicted IoU {record.predicted_iou:.2f}  area {spaced(record.area)} px  box {box}"


def saved_line(place: Place | None, timings: Mapping[str, float], where: str) -> str:
    """The note on an item that is done: what was written and how long the stages took."""
    times = [f"{stage} {1000 * timings[stage]:.0f} ms" for stage in ("encode", "decode") if stage in timings]
    return "  ".join([*([f"saved {place.path} "] if place else []), *times, f"({where})"])


def json_data(item: Item, prediction: Prediction, place: Place | None, model: str) -> dict[str, Any]:  # JSON
    """The JSON line of an item: the prediction, with masks as COCO run lengths."""
    output = None if place is None else str(place.path)
    return {**prediction.to_dict(), "source": item.name, "output": output, "model": model}


def spaced(number: int) -> str:
    """58213 -> "58 213"."""
    return f"{number:,}".replace(",", " ")


def one_file(output: str, batch: Batch) -> Path:
    """-o as the file of the only picture. Raises InputError where there are several."""
    if not batch.is_single:
        raise InputError(
            "input.value",
            f"{len(batch.items)} pictures do not go into the one file {output}.",
            "Name a folder: -o results/ and, for another kind than usual, --format.",
        )
    return Path(output)


def _home(item: Item, folder: str | None) -> Path:
    if folder is not None:
        return Path(folder)
    if item.path is None:
        what = "Standard input" if item.name == "-" else item.name
        raise InputError("input.value", f"{what} has no folder for the result.", "Add -o FILE, or --json.")
    return item.path.parent
