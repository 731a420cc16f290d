"""Writing files whole or not at all: room is checked, then a temporary file takes the final name."""

from __future__ import annotations

import errno
import shutil
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from segma.errors import InputError, StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SPARE = 1 << 20  # bytes of room that stay free, so that a full disk does not stop other programs


def write_bytes(path: str | Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file, and give back its path.

    Raises InputError `input.exists` where the file is there and `overwrite` is false, StoreError
    `disk.full` or `disk.unwritable`. Whatever happens, there is the old file, the new one, or none.
    """
    path = Path(path)
    check_free(path, overwrite=overwrite)
    check_room(path.parent, len(data))
    with _explained(path):
        part = path.parent / f".{path.name[:40]}.{uuid.uuid4().hex[:8]}.part"
        try:
            with part.open("xb") as stream:
                stream.write(data)
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    return path


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
    with _explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises InputError `input.exists` where something of this name is in the way."""
    with _explained(path):
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
def _explained(path: Path) -> Generator[None, None, None]:
    """What the system says, as StoreError."""
    try:
        yield
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
