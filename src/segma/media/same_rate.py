"""Pictures and clips as JPEG, WebP and H.264 make them in so many bytes, to compare other codes with."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

# With colours taken from, and given to, every pixel of a pair: else the scaler itself loses up to 20 dB.
_SCALER = int(
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.FULL_CHR_H_INT
)

Picture = UInt8[ndarray, "height width 3"]

_BEST_JPEG, _WORST_JPEG = 95, 1
_BEST_CRF, _WORST_CRF = 0, 51
_BEST_WEBP, _WORST_WEBP = 100, 0
_RIFF_BYTES = 20  # the container around a lossy WebP picture: RIFF, size, WEBP, VP8, size
_UNIT = re.compile(b"\x00\x00\x01")
_MESSAGE = 6  # the kind of unit in which the encoder writes its own name and options


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rated:
    """What came back of pictures, in how many bytes, and at which `setting` (a quality, or H.264's crf).

    `fits` is false where even the worst setting takes more bytes than were allowed; then that one is here.
    """

    frames: tuple[Picture, ...]
    num_bytes: int
    setting: int
    fits: bool


def jpeg_within(picture: Picture, num_bytes: int) -> Rated:
    """The best JPEG of at most so many bytes: quality 1 to 95, colours at half size, tables optimised."""

    def made(quality: int) -> tuple[bytes, int]:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=quality, subsampling=2, optimize=True)
        return stream.getvalue(), stream.tell()

    data, size, quality = _searched(made, _WORST_JPEG, _BEST_JPEG, num_bytes)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    return Rated(frames=(shown,), num_bytes=size, setting=quality, fits=size <= num_bytes)


def webp_nearest(picture: Picture, num_bytes: int) -> Rated:
    """The lossy WebP nearest to so many bytes, above or below: quality 0 to 100, method 6.

    The container's 20 bytes are not counted. `fits` is false only where quality 0 takes more.
    """

    def made(quality: int) -> tuple[bytes, int]:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=6)
        return stream.getvalue(), stream.tell() - _RIFF_BYTES

    data, size, quality = _searched(made, _WORST_WEBP, _BEST_WEBP, num_bytes)
    fits = size <= num_bytes
    if fits and quality < _BEST_WEBP:
        above, larger = made(quality + 1)
        if larger - num_bytes < num_bytes - size:
            data, size, quality = above, larger, quality + 1
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    return Rated(frames=(shown,), num_bytes=size, setting=quality, fits=fits)


def h264_within(frames: Sequence[Picture], num_bytes: int, *, fps: float | int) -> Rated:
    """The best H.264 (libx264, preset medium) of at most so many bytes: crf 51 to 0, by one thread.

    Bytes are those of the coded pictures and their parameters; the encoder's note about itself and the
    container are not counted. Odd sides are made even by repeating the last row or column.
    """

    def made(crf: int) -> tuple[list[bytes], int]:
        packets = _h264(frames, crf, fps)
        return packets, sum(map(_counted, packets))

    packets, size, crf = _searched(made, _WORST_CRF, _BEST_CRF, num_bytes)
    shown = tuple(_decoded(packets, frames[0].shape[:2]))
    assert len(shown) == len(frames), "the decoder gave another number of frames"
    return Rated(frames=shown, num_bytes=size, setting=crf, fits=size <= num_bytes)


def _searched(
    made: Callable[[int], tuple[Any, int]], worst: int, best: int, limit: int
) -> tuple[Any, int, int]:
    """What `made` gives at the setting nearest to `best` whose size is within the limit; else at `worst`.

    Sizes grow from worst to best, as good as always, so that halving finds it.
    """
    low, high, step = 0, abs(best - worst), 1 if best > worst else -1
    found = (*made(worst), worst)
    while low < high:
        middle = (low + high + 1) // 2
        setting = worst + step * middle
        data, size = made(setting)
        if size <= limit:
            low, found = middle, (data, size, setting)
        else:
            high = middle - 1
    return found


def _h264(frames: Sequence[Picture], crf: int, fps: float | int) -> list[bytes]:
    """The packets of an encoder."""
    height, width = (side + side % 2 for side in frames[0].shape[:2])
    coder: Any = av.CodecContext.create("libx264", "w")  # PyAV's stubs leave types of packets open
    coder.height, coder.width, coder.pix_fmt = height, width, "yuv420p"
    rate = Fraction(fps).limit_denominator(1001) or Fraction(1, 1001)
    coder.framerate, coder.time_base = rate, 1 / rate
    coder.options = {"crf": str(crf), "preset": "medium"}
    coder.thread_count = 1
    packets: list[bytes] = []
    for index, pixels in enumerate(frames):
        extra = ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0))
        padded = VideoFrame.from_ndarray(np.pad(pixels, extra, mode="edge"), "rgb24")
        frame = padded.reformat(format="yuv420p", interpolation=_SCALER)
        frame.pts, frame.time_base = index, 1 / rate
        packets += [bytes(packet) for packet in coder.encode(frame)]
    return [*packets, *(bytes(packet) for packet in coder.encode(None))]


def _decoded(packets: Sequence[bytes], size: tuple[int, ...]) -> list[Picture]:
    coder: Any = av.CodecContext.create("h264", "r")  # see above
    coder.thread_count = 1
    frames: list[VideoFrame] = []
    for data in packets:
        frames += coder.decode(av.Packet(data))
    frames += coder.decode(None)
    return [_rgb(frame)[: size[0], : size[1]] for frame in frames]


def _rgb(frame: VideoFrame) -> Picture:
    """The pixels, with colours where the scaler put them, whatever place the decoder says they have."""
    plain = VideoFrame.from_ndarray(frame.to_ndarray(), "yuv420p")
    return plain.reformat(format="rgb24", interpolation=_SCALER).to_ndarray()


def _counted(packet: bytes) -> int:
    """Bytes of a packet (Annex B) without units that are messages."""
    starts = [match.end() for match in _UNIT.finditer(packet)]
    ends = [*(start - 3 for start in starts[1:]), len(packet)]
    messages = [
        end - start + 3
        for start, end in zip(starts, ends, strict=True)
        if start < len(packet) and packet[start] & 0x1F == _MESSAGE
    ]
    return len(packet) - sum(messages)
