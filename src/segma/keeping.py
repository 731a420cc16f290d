"""What of a tracking session must survive it, and who keeps it.

`tasks` and `store` do not know each other; both know this protocol. The store keeps tracks in a project
folder, `tasks.track_memory_keeper` in memory. A session itself holds only what it can compute again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from segma.errors import InputError
from segma.prompts.types import FramePrompt
from segma.results import TrackRecord

Presence = Literal["unknown", "candidate", "present", "absent"]
PresenceRange = tuple[int, int, Presence]
"""First frame, last frame (inclusive), and what a person said of them."""
Reason = Literal["new", "fix", "import", "auto"]
RunState = Literal["running", "done", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptObject:
    """One object as it is kept: its prompts by frame, and what a person said of its presence.

    `object_id` counts from 1 and is never used again; `absences` are (first, last) frame ranges, inclusive.
    """

    object_id: int
    name: str
    prompts: dict[int, tuple[FramePrompt, ...]] = field(default_factory=dict[int, tuple[FramePrompt, ...]])
    absences: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One propagation: frames `first` to `last` (inclusive), which way, of which objects, and why.

    It writes a new version of each object's track, which inherits all frames it does not hold.
    """

    run_id: str
    object_ids: tuple[int, ...]
    first: int
    last: int | None
    reverse: bool
    reason: Reason
    state: RunState = "running"
    reached: int | None = None
    """The furthest frame, in the run's direction, whose masks are kept."""


@runtime_checkable
class TrackKeeper(Protocol):
    """Keeps objects, prompts, presence, masks in versions, and runs.

    Masks are buffered and written at least once a second while `put` is called, and by `end`; all else is
    written at once.
    """

    def objects(self) -> list[KeptObject]:
        """The objects that were not removed, by id."""
        ...

    def add_object(self, name: str) -> int:
        """A new object's id."""
        ...

    def remove_object(self, object_id: int) -> None:
        """Hide an object; its id is not used again."""
        ...

    def set_prompts(self, object_id: int, frame: int, prompts: tuple[FramePrompt, ...]) -> None:
        """All that is said of an object on a frame, in place of what was said before; () forgets it."""
        ...

    def set_presence(self, object_id: int, first: int, last: int, state: Presence) -> None:
        """What a person says: the object is (not) there on frames `first` to `last`."""
        ...

    def begin(
        self, object_ids: tuple[int, ...], first: int, last: int | None, *, reverse: bool, reason: Reason
    ) -> Run:
        """Start a run: a new version of the track of every object."""
        ...

    def put(self, run: Run, object_id: int, frame: int, record: TrackRecord) -> None:
        """A frame of the run's version.

        Frames come about in the order of the run, the objects of a frame together. The same again changes
        nothing; another one raises StoreError `db.conflict`, since masks are never changed in place.
        """
        ...

    def end(self, run: Run, state: RunState) -> None:
        """The run is over: done, or stopped on request."""
        ...

    def unfinished(self) -> list[Run]:
        """Runs that were neither done nor stopped: the process ended. Newest last."""
        ...

    def get(self, object_id: int, frame: int) -> TrackRecord | None:
        """The record of the current version, from itself or the versions it inherits from."""
        ...

    def records(self, object_id: int, first: int, last: int | None) -> Iterator[tuple[int, TrackRecord]]:
        """Frames and records of the current version in a range, in order."""
        ...

    def save_state(self, name: str, data: bytes) -> None:
        """Keep something that can be computed again at a price; whole or not at all."""
        ...

    def load_state(self, name: str) -> bytes | None:
        """What `save_state` kept under this name; None when it is gone."""
        ...


def paint_presence(
    ranges: tuple[PresenceRange, ...], first: int, last: int, state: Presence
) -> tuple[PresenceRange, ...]:
    """`ranges` after a person says `state` of frames `first` to `last`: the newest word counts.

    The result is sorted and without overlaps; touching ranges of one state are joined, "unknown" is left out.
    Raises InputError where `last` comes before `first`.

    >>> paint_presence(((0, 9, "absent"),), 4, 5, "present")
    ((0, 3, 'absent'), (4, 5, 'present'), (6, 9, 'absent'))
    """
    if not 0 <= first <= last:
        raise InputError("input.value", f"There are no frames {first} to {last}: the first one comes first.")
    rest: list[PresenceRange] = [] if state == "unknown" else [(first, last, state)]
    for start, end, said in ranges:
        if start < first:
            rest.append((start, min(end, first - 1), said))
        if end > last:
            rest.append((max(start, last + 1), end, said))
    joined: list[PresenceRange] = []
    for start, end, said in sorted(rest):
        if joined and joined[-1][2] == said and joined[-1][1] + 1 == start:
            joined[-1] = (joined[-1][0], end, said)
        else:
            joined.append((start, end, said))
    return tuple(joined)
