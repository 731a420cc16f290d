"""Where a video cuts from one shot to the next.

FFmpeg's scene detector (`scdet`) says how much a frame differs from the one before. A cut must stand out
from the frames around it, so that fast motion is none; it must show something else, not the same in another
light; and it must last, so that a flash is none. Blank frames (black, white) are passed over: what comes
after is compared with what came before, so a fade through black is one cut at most.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

import cv2
import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from jaxtyping import Float32, UInt8
from numpy import ndarray

from segma.errors import Cancelled
from segma.media.source import Frame, FrameSource

THRESHOLD = 10.0
"""Difference of 0 to 100 from which a frame may be a cut: the default of FFmpeg's detector."""

_WIDTH = 320  # of the pictures that are compared
_THUMBNAIL = (32, 18)
_RATIO = 2.0  # a cut differs so much more than the frames around it
_AROUND = 6  # frames on either side that are looked at
_SAME = 0.6  # correlation from which two pictures show the same scene in another light
_RETURNED = 0.9  # ... and from which one is the other again, after a flash
_BLANK = 5.0  # contrast (standard deviation) below which a picture shows nothing

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seen:
    """What is kept of a frame: how much it differs from the one before (0 to 100), and a thumbnail."""

    index: int
    difference: float
    thumbnail: Float32[ndarray, "18 32"]

    @property
    def is_blank(self) -> bool:
        return float(self.thumbnail.std()) < _BLANK


class CutDetector:
    """Tells cuts as frames come: without what follows, the first frame of a flash may count as one."""

    def __init__(self, threshold: float | int = THRESHOLD) -> None:
        self._threshold = float(threshold)
        self._eye = _Eye()
        self._before: deque[_Seen] = deque(maxlen=_AROUND)
        self._shown: _Seen | None = None

    def push(self, frame: Frame) -> bool:
        """Whether a frame is the first of a new shot."""
        seen = self._eye.look(frame)
        answer = _is_cut(self._before, seen, (), self._shown, self._threshold)
        self._before.append(seen)
        self._shown = self._shown if seen.is_blank else seen
        return answer


def find_cuts(
    source: FrameSource,
    *,
    threshold: float | int = THRESHOLD,
    first: int = 0,
    last: int | None = None,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> tuple[int, ...]:
    """The first frame of every new shot, rising; never the first frame of all.

    Each frame from `first` to `last` is decoded once, a few small pictures are held.
    `on_progress(frames done, frames in all)`, 0 where their number is not known. Raises Cancelled when
    `cancel` is set.
    """
    count = source.num_frames
    total = 0 if count is None and last is None else (last + 1 if last is not None else count or 0) - first

    def looked() -> Iterator[_Seen]:
        eye = _Eye()
        for done, frame in enumerate(source.frames(first, last), 1):
            if cancel is not None and cancel.is_set():
                raise Cancelled()
            yield eye.look(frame)
            if on_progress is not None:
                on_progress(done, total)

    return tuple(_cuts(looked(), float(threshold)))


def shots_of(cuts: Sequence[int], num_frames: int) -> tuple[tuple[int, int], ...]:
    """First and last frame (inclusive) of each shot.

    >>> shots_of((612, 1305), 1918)
    ((0, 611), (612, 1304), (1305, 1917))
    """
    starts = [0, *sorted({cut for cut in cuts if 0 < cut < num_frames})] if num_frames else []
    ends = [start - 1 for start in starts[1:]] + [num_frames - 1]
    return tuple(zip(starts, ends, strict=False))


def _cuts(seen: Iterator[_Seen], threshold: float) -> Iterator[int]:
    """The cuts, each told when the frames after it are known."""
    before: deque[_Seen] = deque(maxlen=_AROUND)
    waiting: deque[_Seen] = deque()
    shown: _Seen | None = None
    for coming in _and_then_none(seen):
        if coming is not None:
            waiting.append(coming)
        while waiting and (coming is None or len(waiting) > _AROUND):
            now = waiting.popleft()
            if _is_cut(before, now, waiting, shown, threshold):
                yield now.index
            before.append(now)
            shown = shown if now.is_blank else now


def _and_then_none(seen: Iterator[_Seen]) -> Iterator[_Seen | None]:
    yield from seen
    yield None


def _is_cut(
    before: Sequence[_Seen], now: _Seen, after: Sequence[_Seen], shown: _Seen | None, threshold: float
) -> bool:
    """Whether a frame begins a shot; `shown` is the last frame before it that is not blank."""
    if shown is None or not before or now.is_blank:
        return False
    last = before[-1]
    if last.is_blank:
        return _likeness(shown, now) < _SAME
    if now.difference < threshold or _likeness(last, now) >= _SAME:
        return False
    around = [seen.difference for seen in (*before, *after) if seen.index > 0]
    if not around or now.difference < _RATIO * median(around):
        return False
    returns = any(_likeness(last, seen) >= _RETURNED for seen in after)
    returned = any(_likeness(seen, now) >= _RETURNED for seen in list(before)[:-1])
    return not returns and not returned


def _likeness(one: _Seen, other: _Seen) -> float:
    """Correlation of two small pictures, whatever their brightness and contrast: -1 to 1."""
    a, b = (seen.thumbnail - seen.thumbnail.mean() for seen in (one, other))
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


class _Eye:
    """The scene detector of FFmpeg, fed with small pictures one at a time."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._count = 0

    def look(self, frame: Frame) -> _Seen:
        """A frame, and how much it differs from the one before."""
        small = _small(frame.pixels)
        if self._graph is None:
            self._graph = _graph(small.shape[1], small.shape[0])
        picture = VideoFrame.from_ndarray(small, "rgb24")
        picture.pts, picture.time_base = self._count, Fraction(1, 24)
        self._graph.push(picture)
        found = self._graph.vpull().metadata
        is_first, self._count = self._count == 0, self._count + 1
        thumbnail = cv2.resize(
            cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), _THUMBNAIL, interpolation=cv2.INTER_AREA
        )
        return _Seen(
            index=frame.index,
            # not lavfi.scd.score: it takes off the difference before, and loses cuts out of fast motion
            difference=0.0 if is_first else float(found["lavfi.scd.mafd"]),
            thumbnail=thumbnail.astype(np.float32),
        )


def _small(pixels: UInt8[ndarray, "height width 3"]) -> UInt8[ndarray, "rows columns 3"]:
    """At most 320 pixels wide or high."""
    scale = _WIDTH / max(pixels.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(pixels)
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _graph(width: int, height: int) -> Graph:
    graph = Graph()
    nodes = (
        graph.add_buffer(width=width, height=height, format=VideoFormat("rgb24"), time_base=Fraction(1, 24)),
        graph.add("scdet", "threshold=10"),
        graph.add("buffersink"),
    )
    graph.link_nodes(*nodes)
    graph.configure()
    return graph
