"""What happens in a clip, with times: found from where things are, in two strengths.

What is clear to a viewer is an event; what might be taken for one is a hint. A sentence about an event is
only true for sure where it is an event for what it means, and not even a hint for everything else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from segma.worlds.courses import Courses

EventKind = Literal["starts", "stops", "turns back", "leaves", "returns", "collides", "overtakes", "hides"]
KINDS: tuple[EventKind, ...] = (
    *("starts", "stops", "turns back", "leaves", "returns", "collides", "overtakes", "hides"),
)
WITH_ANOTHER: tuple[EventKind, ...] = ("collides", "overtakes", "hides")
"""Kinds that something else takes part in: what is run into, overtaken, hidden behind."""
_ROOM = 2  # frames around an event on which it must be seen, without a cut


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that a thing does: `thing` and `other` are places in the lists of `Courses`.

    `frame` is when it happens; `start` and `stop` are the first and last frame that show it.
    """

    kind: EventKind
    thing: int
    frame: int
    start: int
    stop: int
    other: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """From where on something counts; lengths by frame, cosines, shares, frames.

    `moving` and `still` bound speeds, `run` is for how many frames; `turn` is the cosine between the ways
    before and after, `same` that between two that go one way; `ahead` is how far behind, then in front of
    another it must be; `away` is for how many frames something is not seen; `hidden` is the share that is
    covered.
    """

    moving: float
    still: float
    run: int
    turn: float
    same: float
    ahead: float
    away: int
    hidden: float


CLEAR = Limits(moving=0.005, still=0.0012, run=3, turn=-0.7, same=0.8, ahead=0.025, away=2, hidden=0.85)
DOUBTFUL = Limits(moving=0.0025, still=0.0025, run=2, turn=-0.2, same=0.3, ahead=0.005, away=1, hidden=0.4)


def find_events(
    courses: Courses, kinds: Collection[str] = KINDS
) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Events of some kinds, and hints (which hold all events as well), in order of time."""
    hints = list(_all(courses, DOUBTFUL, kinds))
    events = [each for each in _all(courses, CLEAR, kinds) if _is_shown(each, courses)]
    known = {(each.kind, each.thing, each.other) for each in hints}
    hints += [each for each in events if (each.kind, each.thing, each.other) not in known]
    return _in_order(events), _in_order(hints)


def _in_order(events: list[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda each: (each.frame, each.kind, each.thing, each.other or 0)))


def _is_shown(event: Event, courses: Courses) -> bool:
    """Whether it is seen, with no cut near it, and no moving camera where that would hide it."""
    near = range(max(0, event.frame - _ROOM), min(courses.num_frames, event.frame + _ROOM + 1))
    if any(cut in range(event.start, event.stop + _ROOM) for cut in courses.cuts):
        return False
    if event.kind in ("leaves", "returns", "hides"):
        return True
    if event.kind in ("starts", "stops", "turns back") and not courses.steady[near].all():
        return False
    both = [event.thing] if event.other is None else [event.thing, event.other]
    return bool((courses.areas[both][:, near] > 0).all())


def _all(courses: Courses, limits: Limits, kinds: Collection[str]) -> Iterator[Event]:
    for thing in range(len(courses.areas)):
        found = (
            speed_changes(courses.places[thing], limits, thing),
            turns(courses.places[thing], limits, thing) if "turns back" in kinds else (),
            absences(courses.areas[thing] > 0, courses.wholes[thing] > 0, limits, thing),
        )
        yield from (each for some in found for each in some if each.kind in kinds)
        if any(kind in kinds for kind in WITH_ANOTHER):
            yield from _meetings(courses, limits, thing, kinds)


def speed_changes(path: Float[ndarray, "frames 2"], limits: Limits, thing: int = 0) -> Iterator[Event]:
    """Starts and stops of something that goes along a path."""
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1)
    yield from _stops(speed, limits, thing)
    last = len(path) - 1
    for each in _stops(speed[::-1], limits, thing):
        frame, start, stop = last - each.frame, last - each.stop, last - each.start
        yield Event(kind="starts", thing=thing, frame=frame, start=start, stop=stop)


def _stops(speed: Float[ndarray, " steps"], limits: Limits, thing: int) -> Iterator[Event]:
    moving, still = speed >= limits.moving, speed <= limits.still
    step = limits.run
    while step < len(speed):
        before = moving[step - limits.run : step].all()
        begins = next((i for i in range(step, min(step + 4, len(speed))) if still[i]), None)
        rests = begins is not None and still[begins : begins + limits.run].sum() == limits.run
        if before and begins is not None and rests:
            yield Event(kind="stops", thing=thing, frame=begins, start=begins - 1, stop=begins + 1)
            step = begins + limits.run
        step += 1


def turns(path: Float[ndarray, "frames 2"], limits: Limits, thing: int = 0) -> Iterator[Event]:
    """Where something goes back the way it came: the sharpest moment of each turn."""
    reach = 4
    sharp: list[tuple[float, float, int]] = []  # where equally sharp, the longest ways are best
    for frame in range(reach, len(path) - reach):
        before, after = path[frame] - path[frame - reach], path[frame + reach] - path[frame]
        lengths = np.linalg.norm(before), np.linalg.norm(after)
        if min(lengths) >= reach * limits.moving * 0.8:
            cosine = float(before @ after / (lengths[0] * lengths[1]))
            if cosine <= limits.turn:
                sharp.append((round(cosine, 2), -round(float(min(lengths)), 6), frame))
    while sharp:
        _, _, frame = min(sharp)
        yield Event(kind="turns back", thing=thing, frame=frame, start=frame - 2, stop=frame + 2)
        sharp = [each for each in sharp if abs(each[2] - frame) > reach]


def absences(
    seen: Bool[ndarray, " frames"], within: Bool[ndarray, " frames"], limits: Limits, thing: int = 0
) -> Iterator[Event]:
    """Leaves and returns: when something is no longer seen because it is not in the picture, and seen again.

    `within` says by frame whether any of it, hidden or not, is within the frame. What is only hidden is no
    event, though it is a hint. Gone all at once from amidst the picture is leaving as well.
    """
    edges = np.flatnonzero(np.diff(seen.astype(int)))
    for edge in edges[~seen[edges + 1]]:
        gone = int(edge) + 1
        again = next((i for i in range(gone, len(seen)) if seen[i]), None)
        away = (len(seen) if again is None else again) - gone
        if away < limits.away or not seen[max(0, gone - limits.away) : gone].all():
            continue
        if within[gone : gone + away].all() and limits is CLEAR:
            continue
        yield Event(kind="leaves", thing=thing, frame=gone, start=max(0, gone - 2), stop=gone)
        if again is not None:
            yield Event(
                kind="returns", thing=thing, frame=again, start=again, stop=min(again + 1, len(seen) - 1)
            )


def _meetings(courses: Courses, limits: Limits, thing: int, kinds: Collection[str]) -> Iterator[Event]:
    for other in range(len(courses.areas)):
        if other != thing and "collides" in kinds:
            yield from _collisions(courses, limits, thing, other)
        if other != thing and "overtakes" in kinds:
            yield from overtakings(courses.places[thing], courses.places[other], limits, thing, other)
        if other != thing and "hides" in kinds:
            yield from _hidings(courses, limits, thing, other)


def _collisions(courses: Courses, limits: Limits, thing: int, other: int) -> Iterator[Event]:
    """Times when something that moves comes to touch another, after they were apart."""
    clear = limits is CLEAR
    apart = ~courses.near[thing, other] if clear else ~courses.touch[thing, other]
    meets = courses.overlap[thing, other] > 0 if clear else courses.near[thing, other]
    seen = (courses.areas[thing] > 0) & (courses.areas[other] > 0)
    frame = 1
    while frame < courses.num_frames:
        if meets[frame] and not meets[frame - 1]:
            was_apart = (apart & seen)[max(0, frame - 4) : frame].any() if clear else True
            step = np.linalg.norm(courses.places[thing, frame] - courses.places[thing, frame - 1])
            if was_apart and (step >= limits.moving or not clear):
                start, stop = max(0, frame - 2), min(frame + 1, courses.num_frames - 1)
                yield Event(kind="collides", thing=thing, other=other, frame=frame, start=start, stop=stop)
        frame += 1


def overtakings(
    path: Float[ndarray, "frames 2"],
    other_path: Float[ndarray, "frames 2"],
    limits: Limits,
    thing: int = 0,
    other: int = 1,
) -> Iterator[Event]:
    """Times when something that goes the same way as another gets in front of it."""
    reach = 3
    for frame in range(reach, len(path) - reach):
        way = path[frame + reach] - path[frame - reach]
        slower = other_path[frame + reach] - other_path[frame - reach]
        lengths = float(np.linalg.norm(way)), float(np.linalg.norm(slower))
        if (
            min(lengths) < 2 * reach * limits.moving * 0.8
            or way @ slower < limits.same * lengths[0] * lengths[1]
        ):
            continue
        along = (path - other_path) @ (way / lengths[0])
        passes = along[frame - 1] <= 0 < along[frame]
        clear = along[frame - reach] < -limits.ahead / 2 and along[frame + reach] > limits.ahead / 2
        aside = float(np.linalg.norm(path[frame] - other_path[frame]))
        if passes and clear and aside < (0.45 if limits is CLEAR else 0.9):
            start, stop = frame - reach, frame + reach
            yield Event(kind="overtakes", thing=thing, other=other, frame=frame, start=start, stop=stop)


def _hidings(courses: Courses, limits: Limits, thing: int, other: int) -> Iterator[Event]:
    """Times when something that was seen gets behind another."""
    whole = np.maximum(courses.wholes[thing], 1e-9)
    hidden = 1 - courses.areas[thing] / whole
    is_hidden = (hidden >= limits.hidden) & (courses.cover[other, thing] >= 0.8 * limits.hidden)
    is_hidden &= courses.wholes[thing] > 0
    free = (hidden < 0.3) & (courses.areas[thing] > 0)
    for edge in np.flatnonzero(np.diff(is_hidden.astype(int)) > 0):
        frame = int(edge) + 1
        if free[:frame].any() and courses.areas[other, frame] > 0:
            start = int(np.flatnonzero(free[:frame])[-1])
            yield Event(kind="hides", thing=thing, other=other, frame=frame, start=start, stop=frame)
