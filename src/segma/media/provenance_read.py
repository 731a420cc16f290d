"""The mark in a file, found again: nothing is decoded, and what a hostile file says stays small.

XMP is XML: packets above a size, and those that define entities, are not parsed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from segma.errors import InputError
from segma.media.container import open_file
from segma.media.credentials import read_credentials
from segma.media.image import not_found, picture_size
from segma.media.provenance import (
    DESCRIPTION,
    MODEL,
    RDF,
    SOFTWARE,
    SOURCE_TYPE,
    Mark,
    mark_of_comment,
    mark_of_words,
)

MAX_XMP_BYTES = 1 << 20
"""Longer packets are not parsed."""
_MAX_COMMENT_LETTERS = 10_000
_VERDICTS: Mapping[str, str] = MappingProxyType(
    {
        "Trusted": "unchanged since",
        "Valid": "unchanged since, nobody vouches for the signer",
        "Invalid": "changed since",
    }
)

_READERS: tuple[tuple[bytes, type[ImageFile]], ...] = (  # by a file's first bytes
    (b"\x89PNG", PngImageFile),
    (b"\xff\xd8\xff", JpegImageFile),
    (b"RIFF....WEBP", WebPImageFile),
    (b"GIF8", GifImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundMark:
    """A mark, and where in the file it stood: `stored` is "XMP", "comment", or "C2PA, ..." with a verdict."""

    mark: Mark
    stored: str


def read_mark(path: str | Path) -> Mark | None:
    """The mark that a picture or video carries, None where it has none. Raises InputError."""
    found = find_mark(path)
    return None if found is None else found.mark


def find_mark(path: str | Path) -> FoundMark | None:
    """The same, with the place where it was found.

    Marks of other programs are understood if they use the IPTC's words. Metadata that is broken, larger than
    `MAX_XMP_BYTES` or hostile counts as none, with a warning in the log. Raises InputError where the file is
    missing, or neither a picture nor a video.
    """
    path = Path(path)
    start = _start(path)
    signed = read_credentials(path)
    if signed is not None:
        verdict = _VERDICTS.get(signed.state, signed.state)
        return FoundMark(mark=signed.mark, stored=f'C2PA, signed by "{signed.signer}", {verdict}')
    for prefix, reader in _READERS:
        if _begins(start, prefix):
            return _of_tags(_tags(path, reader), path.name)
    try:
        picture_size(path)
    except InputError:
        return _of_video(path)
    return None  # a picture of a kind that holds no mark


def xmp_properties(packet: bytes) -> dict[str, str]:
    """The texts of a packet by "namespace name", of simple properties and of the items of lists together.

    Raises ValueError for what is no XML, too large, or defines entities.
    """
    if len(packet) > MAX_XMP_BYTES:
        raise ValueError(f"{len(packet):,} bytes, at most {MAX_XMP_BYTES:,} are read")
    found: dict[str, list[str]] = {}
    owners: list[str] = [""]  # of the text at hand: the innermost element that RDF does not define

    def begin(name: str, attributes: dict[str, str]) -> None:
        owner = owners[-1] if name.startswith(f"{RDF} ") else name
        owners.append(owner)
        for key, value in attributes.items():
            found.setdefault(owner if key == f"{RDF} resource" else key, []).append(value)

    def end(name: str) -> None:
        owners.pop()

    def text(letters: str) -> None:
        found.setdefault(owners[-1], []).append(letters)

    parser = ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, _refuse
    try:
        parser.Parse(packet.strip(b"\0 \r\n\t"), True)
    except (ExpatError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise ValueError(f"no XML: {error}") from error
    return {name: "".join(texts).strip() for name, texts in found.items()}


def _refuse(*_: object) -> None:
    raise ValueError("a document type, which may define entities without end")


def _start(path: Path) -> bytes:
    """The first bytes. Raises InputError."""
    try:
        if path.is_dir():
            raise InputError("input.unreadable", f"{path.name or path} is a folder.", "Name a file in it.")
        with path.open("rb") as stream:
            start = stream.read(16)
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("input.unreadable", f"{path.name}: cannot be opened ({error}).") from error
    if not start:
        raise InputError("input.unreadable", f"{path.name}: empty, 0 bytes.")
    return start


def _begins(start: bytes, prefix: bytes) -> bool:
    """Whether these bytes begin so; a dot stands for any byte."""
    return len(start) >= len(prefix) and all(
        wanted in (found, ord(".")) for found, wanted in zip(start, prefix, strict=False)
    )


def _tags(path: Path, reader: type[ImageFile]) -> dict[Any, Any]:  # whatever Pillow finds
    """What Pillow reads of a picture's header: formats are asked directly, as `media.image` does."""
    try:
        with path.open("rb") as stream:
            return dict(reader(stream, path.name).info)
    except Exception as error:  # a hostile file may raise anything: it is no picture
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError("input.unreadable", f"{path.name}: truncated or broken ({reason}).") from error


def _of_tags(tags: Mapping[Any, Any], name: str) -> FoundMark | None:  # of _tags
    """The mark in a picture's XMP, or in its comment."""
    packet = tags.get("xmp")
    packet = packet.encode() if isinstance(packet, str) else packet
    if isinstance(packet, bytes):
        try:
            words = xmp_properties(packet)
        except ValueError as error:
            _log.warning("%s: its XMP is not read (%s)", name, error)
            words = {}
        mark = mark_of_words(
            words.get(SOFTWARE, ""),
            words.get(SOURCE_TYPE, ""),
            words.get(MODEL, ""),
            words.get(DESCRIPTION, ""),
        )
        if mark is not None:
            return FoundMark(mark=mark, stored="XMP")
    return _of_comment(tags.get("comment"))


def _of_video(path: Path) -> FoundMark | None:
    """The mark in a container's comment."""
    try:
        container = open_file(path, path.name)
    except InputError as error:
        message = f"{path.name}: neither a picture nor a video that can be read."
        raise InputError(error.code, message) from error
    with container:
        tags = {name.lower(): text for name, text in container.metadata.items()}
    return _of_comment(tags.get("comment"))


def _of_comment(comment: object) -> FoundMark | None:
    if isinstance(comment, bytes):
        comment = comment[:_MAX_COMMENT_LETTERS].decode("utf-8", "replace")
    if not isinstance(comment, str) or len(comment) > _MAX_COMMENT_LETTERS:
        return None
    mark = mark_of_comment(comment)
    return None if mark is None else FoundMark(mark=mark, stored="comment")
