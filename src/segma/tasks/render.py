"""A video made from another one, frame by frame, in bounded memory; progress is told, cancelling is heard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import Cancelled
from segma.media.provenance import Mark
from segma.media.source import Frame, FrameSource
from segma.media.video_write import writer_like

Progress = Callable[[int, int | None], None]
"""Called with the frames done and those in all, None where nobody knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Which frames of a source (`first` to `last`, inclusive; None: to the end), and who watches."""

    first: int = 0
    last: int | None = None
    on_progress: Progress | None = None
    cancel: threading.Event | None = None


def write_frames(
    source: FrameSource,
    path: str | Path,
    picture: Callable[[Frame], UInt8[ndarray, "height width channels"]],
    *,
    kind: str,
    stretch: Stretch,
    scale: int = 1,
    overwrite: bool = False,
    mark: Mark | None = None,
) -> Path:
    """Write what `picture` makes of each frame, at the frame's own time, with the source's sound.

    What it makes is `scale` times as large.
    Raises Cancelled, what `VideoWriter` raises, and what the source does. Of an error nothing is left.
    """
    first, last = stretch.first, stretch.last
    end = source.num_frames if last is None else last + 1
    total = None if end is None else max(0, end - first)
    with writer_like(
        source, path, kind=kind, first=first, last=last, scale=scale, overwrite=overwrite, mark=mark
    ) as writer:
        for frame in source.frames(first, last):
            if stretch.cancel is not None and stretch.cancel.is_set():
                raise Cancelled
            writer.write(picture(frame), frame.time, frame.index)
            if stretch.on_progress is not None:
                stretch.on_progress(frame.index - first + 1, total)
    return Path(path)
