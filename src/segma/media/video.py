"""A video file as a source of frames: exact, decoded as they are asked for, in bounded memory."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float64
from numpy import ndarray

from segma.errors import InputError
from segma.media.colour import ColourTags
from segma.media.container import ByteFile, Converter, display_matrix, open_file, packets, video_stream
from segma.media.decoder import FrameReader
from segma.media.frame_index import FrameIndex, build_index
from segma.media.image import MAX_PIXELS
from segma.media.source import Frame, check_range, span

_REVERSE_BYTES = 256 * 1024**2  # of decoded frames that are held to give them in reverse
_DEFAULT_RATE = Fraction(25)

_log = logging.getLogger(__name__)


class VideoFile:
    """A video file, or its bytes, as a FrameSource.

    Frames are upright RGB of 8 bits. Opening decodes one frame; the first question about frames reads all
    packets once, without decoding. `read` and `frames` share one decoder, which goes on where it stands if
    that is nearest. Not for several threads at once.

    Raises InputError `input.not_found`, `input.unreadable`, `input.no_video`, `input.too_large`.
    """

    can_seek = True

    def __init__(
        self, source: str | Path | bytes | ByteFile, *, name: str | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.path = Path(source) if isinstance(source, str | Path) else None
        """Where the file is; None for bytes and open files."""
        self.name = name or _name(source)
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        self._file: Path | ByteFile = Path(opened) if isinstance(opened, str | Path) else opened
        self._max_pixels = max_pixels
        self._convert = Converter()
        self._broken: set[int] = set()
        self._index: FrameIndex | None = None
        self._made_reader: FrameReader | None = None
        self._probe()

    @property
    def num_frames(self) -> int:
        """How many frames the file has, by its packets, whatever its header says."""
        return len(self.index)

    @property
    def index(self) -> FrameIndex:
        """Display times of all frames, and keyframes. Raises InputError where there is no frame at all."""
        if self._index is None:
            self._index = build_index(self._open, self._header_rate or _DEFAULT_RATE)
            if self._index.is_counted:
                _log.info("%s: holds no display times; frames are counted, and seeking is slow", self.name)
            if self._claimed and self._claimed != len(self._index):
                _log.info("%s: claims %d frames, shows %d", self.name, self._claimed, len(self._index))
        return self._index

    @property
    def fps(self) -> float | None:
        """Frames a second on average."""
        return float(self.average_rate)

    @property
    def average_rate(self) -> Fraction:
        """Frames a second on average, as the header says, or from the times of the frames."""
        if self._header_rate:
            return self._header_rate
        times = self.times()
        if len(times) < 2:
            return _DEFAULT_RATE
        return Fraction((len(times) - 1) / float(times[-1])).limit_denominator(1001)

    @property
    def is_variable_rate(self) -> bool:
        """Whether frames lie apart from an even grid by more than rounding (a tick and a half, or 1 ms)."""
        times = self.times()
        if len(times) < 3:
            return False
        off = np.abs(times - np.linspace(0, float(times[-1]), len(times)))
        return bool(off.max() > max(1.5 * float(self.time_base), 1e-3))

    @property
    def time_base(self) -> Fraction:
        """The unit of `pts` of the index, in seconds."""
        return self.index.time_base

    @property
    def duration_seconds(self) -> float:
        """From the first frame to the end of the last."""
        times = self.times()
        return float(times[-1]) + self.index.last_duration * float(self.time_base) if len(times) else 0.0

    @property
    def broken(self) -> tuple[int, ...]:
        """The frames that were found not to decode, so far."""
        return tuple(sorted(self._broken))

    @property
    def _reader(self) -> FrameReader:
        if self._made_reader is None:
            self._made_reader = FrameReader(self._open, self.index, self.name, self._coded_size)
            self._made_reader.broken = self._broken  # known again after closing and opening
        return self._made_reader

    def times(self) -> Float64[ndarray, " frames"]:
        """Seconds of all frames, from the first."""
        return self.index.seconds()

    def time_of(self, index: int) -> float:
        """Seconds of a frame. Raises InputError `input.frame_range`."""
        check_range(self.name, index, self.num_frames)
        return float((self.index.pts[index] - self.index.pts[0]) * float(self.time_base))

    def read(self, index: int) -> Frame:
        """One frame, exactly. Raises InputError `input.frame_range`, `input.frame_broken`."""
        check_range(self.name, index, self.num_frames)
        found = None if index in self._broken else self._reader.at_or_after(index)
        if found is None or found[0] != index:
            raise InputError(
                "input.frame_broken",
                f"Frame {index} of {self.name} cannot be decoded.",
                "The frames around it can be; choose one of them.",
            )
        return self._frame(*found)

    def frames(self, first: int = 0, last: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Frames `first` to `last` (inclusive; None = to the end), or from `last` down to `first`.

        In reverse a group of pictures is decoded at once, at most 256 MB of it. Frames that do not decode
        are left out, and said once. Raises InputError `input.frame_range`.
        """
        first, last = span(self.name, first, last, self.num_frames)
        return self._backward(first, last) if reverse else self._forward(first, last)

    def close(self) -> None:
        """Let go of the file. Frames can be asked for again: it is then opened again."""
        if self._made_reader is not None:
            self._made_reader.close()
            self._made_reader = None

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"VideoFile({self.name!r}, {self.size[1]}x{self.size[0]}, {self.codec})"

    def _open(self) -> tuple[InputContainer, VideoStream]:
        container = open_file(self._file, self.name)
        try:
            return container, video_stream(container, self.name, self._max_pixels)
        except BaseException:
            container.close()
            raise

    def _probe(self) -> None:
        """Learn what the header and the first frame say."""
        container, stream = self._open()
        with container:
            context = stream.codec_context
            self.codec: str = context.codec.canonical_name
            """FFmpeg's name of the codec, as h264."""
            self.has_audio: bool = bool(container.streams.audio)
            self._claimed = stream.frames
            self._header_rate: Fraction | None = stream.average_rate or stream.guessed_rate or None
            first = _first_frame(container, stream, self.name)
            self.sample_aspect: Fraction = stream.sample_aspect_ratio or Fraction(1)
            """How wide a pixel is for its height, before turning. Pixels are kept as they are."""
        self._coded_size = first.width, first.height
        matrix = display_matrix(first)
        self.size: tuple[int, int] = (first.height, first.width) if matrix[0] else (first.width, first.height)
        """Height, width of the upright picture."""
        self.rotation: int = first.rotation
        """Degrees counter-clockwise by which the file turns its pictures; frames are turned already."""
        self.colour = ColourTags(
            range=first.color_range,
            primaries=first.color_primaries,
            transfer=first.color_trc,
            matrix=first.colorspace,
        )
        """Colour tags of the first frame, numbers of ITU-T H.273."""
        self._note(first)

    def _note(self, first: VideoFrame) -> None:
        if self.sample_aspect not in (0, 1):
            _log.info("%s: pixels are not square (%s); kept as they are", self.name, self.sample_aspect)
        if len(first.format.components) in (2, 4):
            _log.info("%s: alpha dropped", self.name)

    def _frame(self, index: int, frame: VideoFrame) -> Frame:
        return Frame(index=index, time=self.time_of(index), pixels=self._convert(frame))

    def _forward(self, first: int, last: int) -> Iterator[Frame]:
        want = first
        while want <= last:
            found = self._reader.at_or_after(want)
            if found is None or found[0] > last:
                return
            yield self._frame(*found)
            want = found[0] + 1

    def _backward(self, first: int, last: int) -> Iterator[Frame]:
        width, height = self._coded_size
        room = max(8, _REVERSE_BYTES // (width * height * 2))
        while last >= first:
            want = start = max(first, min(self.index.group_start(last), last), last - room + 1)
            held: list[tuple[int, VideoFrame]] = []
            while want <= last and (found := self._reader.at_or_after(want)) and found[0] <= last:
                held.append(found)
                want = found[0] + 1
            while held:
                yield self._frame(*held.pop())
            last = start - 1


def _first_frame(container: InputContainer, stream: VideoStream, name: str) -> VideoFrame:
    """The first frame that decodes. Raises InputError."""
    has_packets = False
    for packet in packets(container, stream):
        has_packets = has_packets or bool(packet.size)
        with suppress(FFmpegError):
            for frame in packet.decode():
                return frame
    if not has_packets:
        raise InputError("input.no_video", f"{name}: its video has no frames. Nothing to segment.")
    raise InputError("input.unreadable", f"{name}: broken, none of its frames can be decoded.")


def _name(source: object) -> str:
    if isinstance(source, str | Path):
        return Path(source).name
    return "bytes" if isinstance(source, bytes) else Path(str(getattr(source, "name", "file object"))).name
