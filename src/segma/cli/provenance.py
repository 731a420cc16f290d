"""`segma provenance`: what made a file, as its metadata say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from segma.cli.command import command
from segma.cli.console import Console
from segma.cli.exits import DONE, SOME_FAILED
from segma.cli.inputs import VIDEO_SUFFIXES
from segma.errors import InputError, SegmaError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Pictures and videos, or folders of them.", show_default=False),
]


@app.command()
@command
def provenance(files: Files, console: Console) -> int:
    """What made a file, or edited it: the mark in its metadata.

    One line a file: generated or edited, with which program and model, and how the mark is stored; or "no
    mark". A mark is only a claim: metadata can be removed, and anyone can write them.
    """
    codes: list[int] = []
    for name in files:
        try:
            paths = _files_of(name)
        except SegmaError as error:
            codes.append(console.failure(error, name))
            continue
        codes += [_tell(path, console) for path in paths]
    if all(code == DONE for code in codes):
        return DONE
    return SOME_FAILED if DONE in codes else codes[0]


def _tell(path: Path, console: Console) -> int:
    """Print the line of a file, and give its exit code."""
    from segma.media.provenance_read import find_mark

    try:
        found = find_mark(path)
    except SegmaError as error:
        return console.failure(error, str(path))
    data = {
        "source": str(path),
        "mark": None if found is None else asdict(found.mark),
        "stored": None if found is None else found.stored,
    }
    text = "no mark" if found is None else f"{found.mark}   ({found.stored})"
    console.result(f"{path}  {text}", data)
    return DONE


def _files_of(name: str) -> list[Path]:
    """The file, or the pictures and videos in a folder in the order of their names. Raises InputError."""
    from segma.media.image import SUFFIXES

    path = Path(name)
    if not path.is_dir():
        return [path]
    known = {*SUFFIXES, *VIDEO_SUFFIXES}
    found = sorted(each for each in path.iterdir() if each.suffix.lower() in known and each.is_file())
    if not found:
        raise InputError("input.not_found", f"{name}: no pictures or videos there.", "Name a file.")
    return found
