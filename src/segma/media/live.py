"""Frames that come once: cameras, network streams, standard input. One frame is held, whatever comes.

Frames count from 0 as they come. There is no going back, and no number of frames.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.frame import VideoFrame

from segma.errors import InputError
from segma.media.container import (
    FORMATS,
    ByteStream,
    Converter,
    display_matrix,
    packets,
    reason,
    video_stream,
)
from segma.media.image import MAX_PIXELS
from segma.media.source import Frame

_TIMEOUT_SECONDS = 10.0
_WAIT_SECONDS = 0.5  # between two tries to reconnect
_NETWORK = {"rtsp", "rtsps", "http", "https"}
_PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtsp,rtsps"
_CAMERAS = {  # platform -> FFmpeg's format and how it calls camera N
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
    "win32": ("dshow", "video={}"),
}

_log = logging.getLogger(__name__)


class LiveSource:
    """A stream of frames, each given once; opening waits for the first.

    `open_` opens the container; it is called again to reconnect. Where `is_endless` (a camera), an end is
    not expected: it is tried to reconnect for `reconnect_seconds`, then InputError `input.gone` is raised.
    An error while reading is treated so for every stream. Times are those of the stream; after
    reconnecting they go on by the clock.
    """

    can_seek = False
    num_frames = None

    def __init__(
        self,
        open_: Callable[[], InputContainer],
        name: str,
        *,
        is_endless: bool = False,
        reconnect_seconds: float | int = 0,
        max_pixels: int = MAX_PIXELS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._open = open_
        self._is_endless = is_endless
        self._reconnect_seconds = reconnect_seconds
        self._max_pixels = max_pixels
        self._clock, self._sleep = clock, sleep
        self._convert = Converter()
        self._container: InputContainer | None = None
        self._next = 0
        self._last: Frame | None = None
        self._last_clock = clock()
        self._ahead = self._connect(start=0.0)
        matrix, first = display_matrix(self._ahead[1]), self._ahead[1]
        self._coded_size = first.width, first.height
        self.size = (first.height, first.width) if matrix[0] else (first.width, first.height)

    @property
    def fps(self) -> float | None:
        """Frames a second, as the stream says."""
        return self._fps

    def time_of(self, index: int) -> float:
        """Seconds of the frame given last. Raises InputError `input.frame_range` for others."""
        return self.read(index).time

    def read(self, index: int) -> Frame:
        """The frame given last, once more. Raises InputError `input.frame_range` for others."""
        if self._last is None or self._last.index != index:
            raise InputError(
                "input.frame_range",
                f"Frame {index} cannot be asked for: {self.name} gives each frame once.",
                "Write it to a file first.",
            )
        return self._last

    def frames(self, first: int = 0, last: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """The frames that come, from `first` on (or the next one, where that is past), to `last`.

        Raises InputError `input.value` in reverse, `input.gone` where the stream goes away.
        """
        if reverse:
            raise InputError(
                "input.value", f"{self.name} cannot be played in reverse.", "Write it to a file first."
            )
        return self._arriving(first, last)

    def close(self) -> None:
        """Let go of the device or connection."""
        self._frames: Iterator[tuple[float, VideoFrame]] = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _arriving(self, first: int, last: int | None) -> Iterator[Frame]:
        while last is None or self._next <= last:
            found = self._take()
            if found is None:
                return
            index, self._next = self._next, self._next + 1
            seconds, frame = found
            self._last = Frame(index=index, time=seconds, pixels=self._convert(frame))
            self._last_clock = self._clock()
            if index >= first:
                yield self._last

    def _take(self) -> tuple[float, VideoFrame] | None:
        """The next frame and its time, None at the end."""
        if self._ahead is not None:
            found, self._ahead = self._ahead, None
            return found
        try:
            for seconds, frame in self._frames:
                if (frame.width, frame.height) == self._coded_size:
                    return seconds, frame
                raise self._gone(f"its pictures became {frame.width}x{frame.height}")
        except (FFmpegError, OSError) as error:
            return self._again(reason(error))
        if self._is_endless and self._container is not None:
            return self._again("it ended")
        return None

    def _again(self, why: str) -> tuple[float, VideoFrame]:
        """The first frame after reconnecting. Raises InputError `input.gone`."""
        deadline = self._clock() + self._reconnect_seconds
        if self._reconnect_seconds > 0:
            _log.warning("%s: gone after frame %d (%s), trying again", self.name, self._next - 1, why)
        while self._clock() < deadline:
            self.close()
            try:
                seconds = 0.0 if self._last is None else self._last.time
                found = self._connect(start=seconds + self._clock() - self._last_clock)
            except InputError:
                self._sleep(_WAIT_SECONDS)
                continue
            if (found[1].width, found[1].height) != self._coded_size:
                raise self._gone(f"it came back with pictures of {found[1].width}x{found[1].height}")
            return found
        raise self._gone(why)

    def _gone(self, why: str) -> InputError:
        self.close()
        where = f"after frame {self._next - 1}" if self._next else "before the first frame"
        return InputError(
            "input.gone",
            f"{self.name}: gone {where} ({why}).",
            "What came before is kept. Check it, and start again.",
        )

    def _connect(self, start: float) -> tuple[float, VideoFrame]:
        """Open, and wait for the first frame. Raises InputError."""
        try:
            self._container = self._open()
            stream = video_stream(self._container, self.name, self._max_pixels)
            self._fps = float(stream.average_rate) if stream.average_rate else None
            self._frames = self._decoded(self._container, start)
            return next(self._frames)
        except StopIteration:
            self.close()
            raise InputError("input.no_video", f"{self.name}: no frames came. Nothing to segment.") from None
        except (FFmpegError, OSError, ValueError) as error:
            self.close()
            if isinstance(error, InputError):
                raise
            raise InputError("input.unreadable", f"{self.name}: cannot be read ({reason(error)}).") from error

    def _decoded(self, container: InputContainer, start: float) -> Iterator[tuple[float, VideoFrame]]:
        """Frames and their times, the first at `start`."""
        base: float | None = None
        opened, previous = self._clock(), start
        stream = container.streams.video[0]
        for packet in packets(container, stream, max_errors=1):
            try:
                frames = packet.decode()
            except InvalidDataError:
                continue  # damaged on its way; a stream has no frame numbers that this could shift
            for frame in frames:
                # av's stubs leave out None, which a stream without times gives
                own: Any = frame.time
                own = self._clock() - opened if own is None else float(own)
                base = own if base is None else base
                previous = max(previous, start + own - base)
                yield previous, frame


def pipe(stream: ByteStream, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> LiveSource:
    """A stream that cannot be wound back, as standard input (`sys.stdin.buffer`)."""
    called = name or str(getattr(stream, "name", "stream"))
    called = "standard input" if called in ("<stdin>", "0") else called
    return LiveSource(
        lambda: av.open(_PipeView(stream), "r", container_options={"format_whitelist": FORMATS}),
        called,
        max_pixels=max_pixels,
    )


def named_pipe(path: Path, *, max_pixels: int = MAX_PIXELS) -> LiveSource:
    """A named pipe of the file system."""
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    return LiveSource(
        lambda: av.open(f"file:{path.resolve()}", "r", container_options=options),
        path.name,
        max_pixels=max_pixels,
    )


def network_stream(
    address: str,
    *,
    allow_network: bool = False,
    reconnect_seconds: float | int = 0,
    max_pixels: int = MAX_PIXELS,
) -> LiveSource:
    """An rtsp or http address. Raises InputError `input.network` where the network is not allowed."""
    scheme = address.partition("://")[0].lower()
    name = re.sub(r"(?<=://)[^/@]*@", "", address)  # no password in messages
    if scheme not in _NETWORK:
        raise InputError("input.network", f"{name}: only rtsp and http addresses can be read.")
    if not allow_network:
        raise InputError(
            "input.network",
            f"{name} is an address, and nothing said that the network may be used.",
            "Pass allow_network=True, or download the file first.",
        )
    is_endless = scheme.startswith("rtsp")
    options = {"protocol_whitelist": _PROTOCOLS, "format_whitelist": f"{FORMATS},rtsp,sdp,rtp"}
    if is_endless:
        options["rtsp_transport"] = "tcp"

    def open_() -> InputContainer:
        try:
            return av.open(
                address, "r", container_options=options, timeout=(_TIMEOUT_SECONDS, _TIMEOUT_SECONDS)
            )
        except (FFmpegError, OSError, ValueError) as error:
            raise InputError("input.network", f"{name}: no video came ({reason(error)}).") from error

    return LiveSource(
        open_, name, is_endless=is_endless, reconnect_seconds=reconnect_seconds, max_pixels=max_pixels
    )


def device_of(source: str, platform: str = sys.platform) -> tuple[str, str] | None:
    """FFmpeg's format and name of the camera that "cam:0" or "cam:/dev/video0" names; None for all else."""
    kind, pattern = _CAMERAS.get(platform, ("", ""))
    if source.startswith("cam:"):
        which = source[4:]
        return kind, pattern.format(which) if which.isdecimal() or platform == "win32" else which
    if platform == "linux" and re.fullmatch(r"/dev/video\d+", source):
        return kind, source
    return None


def camera(source: str, *, reconnect_seconds: float | int = 0, max_pixels: int = MAX_PIXELS) -> LiveSource:
    """A camera of this machine: "cam:0", "cam:/dev/video0". Raises InputError."""
    found = device_of(source)
    if found is None or found[0] not in "".join(f",{name}," for name in av.formats_available):
        raise InputError("input.not_found", f"{source}: no cameras can be read on this system.")
    kind, device = found
    if kind == "v4l2" and not Path(device).exists():
        raise InputError("input.not_found", f"{source}: no such camera ({device}).", "Is it plugged in?")

    def open_() -> InputContainer:
        try:
            return av.open(device, "r", format=kind, timeout=(_TIMEOUT_SECONDS, _TIMEOUT_SECONDS))
        except (FFmpegError, OSError, ValueError) as error:
            raise InputError("input.unreadable", f"{source}: cannot be opened ({reason(error)}).") from error

    return LiveSource(
        open_, source, is_endless=True, reconnect_seconds=reconnect_seconds, max_pixels=max_pixels
    )


class _PipeView:
    """Only what can be done with a pipe: read what is there, without waiting for a full buffer."""

    def __init__(self, stream: ByteStream) -> None:
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self.name = "stream"

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none at the end."""
        return self._read(count)
