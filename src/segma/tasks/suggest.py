"""Which frame deserves a look: where a correction is expected to repair the most in the least time.

Reads kept records in order and holds a bounded number of candidates, so the length of a video does not
matter. The quality of a frame is a guess from the model's own signals, by this library's own rule. The gain
is (1 - quality) summed over the frames that a correction would repair, over the seconds it takes.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from segma.media.source import DEFAULT_FPS
from segma.results import TrackRecord
from segma.tasks.track_plan import shot_at

if TYPE_CHECKING:
    from segma.tasks.track import VideoSession

Why = Literal[
    "low quality", "area jump", "box jump", "appears", "disappears", "far from a prompt", "cut", "unknown"
]
"""What stands out on a frame; "unknown": nothing is kept of it, and nobody said that the object is away."""

_LOW = 0.75  # frames of lower quality in a row are one stretch that a correction repairs
_LONGEST = 128  # frames of such a stretch
_APART = 15  # frames between two suggestions of one object
_FIND_SECONDS, _CLICK_SECONDS = 1.0, 1.5
_FAR = 1500  # frames from the nearest prompt at which quality is taken to have halved
_SUDDEN = 0.5  # area ratio, and the step of the box in parts of its side, that count as jumps
_CHANGE, _CUT, _UNKNOWN = 0.7, 0.8, 0.5  # quality where presence changes; after a cut; where nothing is kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """A frame to look at. `gain` is what a correction is expected to repair, in frames a second."""

    frame: int
    name: str
    reason: Why
    gain: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackSummary:
    """How often an object is there, and the frame of lowest predicted IoU among those (None without one)."""

    name: str
    present: int
    absent: int
    lowest_frame: int | None
    lowest_quality: float | None


@dataclass(slots=True)
class _Stretch:
    """Frames of low quality in a row: what is lost on them, and the worst of them."""

    frames: int = 0
    lost: float = 0.0
    worst: tuple[float, int, Why] = (2.0, 0, "low quality")

    def add(self, frame: int, quality: float, why: Why) -> None:
        self.frames += 1
        self.lost += 1 - quality
        self.worst = min(self.worst, (quality, frame, why), key=lambda each: each[0])


@dataclass(slots=True)
class _Shortlist:
    """The best suggestions so far, at most `size`."""

    size: int
    heap: list[tuple[float, int, int, Suggestion]] = field(
        default_factory=list[tuple[float, int, int, Suggestion]]
    )

    def offer(self, suggestion: Suggestion, object_id: int) -> None:
        heapq.heappush(self.heap, (suggestion.gain, -suggestion.frame, -object_id, suggestion))
        if len(self.heap) > self.size:
            heapq.heappop(self.heap)


def suggest(session: VideoSession, count: int = 3) -> list[Suggestion]:
    """Frames worth a person's look, best first, those of one object at least 15 frames apart.

    Prompted frames and what a person said are left out; so are objects of which nothing is kept.
    """
    shortlist = _Shortlist(max(64, 8 * count))
    for key in sorted(session.tracks):
        _read(session, key, shortlist)
    found: list[Suggestion] = []
    for *_, each in sorted(shortlist.heap, key=lambda entry: entry[:3], reverse=True):
        if len(found) >= count:
            break
        if all(each.name != other.name or abs(each.frame - other.frame) >= _APART for other in found):
            found.append(each)
    return found


def summary_of(session: VideoSession, name: str) -> TrackSummary:
    """The line that the command line prints of an object. Raises PromptError `prompt.object`."""
    present = absent = 0
    lowest: tuple[float, int] | None = None
    for frame, record in session.keeper.records(session.track(name).object_id, 0, None):
        if not record.is_present:
            absent += 1
            continue
        present += 1
        if record.source == "model" and not record.is_anchor:
            here = (record.predicted_iou, frame)
            lowest = here if lowest is None else min(lowest, here)
    return TrackSummary(
        name=name,
        present=present,
        absent=absent,
        lowest_frame=None if lowest is None else lowest[1],
        lowest_quality=None if lowest is None else lowest[0],
    )


def _read(session: VideoSession, key: int, shortlist: _Shortlist) -> None:
    """Offer the stretches of low quality of an object, and single frames where quality is fine."""
    track = session.tracks[key]
    fps, cuts = session.source.fps or DEFAULT_FPS, frozenset(session.cuts)
    stretch = _Stretch()

    def close() -> None:
        nonlocal stretch
        if stretch.frames:
            _, frame, why = stretch.worst
            seconds = _FIND_SECONDS + _CLICK_SECONDS + stretch.frames / fps
            gain = stretch.lost / seconds
            shortlist.offer(Suggestion(frame=frame, name=track.name, reason=why, gain=gain), key)
        stretch = _Stretch()

    for frame, quality, why in _judged(session, key):
        if quality is None or why is None:  # a person's word: nothing beyond it is repaired
            close()
            continue
        if frame in cuts or stretch.frames >= _LONGEST or (stretch.frames and quality >= _LOW):
            close()
        stretch.add(frame, quality, why)
        if quality >= _LOW:
            close()
    close()


def _judged(session: VideoSession, key: int) -> Iterator[tuple[int, float | None, Why | None]]:
    """Every frame's quality and what stands out on it; None for both where a person has spoken."""
    track, cuts = session.tracks[key], frozenset(session.cuts)
    anchors = sorted(track.prompts)
    before: tuple[int, TrackRecord] | None = None
    for frame, record in session.keeper.records(key, 0, None):
        if before is not None:
            yield from _missing(session, key, before[0] + 1, frame - 1)
        if record.source == "person" or record.is_anchor or track.is_absent(frame):
            yield frame, None, None
        else:
            last = before[1] if before is not None and before[0] == frame - 1 and frame not in cuts else None
            yield frame, *_quality(record, last, _distance(frame, anchors), is_cut=frame in cuts)
        before = (frame, record)
    if before is not None and session.last_frame is not None:
        yield from _missing(session, key, before[0] + 1, session.last_frame)


def _missing(
    session: VideoSession, key: int, first: int, last: int
) -> Iterator[tuple[int, float | None, Why | None]]:
    """The first frames of each shot in which nothing is kept; what was left out otherwise is no trouble."""
    if first > last:
        return
    yield first, None, None
    for cut in session.cuts:
        if not first <= cut <= last:
            continue
        yield cut, None, None
        end = shot_at(cut, session.cuts)[1]
        for frame in range(cut, min(last if end is None else min(last, end), cut + _LONGEST - 1) + 1):
            if not session.tracks[key].is_absent(frame):
                yield frame, _UNKNOWN, "unknown"


def _quality(
    record: TrackRecord, last: TrackRecord | None, distance: int, *, is_cut: bool
) -> tuple[float, Why]:
    """A quality in 0..1 and the signal that lowers it most. `last` is the frame just before."""
    sure = 1 / (1 + math.exp(-min(50.0, abs(record.object_score))))
    own = sure
    if record.is_present:
        own *= min(record.predicted_iou, 1.0 if record.stability_score is None else record.stability_score)
    parts: list[tuple[float, Why]] = [
        (own, "low quality"),
        (0.5 ** (distance / _FAR), "far from a prompt"),
        (_CUT if is_cut else 1.0, "cut"),
    ]
    if last is not None and last.is_present != record.is_present:
        parts.append((_CHANGE, "appears" if record.is_present else "disappears"))
    elif last is not None and record.is_present:
        parts += _jumps(record, last)
    quality = math.prod(part for part, _ in parts)
    return max(0.0, min(1.0, quality)), min(parts, key=lambda each: each[0])[1]


def _jumps(record: TrackRecord, last: TrackRecord) -> list[tuple[float, Why]]:
    """How smoothly area and box go on from the frame before, each 1 for a small change."""
    areas = sorted((record.compact.area, last.compact.area))
    if not areas[0]:
        return [] if not areas[1] else [(_CHANGE, "area jump")]
    ratio = areas[0] / areas[1]
    x0, y0, x1, y1 = last.compact.box
    a0, b0, a1, b1 = record.compact.box
    step = math.hypot((a0 + a1 - x0 - x1) / 2, (b0 + b1 - y0 - y1) / 2)
    side = math.sqrt((x1 - x0 + 1) * (y1 - y0 + 1))
    return [
        (min(1.0, ratio / _SUDDEN), "area jump"),
        (min(1.0, _SUDDEN * side / step) if step > 0 else 1.0, "box jump"),
    ]


def _distance(frame: int, anchors: Sequence[int]) -> int:
    """Frames to the nearest prompted one; 0 where there is none."""
    place = bisect_left(anchors, frame)
    return min((abs(frame - other) for other in anchors[max(0, place - 1) : place + 1]), default=0)
