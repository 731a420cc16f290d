"""Writing files whole or not at all: room is checked, then a temporary file takes the final name."""

from __future__ import annotations

import errno
import shutil
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from segma.errors import InputError, StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SPARE = 1 << 20  # bytes of room that stay free, so that a full disk does not stop other programs


def name_of(source: object) -> str:
    """The file name of whatever a picture is given as, "" where it has none."""
    if isinstance(source, str | Path):
        return Path(source).name
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return Path(name).name if isinstance(name, str | Path) else ""


def write_bytes(path: str | Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file, and give back its path.

    Raises InputError `input.exists` where the file is there and `overwrite` is false, StoreError
    `disk.full` or `disk.unwritable`. Whatever happens, there is the old file, the new one, or none.
    """
    path = Path(path)
    check_free(path, overwrite=overwrite)
    check_room(path.parent, len(data))
    with new_file(path, overwrite=overwrite) as stream:
        stream.write(data)
    return path


@contextmanager
def new_file(path: str | Path, *, overwrite: bool = False) -> Generator[BinaryIO, None, None]:
    """A file that is written piece by piece, and takes its name once the block is left without an error.

    Raises as `write_bytes`; of an error inside the block nothing is left.
    """
    path = Path(path)
    check_free(path, overwrite=overwrite)
    part = _part(path)
    with explained_errors(path):
        try:
            with part.open("xb") as stream:
                yield stream
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


@contextmanager
def new_folder(path: str | Path, *, overwrite: bool = False, stale: str = "") -> Generator[Path, None, None]:
    """A folder to write files into, which takes its name once the block is left without an error.

    Its parents are made. Where the folder is there and holds anything, `overwrite` must be true: then the new
    files take their places in it, files that match the pattern `stale` and were not written anew go, and all
    others stay. Raises InputError `input.exists` and StoreError.
    """
    path = Path(path)
    if path.is_file():
        raise InputError("input.exists", f"{path.name} is a file.", "Give the folder another name.")
    if not overwrite and path.is_dir() and any(path.iterdir()):
        raise InputError(
            "input.exists",
            f"{path.name} exists and is not empty.",
            "Use --overwrite to replace what is in it.",
        )
    make_folder(path.parent)
    part = _part(path)
    with explained_errors(path):
        try:
            part.mkdir()
            yield part
            _move_in(part, path, stale)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _move_in(part: Path, path: Path, stale: str) -> None:
    """Give a finished folder its name, or its files their places in the folder that has it."""
    if not path.is_dir():
        part.replace(path)
        return
    new = [entry.relative_to(part) for entry in sorted(part.rglob("*"))]
    kept = set(new)
    for entry in list(path.glob(stale)) if stale else ():
        if entry.is_file() and entry.relative_to(path) not in kept:
            entry.unlink()
            with suppress(OSError):  # a folder that holds anything else stays, and so does `path`
                if entry.parent != path:
                    entry.parent.rmdir()
    for name in new:
        if (part / name).is_dir():
            (path / name).mkdir(exist_ok=True)
        else:
            (part / name).replace(path / name)


def _part(path: Path) -> Path:
    """Where a file or folder grows until it is finished."""
    return path.parent / f".{path.name[:40]}.{uuid.uuid4().hex[:8]}.part"


def write_text(path: str | Path, text: str, *, overwrite: bool = False) -> Path:
    """The same for text, as UTF-8."""
    return write_bytes(path, text.encode(), overwrite=overwrite)


def write_files(folder: Path, contents: Mapping[str, bytes], *, overwrite: bool = False) -> None:
    """Write several files into a folder that is there, by name: all of them, or none that is new.

    Room is checked for all together. Raises as `write_bytes`.
    """
    for name in contents:
        check_free(folder / name, overwrite=overwrite)
    check_room(folder, sum(len(data) for data in contents.values()))
    new: list[Path] = []
    try:
        for name, data in contents.items():
            path = folder / name
            new += [] if path.exists() else [path]
            write_bytes(path, data, overwrite=overwrite)
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise


def make_folder(path: str | Path) -> Path:
    """The folder, made with its parents where it was missing. Raises StoreError `disk.unwritable`."""
    path = Path(path)
    with explained_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises InputError `input.exists` where something of this name is in the way."""
    with explained_errors(path):
        is_folder, is_there = path.is_dir(), path.exists()
    if is_folder:
        raise InputError("input.exists", f"{path.name} is a folder.", "Give the output another name.")
    if is_there and not overwrite:
        raise InputError(
            "input.exists",
            f"{path.name} exists in {path.parent.resolve()}.",
            "Use --overwrite to replace it.",
        )


def check_room(folder: Path, needed: int) -> None:
    """Raises StoreError `disk.full` where fewer than `needed` bytes are left in a folder."""
    try:
        left = shutil.disk_usage(folder).free
    except OSError:
        return  # there is no such folder, or it does not say: writing will tell
    if left < needed + _SPARE:
        raise StoreError(
            "disk.full",
            f"Only {_size(left)} left in {folder}; the file needs about {_size(needed)}. "
            "Nothing was written.",
            "Make room, or write to another disk.",
        )


@contextmanager
def explained_errors(path: Path) -> Generator[None, None, None]:
    """What the system says about writing `path`, as StoreError `disk.full` or `disk.unwritable`."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                "disk.full",
                f"No room left in {path.parent} for {path.name}. Nothing was written.",
                "Make room, or write to another disk.",
            ) from error
        reason = error.strerror or type(error).__name__
        missing = "The folder does not exist." if not path.parent.is_dir() else ""
        raise StoreError(
            "disk.unwritable", f"{path}: cannot be written ({reason.lower()}).", missing
        ) from error


def _size(count: int) -> str:
    """120 MB, 2.4 GB."""
    for unit, value in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= value:
            return f"{count / value:.3g} {unit}"
    return f"{count} bytes"
