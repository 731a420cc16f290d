"""The mark on what was generated or edited: what it says, and how pictures and videos carry it.

Pictures carry an XMP packet with the words of the IPTC (Photo Metadata Standard 2025.1: digital source type
and AI system used) and the name of the program; videos a line in their comment. A mark is a claim: whoever
has the file can take it out or write another one. `provenance_read` finds it again.
"""

from __future__ import annotations

import logging
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any, Literal, cast

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from segma import __version__
from segma.errors import InputError

Action = Literal["generated", "edited"]

_TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "generated": f"{_TERMS}trainedAlgorithmicMedia",
        "edited": f"{_TERMS}compositeWithTrainedAlgorithmicMedia",
    }
)
"""The terms of the IPTC's vocabulary, by action."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DESCRIPTION = "http://purl.org/dc/elements/1.1/ description"
SOFTWARE = "http://ns.adobe.com/xap/1.0/ CreatorTool"
SOURCE_TYPE = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ DigitalSourceType"
MODEL = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ AISystemUsed"

_LONGEST = 200
_LONGEST_DESCRIPTION = 2000
_XMP_TIFF_TAG = 700
_TEXT_CHUNK = "XML:com.adobe.xmp"
_PNG_HEADER_BYTES = 33  # the signature and the chunk IHDR, which stands first
_LINE = re.compile(
    r"(Generated|Edited) with ([^;]+)(?:; model: ([^;]+))?; source type: (\S+?)(?:; about: (.+))?"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What made a file, or changed it. Texts become one printable line; a semicolon in a name a comma.

    `model` is "" where no model took part; `description` says more, for people. Raises InputError where
    there is no tool.
    """

    action: Action
    model: str = ""
    tool: str = "segma"
    version: str = __version__
    description: str = ""

    def __post_init__(self) -> None:
        for name in ("model", "tool", "version"):
            text = one_line(getattr(self, name)).replace(";", ",")
            object.__setattr__(self, name, text)
        object.__setattr__(self, "description", one_line(self.description, _LONGEST_DESCRIPTION))
        if not self.tool:
            raise InputError("input.value", "A mark without a tool says nothing.", "Name the tool.")

    @property
    def software(self) -> str:
        """The tool with its version.

        >>> Mark(action="edited", version="1.0").software
        'segma 1.0'
        """
        return f"{self.tool} {self.version}".strip()

    def __str__(self) -> str:
        """For people: "edited with segma 1.0, model default"."""
        model = f", model {self.model}" if self.model else ""
        about = f" ({self.description})" if self.description else ""
        return f"{self.action} with {self.software}{model}{about}"


def container_metadata(mark: Mark) -> dict[str, str]:
    """The tags of a video file: FFmpeg's names, which MP4, MOV, WebM, Matroska and AVI all keep.

    >>> container_metadata(Mark(action="edited", version="1.0", model="default"))["comment"]
    'Edited with segma 1.0; model: default; source type: http://cv.iptc.org/newscodes/digitalsourcetype/comp...
    """
    return {"comment": comment_of(mark)}


def picture_metadata(mark: Mark, kind: str) -> dict[str, Any]:  # of Pillow's own kinds
    """The options of Pillow's `Image.save` for one of its formats; none for a format that holds no mark.

    PNG, JPEG, WebP and TIFF get XMP and the name of the program, GIF a comment.
    """
    if kind == "PNG":
        texts = PngInfo()
        texts.add_itxt(_TEXT_CHUNK, xmp_packet(mark).decode())
        texts.add_text("Software", _ascii(mark.software))
        return {"pnginfo": texts}
    if kind in ("JPEG", "WEBP"):
        exif = Image.Exif()
        exif[ExifTags.Base.Software] = _ascii(mark.software)
        return {"xmp": xmp_packet(mark), "exif": exif}
    if kind == "TIFF":
        return {"tiffinfo": {_XMP_TIFF_TAG: xmp_packet(mark), ExifTags.Base.Software: _ascii(mark.software)}}
    if kind == "GIF":
        return {"comment": comment_of(mark).encode()}
    _log.warning("%s files hold no mark of what made them; PNG, JPEG, WebP and TIFF do", kind)
    return {}


def marked_png(data: bytes, mark: Mark) -> bytes:
    """The bytes of a PNG file with the mark in it; its pixels are not touched.

    Raises InputError for what is no PNG.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise InputError("input.unreadable", "These bytes are no PNG.")
    text = _TEXT_CHUNK.encode() + b"\0\0\0\0\0" + xmp_packet(mark)  # not compressed, no language
    chunks = _chunk(b"iTXt", text) + _chunk(b"tEXt", b"Software\0" + _ascii(mark.software).encode())
    return data[:_PNG_HEADER_BYTES] + chunks + data[_PNG_HEADER_BYTES:]


def xmp_packet(mark: Mark) -> bytes:
    """The mark as an XMP packet, UTF-8."""
    model = f' Iptc4xmpExt:AISystemUsed="{escape(mark.model)}"' if mark.model else ""
    about = (
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(mark.description)}</rdf:li></rdf:Alt>'
        "</dc:description>"
        if mark.description
        else ""
    )
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about=""'
        f"{_namespaces()}"
        f' xmp:CreatorTool="{escape(mark.software)}"'
        f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPES[mark.action]}"{model}>{about}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def comment_of(mark: Mark) -> str:
    """The mark as one line of text, for what holds no XMP."""
    model = f"; model: {mark.model}" if mark.model else ""
    about = f"; about: {mark.description}" if mark.description else ""
    kind = SOURCE_TYPES[mark.action]
    return f"{mark.action.capitalize()} with {mark.software}{model}; source type: {kind}{about}"


def mark_of_comment(text: str) -> Mark | None:
    """The mark that such a line is, None for any other text."""
    found = _LINE.fullmatch(text.strip())
    return None if found is None else mark_of_words(found[2], found[4], found[3] or "", found[5] or "")


def mark_of_words(software: str, source_type: str, model: str = "", description: str = "") -> Mark | None:
    """The mark that says these words; None where the source type is not that of a generator or an edit.

    The program may be any: its version is told apart where it is segma.
    """
    terms = {uri.partition(":")[2]: action for action, uri in SOURCE_TYPES.items()}
    action = terms.get(source_type.strip().partition(":")[2])  # http or https
    if action is None:
        return None
    name, _, version = software.strip().partition(" ")
    ours = name == "segma" and " " not in version
    return Mark(
        action=cast("Action", action),
        tool=name if ours else one_line(software) or "an unnamed program",
        version=version if ours else "",
        model=model,
        description=description,
    )


def _namespaces() -> str:
    """The declarations of the prefixes in a packet."""
    homes = {"dc": DESCRIPTION, "xmp": SOFTWARE, "Iptc4xmpExt": SOURCE_TYPE}
    return "".join(f' xmlns:{prefix}="{name.partition(" ")[0]}"' for prefix, name in homes.items())


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _ascii(text: str) -> str:
    """The text in ASCII, as EXIF wants it."""
    return text.encode("ascii", "replace").decode()


def one_line(text: str, longest: int = _LONGEST) -> str:
    """What can be printed, on one line: half characters of broken file names go as well."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:longest].strip()
