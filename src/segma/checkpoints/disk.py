"""What the disk says, as errors of segma."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from segma.errors import SegmaError, StoreError

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


@contextmanager
def disk_errors(folder: Path) -> Generator[None]:
    """Turn an OSError of the block into StoreError disk.full or disk.unwritable, naming the folder."""
    try:
        yield
    except SegmaError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                "disk.full",
                f"The disk of {folder} is full.",
                "Make room and start again: what was fetched is kept and continued.",
            ) from error
        raise StoreError(
            "disk.unwritable",
            f"{folder} cannot be written ({error.strerror or error}).",
            "Set SEGMA_CACHE to a folder of your own.",
        ) from error


def check_room(folder: Path, size: int | None, present: int) -> None:
    """StoreError disk.full when `size` bytes, of which `present` are there already, do not fit."""
    if size is None:
        return
    with disk_errors(folder):
        free = shutil.disk_usage(folder).free
    if size - present > free:
        raise StoreError(
            "disk.full",
            f"Only {readable_bytes(free)} left in {folder}; "
            f"the download needs {readable_bytes(size - present)}. Nothing was written.",
            "Make room, or set SEGMA_CACHE to a folder on another disk.",
        )


def readable_bytes(count: int) -> str:
    """A number of bytes for people: "120 MB", "2.4 GB"."""
    if count < 1_000_000:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 1_000_000_000 else f"{count / 1e9:.1f} GB"
