"""Files of codes (`.codes`): pictures and clips as a visual tokenizer gives them, in as few bits as it needs.

A file is a stream, so that it can be written while a clip is encoded and read while it is decoded:

    16 bytes   MAGIC
    4 + n + 4  length of the header (little endian, as all numbers), the header (JSON), its checksum
    1 + m + 4  for each group: b"G", its codes (row by row, `bits` each, padded to bytes) or latents
               (float16), and the CRC-32 of all groups so far
    1 + 8 + 4  b"E", the number of frames, and the CRC-32 of all groups and this number

A file without its last record was cut short.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
from jaxtyping import Float, Int, Num, UInt8
from numpy import ndarray

from segma.errors import FormatError, InputError
from segma.media.files import new_file
from segma.media.image import MAX_PIXELS, not_found

SUFFIX = ".codes"
MAGIC = b"\x89segma-codes\r\n\x1a\n"
_VERSION = 1
_GROUP, _END = b"G", b"E"
_MOST_HEADER_BYTES = 1 << 16
_MOST_GROUP_BYTES = 1 << 28
_MOST_CODES, _MOST_CHANNELS, _MOST_PATCH, _MOST_CHUNK, _MOST_NAME = 1 << 24, 4096, 256, 1 << 20, 300
_LATENT_BITS = 16
_READ_BYTES = 1 << 20
_ANEW = "Encode the source again, or fetch the file again."

Values = Num[ndarray, "rows columns ..."]
"""Of one group: codes (rows, columns), or latents (rows, columns, channels)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeHeader:
    """What codes are of. Raises FormatError format.bad for numbers that make no sense.

    `size` (height, width) is that of the pictures, `grid` (rows, columns) that of their codes, which also
    cover what was padded right and below. `fps` is None for a single picture. `num_codes` is 0 for latents,
    `channels` is 0 for codes. Frames come in groups: the first of a clip (or of each `chunk` of so many
    frames, where that is not 0) alone, then `temporal_patch` at a time. `weights` is a hash of the model's.
    """

    size: tuple[int, int]
    grid: tuple[int, int]
    fps: float | int | None = None
    num_codes: int
    channels: int = 0
    patch: int
    temporal_patch: int
    chunk: int = 0
    model: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        """Check the numbers, and all together."""
        for name, least, most in (
            ("num_codes", 0, _MOST_CODES),
            ("channels", 0, _MOST_CHANNELS),
            ("patch", 1, _MOST_PATCH),
            ("temporal_patch", 1, _MOST_PATCH),
            ("chunk", 0, _MOST_CHUNK),
        ):
            _check_whole(name, getattr(self, name), least, most)
        for side, cells in zip(self.size, self.grid, strict=True):
            _check_whole("a side", side, 1, MAX_PIXELS)
            _check_whole("a side of the grid", cells, -(-side // self.patch), MAX_PIXELS)
        if bool(self.num_codes) == bool(self.channels):
            _refuse(f"{self.num_codes} codes and {self.channels} channels; one of them is 0")
        if self.chunk % self.temporal_patch != (1 % self.temporal_patch if self.chunk else 0):
            _refuse(f"chunk {self.chunk} is not 1 and groups of {self.temporal_patch} frames")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            _refuse(f"{self.fps} frames a second")
        if max(len(self.model), len(self.weights)) > _MOST_NAME:
            _refuse("the model's name is too long")
        if self.size[0] * self.size[1] > MAX_PIXELS or self.group_bytes > _MOST_GROUP_BYTES:
            height, width = self.size
            _refuse(
                f"{width}x{height} pixels in {self.grid[1]}x{self.grid[0]} codes are more than is accepted"
            )

    @property
    def bits(self) -> int:
        """Bits of one code, or of the channels of one latent."""
        return self.channels * _LATENT_BITS if self.channels else max(1, (self.num_codes - 1).bit_length())

    @property
    def group_bytes(self) -> int:
        """Bytes of one group in a file, without its checksum."""
        return -(-self.grid[0] * self.grid[1] * self.bits // 8)

    @property
    def group_shape(self) -> tuple[int, ...]:
        """Of the array of one group."""
        return (*self.grid, self.channels) if self.channels else self.grid

    def frames_of(self, group: int) -> int:
        """Frames that a group stands for, padding included."""
        in_chunk = group % self.groups_of_chunk if self.chunk else group
        return self.temporal_patch if in_chunk else 1

    def num_groups(self, frames: int) -> int:
        """Groups of so many frames."""
        if not self.chunk:
            return self._groups(frames)
        whole, rest = divmod(frames, self.chunk)
        return whole * self._groups(self.chunk) + (self._groups(rest) if rest else 0)

    @property
    def groups_of_chunk(self) -> int:
        """Groups that are encoded and decoded together, without the others; 0: all, one after the other."""
        return self._groups(self.chunk) if self.chunk else 0

    def bits_per_pixel(self, frames: int) -> float:
        """Bits of the codes of so many frames (padding included, headers not) for each of their pixels."""
        cells = self.num_groups(frames) * self.grid[0] * self.grid[1]
        return cells * self.bits / (frames * self.size[0] * self.size[1])

    def check_group(self, values: Values) -> None:
        """Raises FormatError format.bad where values are none of such a group."""
        kind = "latents" if self.channels else "codes"
        if values.shape != self.group_shape:
            _refuse(f"a group of {kind} has shape {values.shape}, not {self.group_shape}")
        if values.dtype.kind not in ("f" if self.channels else "iu"):
            _refuse(f"{kind} cannot be {values.dtype}")
        if self.channels and not np.isfinite(values).all():
            _refuse("a latent is not finite")
        if self.num_codes and (values.min() < 0 or values.max() >= self.num_codes):
            wrong = int(values.min() if values.min() < 0 else values.max())
            _refuse(f"code {wrong} is outside the codebook of {self.num_codes}")

    def check_count(self, frames: int) -> None:
        """Raises FormatError format.bad for so many frames of a single picture."""
        if self.fps is None and frames > 1:
            _refuse(f"{frames} frames, and no number of them a second")

    def _groups(self, frames: int) -> int:
        return 1 + -(-(frames - 1) // self.temporal_patch)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CodeGroup:
    """Codes (rows, columns) or latents (rows, columns, channels) of a group of frames.

    `num_frames` counts those that were there; the last group of a clip may stand for fewer than it could.
    """

    values: Values
    num_frames: int


class CodeWriter:
    """Writes the records of a file to a binary stream: `write` for each group, then `finish`.

    Raises FormatError for groups that do not fit the header, or none at all.
    """

    def __init__(self, stream: BufferedIOBase, header: CodeHeader) -> None:
        self.header = header
        self.num_groups = 0
        self.num_frames = 0
        self._stream = stream
        self._sum = 0
        text = json.dumps({"version": _VERSION, **asdict(header)}, allow_nan=False).encode()
        stream.write(MAGIC + struct.pack("<I", len(text)) + text + struct.pack("<I", zlib.crc32(text)))

    def write(self, group: CodeGroup) -> None:
        """Add the next group."""
        self.header.check_group(group.values)
        room = self.header.frames_of(self.num_groups)
        if not 1 <= group.num_frames <= room:
            _refuse(f"group {self.num_groups} has {group.num_frames} frames, not 1 to {room}")
        if self.header.num_groups(self.num_frames + 1) != self.num_groups + 1:
            _refuse(f"group {self.num_groups} follows one that was the last, as it was not full")
        self.header.check_count(self.num_frames + group.num_frames)
        data = _packed(group.values, self.header)
        self._sum = zlib.crc32(data, self._sum)
        self._stream.write(_GROUP + data + struct.pack("<I", self._sum))
        self.num_groups += 1
        self.num_frames += group.num_frames

    def finish(self) -> None:
        """Write the end, by which a reader knows that nothing is missing."""
        if not self.num_groups:
            _refuse("no frames")
        count = struct.pack("<Q", self.num_frames)
        self._stream.write(_END + count + struct.pack("<I", zlib.crc32(count, self._sum)))


class CodeReader:
    """Reads a file of codes from a binary stream: `header` at once, then the groups, once, in their order.

    Iterating raises FormatError format.bad at the first thing that is wrong; what was given before is right.
    `num_frames` counts the frames of the groups given so far.
    """

    def __init__(self, stream: BufferedIOBase, name: str = "codes") -> None:
        self.name = name
        self.num_groups = 0
        self.num_frames = 0
        self._stream = stream
        self._sum = 0
        with _of_file(name):
            self.header = self._read_header()

    def __iter__(self) -> Iterator[CodeGroup]:
        held: Values | None = None
        with _of_file(self.name):
            while (data := self._next()) is not None:
                if held is not None:
                    yield self._given(held, self.header.frames_of(self.num_groups))
                held = _unpacked(data, self.header)
                self.header.check_group(held)
            yield self._last(held)

    def _read_header(self) -> CodeHeader:
        if self._stream.read(len(MAGIC)) != MAGIC:
            _refuse("this is no file of codes", "Write one with segma tokens encode.")
        (length,) = struct.unpack("<I", self._exactly(4))
        if length > _MOST_HEADER_BYTES:
            _refuse(f"a header of {length} bytes, at most {_MOST_HEADER_BYTES} are accepted")
        text = self._exactly(length)
        self._check_sum(zlib.crc32(text), "header")
        return _header_of(text)

    def _next(self) -> bytes | None:
        """The bytes of the next group, or None at the end."""
        mark = self._stream.read(1)
        if mark == _END:
            return None
        if mark != _GROUP:
            _refuse(
                "cut short: its last record is missing" if not mark else "a record of no known kind", _ANEW
            )
        data = self._exactly(self.header.group_bytes)
        self._sum = zlib.crc32(data, self._sum)
        self._check_sum(self._sum, "group")
        return data

    def _last(self, held: Values | None) -> CodeGroup:
        """The last group, once the end record has said how many frames are in it."""
        count = self._exactly(8)
        self._check_sum(zlib.crc32(count, self._sum), "end")
        (total,) = struct.unpack("<Q", count)
        if held is None:
            _refuse("it holds no frames", _ANEW)
        left = total - self.num_frames
        if not 1 <= left <= self.header.frames_of(self.num_groups):
            _refuse(f"{self.num_groups + 1} groups cannot be of {total} frames", _ANEW)
        if self._stream.read(1):
            _refuse("something follows its last record", _ANEW)
        return self._given(held, left)

    def _given(self, values: Values, num_frames: int) -> CodeGroup:
        self.num_groups += 1
        self.num_frames += num_frames
        self.header.check_count(self.num_frames)
        return CodeGroup(values=values, num_frames=num_frames)

    def _check_sum(self, found: int, what: str) -> None:
        if struct.unpack("<I", self._exactly(4))[0] != found:
            _refuse(f"the checksum of its {what} is wrong: the file is damaged", _ANEW)

    def _exactly(self, count: int) -> bytes:
        """So many bytes; room is taken as they come, whatever a header claims."""
        parts: list[bytes] = []
        while count:
            part = self._stream.read(min(count, _READ_BYTES))
            if not part:
                _refuse("cut short", _ANEW)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


@contextmanager
def new_codes(
    path: str | Path, header: CodeHeader, *, overwrite: bool = False
) -> Generator[CodeWriter, None, None]:
    """A writer of a new file, which takes its name, ended properly, once the block is left without an error.

    Raises as `media.files.new_file`, and FormatError.
    """
    with new_file(path, overwrite=overwrite) as stream:
        writer = CodeWriter(cast("BufferedIOBase", stream), header)  # what open gives
        yield writer
        writer.finish()


@contextmanager
def open_codes(path: str | Path) -> Generator[CodeReader, None, None]:
    """A reader of a file. Raises InputError input.not_found or input.unreadable, and FormatError."""
    path = Path(path)
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise not_found(path) from None
    except OSError as error:
        raise InputError("input.unreadable", f"{path.name}: cannot be opened ({error}).") from error
    with stream:
        yield CodeReader(stream, path.name)


def _packed(values: Values, header: CodeHeader) -> bytes:
    """The bytes of a group."""
    if header.channels:
        with np.errstate(over="ignore"):
            halves = values.astype("<f2")
        if not np.isfinite(halves).all():
            largest = float(np.abs(values).max())
            raise FormatError("format.loss", f"A latent of {largest:g} does not fit into 16 bits.")
        return halves.tobytes()
    shifts = np.arange(header.bits - 1, -1, -1)
    bits = (values.reshape(-1, 1).astype(np.int64) >> shifts) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def _unpacked(data: bytes, header: CodeHeader) -> Float[ndarray, "r c ch"] | Int[ndarray, "r c"]:
    """The values of a group; not checked."""
    if header.channels:
        return np.frombuffer(data, "<f2").astype(np.float32).reshape(header.group_shape)
    count = header.grid[0] * header.grid[1] * header.bits
    bits: UInt8[ndarray, " bits"] = np.unpackbits(np.frombuffer(data, np.uint8), count=count)
    powers = 1 << np.arange(header.bits - 1, -1, -1)
    return (bits.reshape(-1, header.bits) @ powers).astype(np.int32).reshape(header.grid)


def _header_of(text: bytes) -> CodeHeader:
    """The header of its JSON. Raises FormatError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        _refuse("its header is no JSON", _ANEW)
    known = {field.name for field in fields(CodeHeader)}
    if not isinstance(found, dict):
        _refuse("its header is no JSON object", _ANEW)
    values = cast("dict[str, Any]", found)  # JSON
    version = values.pop("version", None)
    if version != _VERSION:
        _refuse(f"version {version!r} of the format, {_VERSION} is known", "A newer segma may read it.")
    if set(values) != known:
        odd = ", ".join(sorted(set(values) ^ known))
        _refuse(f"fields of its header are missing or unknown: {odd[:_MOST_NAME]}", _ANEW)
    for name in ("size", "grid"):
        values[name] = _pair(name, values[name])
    for name in ("model", "weights"):
        if not isinstance(values[name], str):
            _refuse(f"{name} in its header is no text", _ANEW)
    if not (values["fps"] is None or type(values["fps"]) in (int, float)):
        _refuse("fps in its header is no number", _ANEW)
    return CodeHeader(**values)


def _pair(name: str, value: Any) -> tuple[int, int]:  # JSON
    items = cast("list[Any]", value) if isinstance(value, list) else []  # JSON
    if len(items) != 2 or any(type(item) is not int for item in items):
        _refuse(f"{name} in its header is not two whole numbers", _ANEW)
    return items[0], items[1]


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        _refuse(f"{name} is {value!r}, not {least} to {most}")


def _refuse(what: str, hint: str = "") -> NoReturn:
    raise FormatError("format.bad", f"Codes: {what}.", hint)


@contextmanager
def _of_file(name: str) -> Generator[None, None, None]:
    """Errors inside are said to be of this file."""
    try:
        yield
    except FormatError as error:
        message = error.message.removeprefix("Codes: ")
        raise FormatError(error.code, f"{name}: {message}", error.hint or _ANEW) from error
