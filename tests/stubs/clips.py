"""Small video files, written with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def scene(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A frame that no other is like: ramps that run, and a square that moves."""
    y, x = np.mgrid[:height, :width]
    ramps = (x * 3 + index * 5, y * 4 + index * 3, (x + y) * 2 + index * 7)
    picture = np.stack([ramp % 256 for ramp in ramps], -1).astype(np.uint8)
    left = index * 2 % (width - 20)
    picture[8:24, left : left + 16] = (index * 40 % 256, 200, 50)
    return picture


def write_clip(
    path: Path,
    count: int = 12,
    *,
    times: Sequence[int] | None = None,
    damaged: Collection[int] = (),
    draw: Callable[[int], np.ndarray] = scene,
    rotation: int = 0,
) -> Path:
    """A clip of 64 x 48 pixels, 24 frames a second or at `times` (hundredths of a second).

    `damaged` are packets whose bytes are overwritten; `rotation` is what the file says of its pictures.
    """
    base = Fraction(1, 24 if times is None else 100)
    number = 0
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=24, options={"bf": "0", "g": "4", "refs": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = base
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(count + 1):
            frame = None
            if index < count:
                frame = av.VideoFrame.from_ndarray(draw(index), "rgb24")
                frame.pts = index if times is None else times[index]
                frame.time_base = base
            for packet in stream.encode(frame):
                output.mux(_damaged(packet) if number in damaged else packet)
                number += 1
    return path


def write_sound(path: Path) -> Path:
    """A file with a second of silence and no picture."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def write_no_frames(path: Path) -> Path:
    """A file with a stream of pictures that has none."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    return path


def frames_of(path: Path, pixels: str = "rgb24") -> list[np.ndarray]:
    """All frames of a video as FFmpeg decodes them."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=pixels) for frame in container.decode(video=0)]


def times_of(path: Path) -> list[float]:
    """Seconds of its frames."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def _damaged(packet: av.Packet) -> av.Packet:
    """The same packet with noise in place of its picture."""
    noise = np.random.default_rng(0).integers(0, 256, max(packet.size - 4, 0), np.uint8).tobytes()
    broken = av.Packet(bytes(packet)[:4] + noise)
    broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
    broken.stream, broken.is_keyframe = packet.stream, packet.is_keyframe
    return broken
