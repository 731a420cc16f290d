"""Reading written videos again with PyAV alone, and a disk that is too small."""

from __future__ import annotations

import resource
from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def picture(index: int, size: tuple[int, int] = (48, 64), *, alpha: bool = False) -> np.ndarray:
    """Smooth colours and a soft disc that moves."""
    y, x = np.mgrid[: size[0], : size[1]]
    channels = [x * 255 / size[1], y * 255 / size[0], np.full(size, index * 9 % 256)]
    if alpha:
        channels.append(255 * np.clip(12.5 - np.hypot(x - 20 - index, y - 24), 0, 4) / 4)
    return np.stack(channels, -1).round().astype(np.uint8)


def decoded(path: Path, decoder: str | None = None) -> tuple[list[Fraction], list[av.VideoFrame]]:
    """Exact times and frames, by the stream's own decoder or another one."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context: Any = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        frames = [
            frame
            for packet in container.demux(stream)
            for frame in context.decode(packet if packet.size else None)
        ]
        assert stream.time_base is not None
        base = stream.time_base
        return [frame.pts * base for frame in frames], frames


def planes(frame: av.VideoFrame, index: int, kind: type[np.generic] = np.uint8) -> np.ndarray:
    plane: Any = frame.planes[index]  # a buffer, which its type does not say
    return np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]


@contextmanager
def small_disk(limit: int) -> Generator[None, None, None]:
    """No file can grow beyond a number of bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
