"""One video file being written through FFmpeg: RGB to YUV, the encoder, and sound beside it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import FormatError
from segma.media.colour import ColourTags, scaler_matrix, writable_tags
from segma.media.provenance import Mark, container_metadata
from segma.media.sound import SoundCopy
from segma.media.video_kinds import Kind

_USUAL_RATE = Fraction(25)  # a guess for the encoder's rate control where a source has no rate
_SCALER = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP)


class VideoEncoder:
    """Call `open`, perhaps `set_mark` and `add_sound`, `start`, `write` often, then `finish` or `abandon`.

    A frame is held back until the next one says how long it is shown. Raises OSError as FFmpeg does.
    """

    def __init__(self, path: Path, kind: Kind, size: tuple[int, int], colour: ColourTags) -> None:
        self._kind, self._size = kind, size
        self._tags = writable_tags(colour, full_range=kind.has_range)
        self._path = path
        self._convert = VideoReformatter()
        self._output: Any = None  # OutputContainer, whose stubs leave types of packets open
        self._stream: Any = None  # VideoStream, likewise
        self._sound: SoundCopy | None = None
        self._held: VideoFrame | None = None
        self._durations: dict[int, int] = {}
        self._base = Fraction(1, 1)
        self._first_tick = 0
        self._typical = 1

    def open(self, time_base: Fraction, rate: Fraction | None, pixel_aspect: Fraction | None) -> None:
        """Make the file and its video stream."""
        kind = self._kind
        self._base = time_base if kind.ticks is None else Fraction(1, kind.ticks)
        options = {"movflags": "+faststart"} if kind.container in ("mp4", "mov") else {}
        self._output = av.open(str(self._path), "w", format=kind.container, container_options=options)
        stream = self._output.add_stream(kind.codec, rate=rate or _USUAL_RATE, options=dict(kind.options))
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.height, context.width = self._padded_size()
        context.pix_fmt = kind.pixels
        context.time_base = stream.time_base = self._base
        context.sample_aspect_ratio = pixel_aspect or Fraction(1)
        context.color_range = self._tags.range or 0
        context.color_primaries = self._tags.primaries or 2
        context.color_trc = self._tags.transfer or 2
        context.colorspace = self._tags.matrix if self._tags.matrix is not None else 2
        self._typical = max(1, round(1 / (rate or _USUAL_RATE) / self._base))
        self._stream = stream

    def set_mark(self, mark: Mark) -> None:
        """What the file says of its making."""
        assert self._output is not None
        self._output.metadata.update(container_metadata(mark))

    def add_sound(self, source: Path, start: Fraction | None) -> None:
        """The sound of a file, copied where the container can hold it, else encoded anew."""
        assert self._output is not None
        self._sound = SoundCopy(source, self._output, self._kind, start)

    def start(self) -> None:
        """Open the encoders and write the header. Raises FormatError where an encoder refuses."""
        assert self._output is not None
        with self._guarded():
            self._output.start_encoding()

    def write(self, pixels: UInt8[ndarray, "h w c"], time: float | int, index: int) -> None:
        """Add a frame; times only grow."""
        frame = self._yuv(pixels)
        tick = round(Fraction(time) / self._base)
        if self._held is None:
            self._first_tick = tick
            frame.pts = 0
            if self._sound is not None:
                self._sound.begin(self._first_tick * self._base)
        else:
            assert self._held.pts is not None
            frame.pts = max(tick - self._first_tick, self._held.pts + 1)
            self._typical = frame.pts - self._held.pts
            self._encode(self._held, self._typical)
        frame.time_base = self._base
        self._held = frame

    def finish(self) -> None:
        """Write what is left and close the file."""
        assert self._output is not None and self._stream is not None and self._held is not None
        assert self._held.pts is not None
        self._encode(self._held, self._typical)
        with self._guarded():
            packets = self._stream.encode(None)
        self._mux(packets)
        if self._sound is not None:
            self._sound.end((self._held.pts + self._typical) * self._base)
        output, self._output = self._output, None
        output.close()

    def abandon(self) -> None:
        """Let go of the files; what was written is of no use."""
        if self._sound is not None:
            self._sound.close()
        if self._output is not None:
            output, self._output = self._output, None
            with suppress(av.error.FFmpegError, OSError):
                output.close()

    def _encode(self, frame: VideoFrame, duration: int) -> None:
        assert frame.pts is not None
        frame.duration = duration
        self._durations[frame.pts] = duration
        with self._guarded():
            packets = self._stream.encode(frame)
        self._mux(packets)

    def _mux(self, packets: list[Any]) -> None:  # PyAV's packets, see _output
        """Hand packets to the container, each after the sound that is heard before it."""
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration)
                if self._sound is not None:
                    self._sound.until(packet.pts * self._base)
            self._output.mux(packet)

    @contextmanager
    def _guarded(self) -> Generator[None, None, None]:
        """What is no error of the disk is a picture that the encoder does not take."""
        try:
            yield
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            height, width = self._size
            raise FormatError(
                "format.loss",
                f"{self._kind.name} cannot hold {width}x{height} pixels ({error.strerror}).",
                "Write a smaller picture, or png.",
            ) from error

    def _padded_size(self) -> tuple[int, int]:
        height, width = self._size
        return (height + height % 2, width + width % 2) if self._kind.is_even else (height, width)

    def _yuv(self, pixels: UInt8[ndarray, "h w c"]) -> VideoFrame:
        """The frame in the encoder's format, tagged."""
        height, width = self._padded_size()
        if (height, width) != pixels.shape[:2]:
            extra = (height - pixels.shape[0], width - pixels.shape[1])
            pixels = cv2.copyMakeBorder(pixels, 0, extra[0], 0, extra[1], cv2.BORDER_REPLICATE)
        alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
        plain = np.ascontiguousarray(pixels[..., :3])
        frame = self._convert.reformat(
            VideoFrame.from_ndarray(plain.astype(np.uint8, copy=False), "rgb24"),
            format=self._kind.pixels,
            dst_colorspace=scaler_matrix(self._tags),
            dst_color_range=2 if self._tags.range == 2 else 1,
            interpolation=_SCALER,
        )
        if self._kind.has_alpha:
            _set_alpha(frame, alpha)
        frame.colorspace = 2 if self._tags.matrix is None else self._tags.matrix
        frame.color_range = self._tags.range or 0
        frame.color_primaries = self._tags.primaries or 2
        frame.color_trc = self._tags.transfer or 2
        return frame


def _set_alpha(frame: VideoFrame, alpha: UInt8[ndarray, "h w"] | None) -> None:
    """Fill the fourth plane, rounded to the nearest level (FFmpeg's scaler is one off)."""
    plane: Any = frame.planes[3]  # a buffer, which its type does not say
    is_deep = "10" in frame.format.name
    kind = np.uint16 if is_deep else np.uint8
    rows = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]
    if alpha is None:
        rows[:] = 1023 if is_deep else 255
    elif is_deep:
        rows[:] = _TEN_BITS[alpha]
    else:
        rows[:] = alpha


_TEN_BITS = np.rint(np.arange(256) * (1023 / 255)).astype(np.uint16)
