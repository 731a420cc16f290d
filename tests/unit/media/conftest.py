"""Small clips, written with PyAV."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

ClipMaker = Callable[..., Path]


def scene(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A frame that no other is like: ramps that run, and a square that moves."""
    y, x = np.mgrid[:height, :width]
    ramps = (x * 3 + index * 5, y * 4 + index * 3, (x + y) * 2 + index * 7)
    picture = np.stack([ramp % 256 for ramp in ramps], -1).astype(np.uint8)
    left = index * 2 % (width - 20)
    picture[8:24, left : left + 16] = (index * 40 % 256, 200, 50)
    return picture


@pytest.fixture
def make_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipMaker:
    """Writes a clip: `make_clip("a.mp4", "libx264", count=40, options=..., ...)` gives its path.

    `times` are display times in units of `time_base`; `damaged` are packets (in their order in the file)
    whose bytes are overwritten; `setup` may change the stream before it starts.
    """
    monkeypatch.setenv("SVT_LOG", "0")

    def make(
        name: str,
        codec: str = "libx264",
        *,
        count: int = 40,
        size: tuple[int, int] = (48, 64),
        pixels: str = "yuv420p",
        options: dict[str, str] | None = None,
        container: dict[str, str] | None = None,
        times: Sequence[int] | None = None,
        time_base: Fraction | None = None,
        rate: int = 24,
        damaged: Collection[int] = (),
        draw: Callable[[int], np.ndarray] | None = None,
        setup: Callable[[av.VideoStream], None] | None = None,
    ) -> Path:
        path = tmp_path / name
        number = 0
        with av.open(str(path), "w", options=container or {}) as output:
            stream = output.add_stream(codec, rate=rate, options=options or {})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = size[1], size[0], pixels
            if time_base is not None:
                stream.codec_context.time_base = time_base
            if setup is not None:
                setup(stream)
            for index in range(count + 1):
                frame = None
                if index < count:
                    picture = scene(index, *size) if draw is None else draw(index)
                    frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                    frame.pts = index if times is None else times[index]
                    frame.time_base = time_base or Fraction(1, rate)
                for packet in stream.encode(frame):
                    output.mux(_damaged(packet) if number in damaged else packet)
                    number += 1
        if codec == "libsvtav1":
            _be_ordinary()
        return path

    return make


def _be_ordinary() -> None:
    """Undo what SVT-AV1 does where it may (as root): it makes the thread that calls it a real-time one.

    Its children are so too then, and three of them that wait for each other on two cores wait for ever.
    """
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _damaged(packet: av.Packet) -> av.Packet:
    """The same packet with noise in place of its picture."""
    noise = np.random.default_rng(0).integers(0, 256, max(packet.size - 4, 0), np.uint8).tobytes()
    broken = av.Packet(bytes(packet)[:4] + noise)
    broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
    broken.stream, broken.is_keyframe = packet.stream, packet.is_keyframe
    return broken


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    """Draws frame `index` of the clips: `picture(index, height, width)`."""
    return scene
