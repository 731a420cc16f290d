"""SOURCE as a list of pictures: files, folders, globs, standard input, addresses."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from segma.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray

STANDARD_INPUT = "-"
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv"})
_OURS = (".mask.png", ".cutout.png", ".cutout.webp", ".2x.png", ".4x.png", *(f".{kind}{end}"
         for kind in ("overlay", "sheet") for end in (".png", ".jpg", ".jpeg", ".webp")))  # fmt: skip
_VIDEO_HINT = "Of a video: segma track, or segma cutout."
_LIVE_HINT = "Of a live video: segma stream."

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Picture files, folders, globs, - (a picture on standard input), or http addresses.",
        show_default=False,
    ),
]
AllowNetwork = Annotated[
    bool, typer.Option("--allow-network", help="Read pictures from http and https addresses.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One picture to work on. `name` is the path or address as the user knows it, or -."""

    name: str
    allow_network: bool = False

    @property
    def path(self) -> Path | None:
        """Its file, if it is one."""
        return None if self.name == STANDARD_INPUT or "://" in self.name else Path(self.name)

    @property
    def file_name(self) -> str:
        """The last part of the path or address; "stdin" for standard input."""
        if self.path is not None:
            return self.path.name
        if self.name == STANDARD_INPUT:
            return "stdin"
        return unquote(urlsplit(self.name).path).rpartition("/")[2] or "image"

    def read(self) -> UInt8[ndarray, "height width 3"]:
        """The pixels. Raises InputError."""
        from segma.media.image import read_image

        return read_image(self._source())

    def read_with_alpha(
        self,
    ) -> tuple[UInt8[ndarray, "height width 3"], UInt8[ndarray, "height width"] | None]:
        """The pixels, and how opaque they are; None where all are opaque. Raises InputError."""
        from segma.media.alpha import read_alpha
        from segma.media.image import read_image

        source = self._source()
        return read_image(source), read_alpha(source)

    def _source(self) -> Path | bytes:
        """The file, or the bytes of what is none. Raises InputError."""
        from segma.media.network import fetch

        path = self.path
        if path is None:
            is_piped = self.name == STANDARD_INPUT
            return sys.stdin.buffer.read() if is_piped else fetch(self.name, allowed=self.allow_network)
        if is_video_file(self.name):
            raise InputError("input.unreadable", f"{path.name} is a video.", _VIDEO_HINT)
        return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """All pictures of a run. `is_single` when one file, address or standard input was named."""

    items: tuple[Item, ...]
    is_single: bool


def batch_of(sources: Sequence[str], *, allow_network: bool = False) -> Batch:
    """The pictures that the sources name; a file that is missing is found out when it is read.

    Raises InputError for empty folders and globs, cameras, and addresses without permission.
    """
    items: list[Item] = []
    for source in sources:
        items += _items_of(source, allow_network)
    if sum(item.name == STANDARD_INPUT for item in items) > 1:
        raise InputError("input.value", "Standard input holds one picture.", "Name - once.")
    return Batch(items=tuple(items), is_single=len(sources) == 1 and _is_one(sources[0]))


def is_video_file(source: str) -> bool:
    """Whether a source is a file named as videos are."""
    path = Path(source)
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def _items_of(source: str, allow_network: bool) -> list[Item]:
    if source == STANDARD_INPUT:
        return [Item(name=source)]
    if "://" in source or source.startswith("cam:"):
        _check_address(source, allow_network)
        return [Item(name=source, allow_network=allow_network)]
    if _is_one(source):
        return [Item(name=source)]
    from segma.media.image import list_images

    pictures = [path for path in list_images(source) if not path.name.lower().endswith(_OURS)]
    if not pictures:
        raise InputError(
            "input.not_found",
            f"{source}: only pictures that segma itself has written.",
            "Name such a file alone to use it.",
        )
    return [Item(name=str(path)) for path in pictures]


def _is_one(source: str) -> bool:
    """Whether a source is one picture: no folder, and no glob (a file may have a name like one)."""
    from glob import has_magic

    path = Path(source)
    return not path.is_dir() and ("://" in source or path.is_file() or not has_magic(source))


def _check_address(source: str, allow_network: bool) -> None:
    """Cameras and streams are video; other addresses need permission."""
    scheme = source.partition(":")[0].lower()
    if scheme in ("cam", "rtsp", "rtsps", "rtmp"):
        raise InputError("input.value", f"{source} is a live video; this verb takes pictures.", _LIVE_HINT)
    if scheme not in ("http", "https"):
        raise InputError("input.value", f"{source}: only http and https addresses can be read.")
    if not allow_network:
        raise InputError(
            "input.network", f"{source} is an address.", "Add --allow-network, or download the file first."
        )
