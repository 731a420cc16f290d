"""Opening what FFmpeg reads, safely: one file, of a known kind, that can name no other file or address.

Playlists, concatenations and picture patterns are refused by name; so are all protocols but the one asked
for. Nothing is decoded before the header has said how large the picture is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import av
import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import InputError
from segma.media.image import MAX_PIXELS, not_found

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,mxf,nut,ivf,obu,"
    "h264,hevc,m4v,mjpeg,mpjpeg,yuv4mpegpipe,gif,apng,dv,rm,wtv,gxf,wav,mp3,aac,flac"
)
"""Kinds of files that FFmpeg may open: no playlist, no pattern, nothing that refers to other files."""

_REFERRING = (
    b"#EXTM3U",
    b"ffconcat",
    b"<?xml",
    b"<MPD",
    b"<SMIL",
    b"v=0\r",
    b"v=0\n",
    b"[playlist]",
    b"[Reference]",
)
_MAX_ERRORS = 50  # read errors in a row after which a file is taken to have ended


@runtime_checkable
class ByteStream(Protocol):
    """An open binary file, or a pipe."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, none at the end."""
        ...


@runtime_checkable
class ByteFile(ByteStream, Protocol):
    """An open binary file that can be read from any place."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Stand somewhere else."""
        ...


def open_file(source: Path | ByteFile, name: str) -> InputContainer:
    """The container of a file or of an open binary file, from its start.

    Raises InputError `input.not_found`, `input.unreadable`.
    """
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    if isinstance(source, Path):
        if not source.exists():
            raise not_found(source)
        if source.is_dir():
            raise InputError("input.unreadable", f"{name} is a folder, not a video.")
        start = _start(source, name)
        address: str | FileView = f"file:{source.resolve()}"  # the protocol is named: no other is tried
    else:
        address = FileView(source)
        source.seek(0)
        start = source.read(64)
    if not start:
        raise InputError("input.unreadable", f"{name}: empty, 0 bytes.")
    if start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(_REFERRING):
        raise InputError(
            "input.unreadable",
            f"{name}: a playlist, which refers to other files; these are not opened.",
            "Name the video itself.",
        )
    try:
        return av.open(address, "r", container_options=options, metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(
            "input.unreadable",
            f"{name}: no video of a known kind, truncated, or larger than can be decoded.",
        ) from error


def video_stream(container: InputContainer, name: str, max_pixels: int = MAX_PIXELS) -> VideoStream:
    """The first stream with moving pictures, made ready to decode; all other streams are skipped.

    Raises InputError `input.no_video`, `input.unreadable`, `input.too_large`.
    """
    found = [stream for stream in container.streams.video if not is_cover(stream)]
    if not found:
        # a stream of an unknown codec has no codec context, whatever the stubs say
        contexts = [cast("Any", stream).codec_context for stream in container.streams.audio]
        codecs = ", ".join(sorted({str(context.name) for context in contexts if context is not None}))
        has = f"has audio only ({codecs or 'unknown'})" if contexts else "has no video"
        raise InputError("input.no_video", f"{name} {has}. Nothing to segment.")
    stream = found[0]
    context = cast("Any", stream).codec_context
    if context is None:
        raise InputError("input.unreadable", f"{name}: its video is coded in a way that cannot be decoded.")
    width, height = int(context.width), int(context.height)
    if width * height > max_pixels:
        raise InputError(
            "input.too_large",
            f"{name}: claims {width}x{height} pixels, at most {max_pixels:,} are accepted.",
            "Scale it down first.",
        )
    context.options = {"max_pixels": str(max_pixels)}  # also for what the stream itself says later
    stream.thread_type = ThreadType.AUTO
    for other in container.streams:
        other.discard = Discard.default if other.index == stream.index else Discard.all
    return stream


def is_cover(stream: VideoStream) -> bool:
    """Whether a video stream is only the cover picture of a sound file."""
    return bool(stream.disposition & Disposition.attached_pic)


def packets(
    container: InputContainer, stream: VideoStream, *, max_errors: int = _MAX_ERRORS
) -> Iterator[Packet[VideoStream]]:
    """The packets of a stream from where the container stands; at the end one without data, which flushes.

    Places that cannot be read are passed over; after `max_errors` in a row the last error is raised where
    that is 1, else taken for the end.
    """
    errors = 0
    while errors < max_errors:
        try:
            for packet in container.demux(stream):
                errors = 0
                yield packet
            return
        except FFmpegError:
            errors += 1
            if max_errors == 1:
                raise


def reason(error: Exception) -> str:
    """What FFmpeg says, in a few words without numbers and paths."""
    text = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return str(text).rstrip(".").lower()


class Converter:
    """Frames of FFmpeg as upright RGB; the scaler is kept between frames.

    Matrix and range are those of the frame's tags (bt601 and 16 to 235 where it has none, as FFmpeg takes
    them), more bits are scaled to 8, alpha is dropped, and the display matrix is applied.
    """

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> UInt8[ndarray, "height width 3"]:
        """The pixels, an array of its own."""
        scaled = self._scaler.reformat(frame, format="rgb24")
        array = cast("ndarray", scaled.to_ndarray())
        array = upright(array, display_matrix(frame))
        # an RGB source is not scaled: its memory is the decoder's, which still needs it
        return np.array(array) if scaled is frame else np.ascontiguousarray(array)


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """How rows and columns turn: (a, b, c, d) with right = a x + c y and down = b x + d y, each -1, 0 or 1.

    Source: FFmpeg, libavutil/display.h. Angles between are rounded to quarter turns.
    """
    side: Any = frame.side_data
    data = side.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    values = np.frombuffer(bytes(data), np.int32)
    if values.size != 9:
        return 1, 0, 0, 1
    a, b, c, d = (int(value) for value in values[[0, 1, 3, 4]])
    if max(abs(a), abs(d)) >= max(abs(b), abs(c)):
        return (-1 if a < 0 else 1), 0, 0, (-1 if d < 0 else 1)
    return 0, (-1 if b < 0 else 1), (-1 if c < 0 else 1), 0


def upright(array: ndarray, matrix: tuple[int, int, int, int]) -> ndarray:
    """A view of the picture turned and flipped by a matrix of `display_matrix`."""
    a, b, c, d = matrix
    if a == 0:
        array = array.swapaxes(0, 1)
    rows = -1 if b + d < 0 else 1
    columns = -1 if a + c < 0 else 1
    return array[::rows, ::columns]


class FileView:
    """Reads an open binary file from its start, wherever others have left it standing."""

    def __init__(self, stream: ByteFile) -> None:
        self._stream = stream
        self._at = 0
        self.name = str(getattr(stream, "name", "file object"))

    def read(self, count: int) -> bytes:
        """At most `count` bytes."""
        self._stream.seek(self._at)
        data = self._stream.read(count)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Stand somewhere else."""
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence == io.SEEK_END:
            offset += self._stream.seek(0, io.SEEK_END)
        self._at = offset
        return offset

    def tell(self) -> int:
        """Where it stands."""
        return self._at


def _start(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(64)
    except OSError as error:
        text = (error.strerror or type(error).__name__).lower()
        raise InputError("input.unreadable", f"{name}: cannot be opened ({text}).") from error
