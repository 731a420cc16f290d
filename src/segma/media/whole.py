"""Whether a picture or video file was cut short, by what it says of its own length; nothing is decoded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_RIFF = (b"RIFF", b"RIFX")
_UNKNOWN = 0xFFFFFFFF  # a length that a writer could not go back to fill in
_BOXES = 1000  # of a file; more are not followed


def seems_cut(path: Path) -> bool:
    """Whether a JPEG, PNG, WebP, AVI or MP4 (MOV, AVIF) file lacks its end; False for all other kinds.

    Some whole files lack it as well (a JPEG with other bytes after its end, an index that nobody needs), so
    whoever sorts files out looks closer at these. Raises OSError.
    """
    with path.open("rb") as file:
        start = file.read(16)
        size = file.seek(0, os.SEEK_END)
        if start.startswith(_JPEG):
            return not _ends(file, size, _JPEG_END)
        if start.startswith(_PNG):
            return not _ends(file, size, _PNG_END)
        if start.startswith(_RIFF):
            claimed = int.from_bytes(start[4:8], "little" if start.startswith(b"RIFF") else "big")
            return claimed != _UNKNOWN and claimed + 8 > size
        return start[4:8] == b"ftyp" and _lacks_boxes(file, size)


def _ends(file: BinaryIO, size: int, end: bytes) -> bool:
    file.seek(max(0, size - len(end)))
    return file.read() == end


def _lacks_boxes(file: BinaryIO, size: int) -> bool:
    """Whether the last box at the top goes past the end of the file (ISO/IEC 14496-12, 4.2)."""
    place = 0
    for _ in range(_BOXES):
        file.seek(place)
        head = file.read(16)
        if not head:
            return False
        length = int.from_bytes(head[:4], "big")
        if length == 0:  # to the end of the file
            return False
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or length < 8:
            return True
        place += length
        if place >= size:
            return place > size
    return False
