"""Sound beside a written video: the packets of another file, copied as they are or encoded anew."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from segma.errors import InputError
from segma.media.video_kinds import Kind

_ROLL = Fraction(1, 10)
"""Seconds of sound before the cut that are taken along where a file can skip them: decoders need a packet
to swing in."""

_Packet = Any
"""PyAV's own packets, whose types (and those of what encodes and writes them) are only partly known."""


_log = logging.getLogger(__name__)


class SoundCopy:
    """Sound of `source` for the stretch [first, end) of a video, fed into `output` as the video grows.

    Output streams are made on construction, before the header is written. Call `begin`, `until` with
    growing times of the output, then `end`. Packets keep their times relative to the picture.
    """

    def __init__(self, source: Path, output: Any, kind: Kind, start: Fraction | None) -> None:
        self._input = _opened(source)
        self._output: Any = output  # see _Packet
        self._name = source.name
        self._skips = kind.container in ("mp4", "mov")
        video = next(iter(self._input.streams.video), None)
        begins = Fraction(0)
        if video is not None and video.start_time is not None and video.time_base is not None:
            begins = video.start_time * video.time_base
        self._origin = begins if start is None else start
        self._first = Fraction(0)
        self._next: _Packet | None = None
        self._packets: Iterator[_Packet] = iter(())
        self._broken = 0
        self._tracks: dict[int, _Track] = {}
        for stream in self._input.streams.audio:
            track = _track(stream, output, kind)
            if track is None:
                _log.warning("%s: nothing here reads a part of its sound, which is left out", source.name)
            else:
                self._tracks[stream.index] = track

    def begin(self, first: Fraction) -> None:
        """Go to a frame's time (seconds from frame 0); it becomes time 0 of the output."""
        self._first = self._origin + first
        if not self._tracks:
            return
        if first > 2:
            self._seek(self._first - 1)
        self._packets = self._input.demux([track.source for track in self._tracks.values()])
        self._advance()

    def until(self, time: Fraction) -> None:
        """Write the sound that starts before a time of the output (seconds)."""
        while self._next is not None and self._time(self._next) < time:
            packet = self._next
            self._write(packet)
            self._advance()

    def end(self, time: Fraction) -> None:
        """Write the rest up to the end of the video, and close the source."""
        self.until(time)
        for track in self._tracks.values():
            if track.is_new:
                self._output.mux(track.target.encode(None))
        if self._broken:
            _log.warning("%s: %d packets of its sound are broken and were left out", self._name, self._broken)
        self.close()

    def close(self) -> None:
        """Let go of the source."""
        self._next = None
        self._packets = iter(())
        self._input.close()

    def _seek(self, time: Fraction) -> None:
        """Start reading a little before a time; where that fails, the file is read from its beginning."""
        try:
            self._input.seek(int(time * av.time_base), backward=True, any_frame=False)
        except av.error.FFmpegError as error:
            _log.info("%s: no seeking in its sound (%s)", self._name, error)

    def _advance(self) -> None:
        """Find the next packet that has a time and is not before the stretch."""
        self._next = None
        try:
            for packet in self._packets:
                if packet.pts is None or not packet.size:
                    continue
                lasts = (packet.duration or 0) * packet.time_base
                if self._time(packet) + lasts > (-_ROLL if self._skips else 0):
                    self._next = packet
                    return
        except av.error.FFmpegError as error:  # a file cut short: what was read so far is sound
            _log.warning("%s: its sound ends early (%s)", self._name, error)

    def _time(self, packet: _Packet) -> Fraction:
        """When it is heard, seconds in the output."""
        assert packet.pts is not None
        return packet.pts * packet.time_base - self._first

    def _write(self, packet: _Packet) -> None:
        track = self._tracks[packet.stream_index]
        if track.is_new:
            self._encode(packet, track)
            return
        shift = round(self._first / packet.time_base)
        assert packet.pts is not None
        packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        packet.stream = track.target
        self._output.mux(packet)

    def _encode(self, packet: _Packet, track: _Track) -> None:
        try:
            frames = [frame for frame in packet.decode() if isinstance(frame, AudioFrame)]
        except av.error.FFmpegError:
            self._broken += 1
            return
        for frame in frames:
            if frame.pts is None or frame.time_base is None:
                continue
            frame.pts -= round(self._first / frame.time_base)
            if frame.pts >= 0:
                self._output.mux(track.target.encode(frame))


def _opened(source: Path) -> InputContainer:
    """The file that has the sound. Raises InputError: it is not the output that is at fault."""
    try:
        return av.open(str(source), "r")
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(
            "input.unreadable", f"{source.name}: its sound cannot be read ({reason})."
        ) from error


class _Track:
    """One stream of sound: where it comes from, where it goes."""

    def __init__(self, source: AudioStream, target: Any, *, is_new: bool) -> None:
        self.source, self.is_new = source, is_new
        self.target: Any = target  # see _Packet


def _track(stream: AudioStream, output: Any, kind: Kind) -> _Track | None:  # see _Packet
    """The stream's place in the output; None where nothing here can read it."""
    context: Any = stream.codec_context  # None for a codec that FFmpeg does not know, against its type
    if context is None or not context.sample_rate:
        return None
    if context.name in kind.copied_audio or context.codec.canonical_name in kind.copied_audio:
        return _Track(stream, output.add_stream_from_template(stream), is_new=False)
    rate = 48_000 if kind.new_audio == "libopus" else context.sample_rate
    layout = "mono" if context.layout.nb_channels == 1 else "stereo"
    target = output.add_stream(kind.new_audio, rate=rate, layout=layout)
    assert isinstance(target, AudioStream)
    return _Track(stream, target, is_new=True)
