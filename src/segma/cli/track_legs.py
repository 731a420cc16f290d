"""Runs of `segma track`, leg by leg: what is left of them is kept in the project, so that it can go on.

Invariant: `left` holds, in order, what was asked for and is not tracked yet; the project's setting
`track_left` is the same. A run under way is known to the project besides.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

from segma.cli.console import Console
from segma.cli.progress import Bar
from segma.cli.stopping import Stop
from segma.errors import Cancelled

if TYPE_CHECKING:
    from segma.keeping import Run
    from segma.results import TrackFrame
    from segma.tracker import Tracker

Way = Literal["forward", "reverse", "both"]
OnProgress = Callable[[int, int | None], None]
_SETTING = "track_left"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """Frames `first` to `last` (None: as far as it goes) of objects; `is_fix`: outdated by a correction."""

    objects: tuple[str, ...]
    first: int | None = None
    last: int | None = None
    way: Way = "forward"
    is_fix: bool = False

    def after(self, frame: int) -> Leg | None:
        """What is left once this frame is done."""
        rest = replace(self, last=frame - 1) if self.way == "reverse" else replace(self, first=frame + 1)
        is_empty = rest.first is not None and rest.last is not None and rest.first > rest.last
        return None if is_empty or (self.way == "reverse" and frame == 0) else rest


def read_left(settings: dict[str, Any]) -> list[Leg]:  # JSON
    """What a project still waits for."""
    rows: list[dict[str, Any]] = settings.get(_SETTING, [])  # JSON, as `asdict` made it
    return [Leg(objects=tuple(row.pop("objects")), **row) for row in map(dict, rows)]


@dataclass(slots=True)
class Journey:
    """The legs of one command. `frames` counts those that were given, `reached` is the last of them."""

    tracker: Tracker
    console: Console
    stop: Stop
    is_told: bool = True
    """Whether --json tells of every frame."""
    left: list[Leg] = field(init=False, default_factory=list[Leg])
    frames: int = 0
    reached: int | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        names = self.tracker.session.names
        for leg in read_left(self.tracker.project.settings):
            objects = tuple(name for name in leg.objects if name in names)  # others were removed since
            self.left += [replace(leg, objects=objects)] if objects else []

    def plan(self, leg: Leg) -> None:
        """Put a leg before all others; it survives the end of the process from now on."""
        self._keep([leg, *self.left])
        self._save_memories()

    def find_cuts(self) -> None:
        """Look for shot cuts, unless they are to be ignored. Raises Cancelled."""
        if self.tracker.session.config.cuts == "ignore":
            return
        with Bar("looking for cuts", quiet=self.console.quiet) as bar, self.stop.gently() as event:
            self.tracker.cuts(on_progress=bar.update, cancel=event)

    def run(self, count: int) -> None:
        """Track the first `count` legs. Raises Cancelled; what is left can be gone on with."""
        rest = len(self.left) - count
        while len(self.left) > rest:
            legs = legs_of(self.tracker, self.left[0])
            if legs != self.left[:1]:
                self._keep([*legs, *self.left[1:]])
                continue
            self._track(self.left[0])

    def resume(self) -> None:
        """Go on with what a process left when it ended, then with what is left. Raises Cancelled."""
        lost = self.tracker.session.keeper.unfinished()
        ours = [leg for leg in self.left if any(_is_of(self.tracker, leg, run) for run in lost)]
        others = [leg for leg in self.left if leg not in ours]
        if lost:
            try:
                self._follow(lambda tell, event: self.tracker.resume(on_progress=tell, cancel=event))
            except (Cancelled, KeyboardInterrupt):
                rest = self._rest_of_lost(lost, ours)
                self._keep([*rest, *others])
                raise
            self._keep(others)
        self.run(len(self.left))

    def fix(self) -> dict[str, list[int]]:
        """Track again what corrections have outdated: the frames, by object. Raises Cancelled."""
        before = list(self.left)
        self._keep([*stale_legs(self.tracker), *before])
        self._save_memories()
        done: dict[str, set[int]] = {}

        def note(frame: TrackFrame) -> None:
            for name in frame.tracked:
                done.setdefault(name, set()).add(frame.index)

        session = self.tracker.session
        self._follow(lambda tell, event: session.run_stale(on_progress=tell, cancel=event), note)
        self._keep(before)
        return {name: sorted(frames) for name, frames in done.items()}

    def _track(self, leg: Leg) -> None:
        def start(tell: OnProgress, event: Event) -> Iterator[TrackFrame]:
            return self.tracker.run(
                leg.first,
                leg.last,
                reverse=leg.way == "reverse",
                objects=leg.objects,
                on_progress=tell,
                cancel=event,
            )

        self.reached = None
        try:
            self._follow(start)
        except (Cancelled, KeyboardInterrupt):
            if self.reached is not None:
                rest = leg.after(self.reached)
                self._keep([*([rest] if rest else []), *self.left[1:]])
            raise
        self._keep(self.left[1:])

    def _follow(
        self,
        start: Callable[[OnProgress, Event], Iterator[TrackFrame]],
        note: Callable[[TrackFrame], None] | None = None,
    ) -> None:
        """Take all frames of a run, and tell each where --json was given."""
        began = time.monotonic()
        try:
            with Bar("frames", quiet=self.console.quiet, memory=True) as bar, self.stop.gently() as event:
                for frame in start(bar.update, event):
                    self.frames, self.reached = self.frames + 1, frame.index
                    if note is not None:
                        note(frame)
                    if self.console.json and self.is_told:
                        self._print(frame, bar)
        finally:
            self.seconds += time.monotonic() - began

    def _print(self, frame: TrackFrame, bar: Bar) -> None:
        if not sys.stdout.isatty():
            self.console.result("", frame.to_dict())
            return
        with bar.paused():
            self.console.result("", frame.to_dict())

    def _rest_of_lost(self, lost: Sequence[Run], ours: Sequence[Leg]) -> list[Leg]:
        """What is left of legs whose resumed run was stopped again."""
        if len(lost) > 1 or len(ours) != 1 or ours[0].is_fix or self.reached is None:
            return list(ours)
        rest = ours[0].after(self.reached)
        return [rest] if rest else []

    def _save_memories(self) -> None:
        """Save what was said: made again from its masks, it would be nearly the same only."""
        from segma.keeping import Run

        no_run = Run(run_id="", object_ids=(), first=0, last=None, reverse=False, reason="new")
        self.tracker.session.save_state(no_run, None)

    def _keep(self, left: Sequence[Leg]) -> None:
        self.left = list(left)
        self.tracker.project.set_setting(_SETTING, [asdict(leg) for leg in self.left])


def legs_of(tracker: Tracker, leg: Leg) -> list[Leg]:
    """A leg with its frames in numbers; "both" becomes one forward and those to the shots' beginnings."""
    if leg.first is not None and leg.last is not None and leg.way != "both":
        return [leg]
    tracks = [tracker.session.track(name) for name in leg.objects]
    anchors = {track.name: sorted(track.prompts) for track in tracks if track.prompts}
    if not anchors:
        return []
    end = max(0, (tracker.num_frames or 1) - 1)
    low, high = leg.first or 0, end if leg.last is None else leg.last
    if leg.way == "reverse":
        high = max(max(frames) for frames in anchors.values()) if leg.last is None else high
        return [replace(leg, first=low, last=high)]
    first = min(min(frames) for frames in anchors.values()) if leg.first is None else low
    forward = replace(leg, first=min(first, high), last=high, way="forward")
    return [forward] if leg.way == "forward" else [forward, *_backward(tracker, anchors, low, high)]


def _backward(tracker: Tracker, anchors: dict[str, list[int]], low: int, high: int) -> list[Leg]:
    """From the first prompt of every shot to its beginning; objects of the same frames go together."""
    from segma.tasks.track_plan import shot_at

    cuts = () if tracker.session.config.cuts == "ignore" else tracker.session.cuts
    stretches: dict[tuple[int, int], list[str]] = {}
    for name, frames in anchors.items():
        firsts: dict[int, int] = {}
        for frame in frames:
            firsts.setdefault(shot_at(frame, cuts)[0], frame)
        for begin, anchor in firsts.items():
            first, last = max(begin, low), min(anchor, high)
            if first < last:
                stretches.setdefault((first, last), []).append(name)
    return [
        Leg(objects=tuple(names), first=first, last=last, way="reverse")
        for (first, last), names in sorted(stretches.items())
    ]


def stale_legs(tracker: Tracker) -> list[Leg]:
    """What corrections have outdated, as legs, for the case that tracking it again is interrupted."""
    from segma.tasks.track_plan import stale_stretches

    session = tracker.session
    cuts = () if session.config.cuts == "ignore" else session.cuts
    ways: tuple[Way, Way] = ("forward", "reverse")
    return [
        Leg(objects=(track.name,), first=each.first, last=each.last, way=way, is_fix=True)
        for way in ways
        for track in session.tracks.values()
        for each in stale_stretches(track, cuts, session.last_frame, reverse=way == "reverse")
    ]


def _is_of(tracker: Tracker, leg: Leg, run: Run) -> bool:
    """Whether a leg is part of a run."""
    ids = {track.object_id for track in tracker.session.tracks.values() if track.name in leg.objects}
    if leg.first is None or leg.last is None or run.last is None:
        return False
    is_within = run.first <= leg.first and leg.last <= run.last
    is_alike = leg.is_fix == (run.reason == "fix") and (leg.way == "reverse") == run.reverse
    return is_within and is_alike and ids <= set(run.object_ids)
