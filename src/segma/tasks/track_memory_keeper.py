"""Keeps a tracking session in memory: what `store` keeps in a project folder, without undo.

Invariants: `_latest` holds, for every object, the newest record of each frame; `_written` holds what each
run put, so that no run changes a mask in place.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from dataclasses import replace

from segma.errors import InputError, StoreError
from segma.keeping import KeptObject, Presence, PresenceRange, Reason, Run, RunState, paint_presence
from segma.prompts.types import FramePrompt
from segma.results import TrackRecord


class MemoryKeeper:
    """A `TrackKeeper` that lives as long as this object. It may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._objects: dict[int, KeptObject] = {}
        self._presence: dict[int, tuple[PresenceRange, ...]] = {}
        self._num_objects = 0
        self._runs: dict[str, Run] = {}
        self._lost: set[str] = set()
        self._latest: dict[int, dict[int, TrackRecord]] = {}
        self._written: dict[tuple[str, int], dict[int, TrackRecord]] = {}
        self._states: dict[str, bytes] = {}

    def objects(self) -> list[KeptObject]:
        """The objects that were not removed, by id."""
        with self._lock:
            return [
                replace(kept, prompts=dict(sorted(kept.prompts.items()))) for kept in self._objects.values()
            ]

    def add_object(self, name: str) -> int:
        """A new object's id."""
        with self._lock:
            self._num_objects += 1
            self._objects[self._num_objects] = KeptObject(object_id=self._num_objects, name=name)
            self._latest[self._num_objects] = {}
            self._presence[self._num_objects] = ()
            return self._num_objects

    def remove_object(self, object_id: int) -> None:
        """Forget an object; its id is not used again."""
        with self._lock:
            self._known(object_id)
            del self._objects[object_id], self._presence[object_id]
            self._latest[object_id] = {}

    def set_prompts(self, object_id: int, frame: int, prompts: tuple[FramePrompt, ...]) -> None:
        """All that is said of an object on a frame, in place of what was said before; () forgets it."""
        with self._lock:
            kept = self._known(object_id)
            others = {at: said for at, said in kept.prompts.items() if at != frame}
            self._objects[object_id] = replace(
                kept, prompts={**others, frame: prompts} if prompts else others
            )

    def set_presence(self, object_id: int, first: int, last: int, state: Presence) -> None:
        """What a person says: the object is (not) there on frames `first` to `last`."""
        with self._lock:
            kept = self._known(object_id)
            ranges = paint_presence(self._presence[object_id], first, last, state)
            self._presence[object_id] = ranges
            absences = tuple((start, end) for start, end, said in ranges if said == "absent")
            self._objects[object_id] = replace(kept, absences=absences)

    def begin(
        self, object_ids: tuple[int, ...], first: int, last: int | None, *, reverse: bool, reason: Reason
    ) -> Run:
        """Start a run: a new version of the track of every object."""
        with self._lock:
            for object_id in object_ids:
                self._known(object_id)
            run = Run(
                run_id=f"run {len(self._runs) + 1}",
                object_ids=object_ids,
                first=first,
                last=last,
                reverse=reverse,
                reason=reason,
            )
            self._runs[run.run_id] = run
            for object_id in object_ids:
                self._written[run.run_id, object_id] = {}
            return run

    def put(self, run: Run, object_id: int, frame: int, record: TrackRecord) -> None:
        """A frame of the run's version. Raises StoreError `db.conflict` where it holds another record."""
        with self._lock:
            current, written = self._going(run), self._written.get((run.run_id, object_id))
            if written is None:
                raise InputError("input.value", f"Object {object_id} is no part of this run.")
            if written.setdefault(frame, record) != record:
                raise StoreError("db.conflict", f"This run has another mask of frame {frame} already.")
            self._lost.discard(run.run_id)
            reached = frame if current.reached is None else current.reached
            furthest = min(frame, reached) if run.reverse else max(frame, reached)
            self._runs[run.run_id] = replace(current, reached=furthest)
            if object_id in self._objects:
                self._latest[object_id][frame] = record

    def end(self, run: Run, state: RunState) -> None:
        """The run is over: done, or stopped on request."""
        with self._lock:
            self._runs[run.run_id] = replace(self._going(run), state=state)
            self._lost.discard(run.run_id)
            for object_id in run.object_ids:
                del self._written[run.run_id, object_id]

    def unfinished(self) -> list[Run]:
        """Runs that were neither done nor stopped before `reopened`. Newest last."""
        with self._lock:
            return [run for run_id, run in self._runs.items() if run_id in self._lost]

    def get(self, object_id: int, frame: int) -> TrackRecord | None:
        """The newest record of a frame."""
        with self._lock:
            return self._latest.get(object_id, {}).get(frame)

    def records(self, object_id: int, first: int, last: int | None) -> Iterator[tuple[int, TrackRecord]]:
        """Frames and newest records in a range, in order."""
        with self._lock:
            latest = self._latest.get(object_id, {})
            found = sorted(frame for frame in latest if frame >= first and (last is None or frame <= last))
            pairs = [(frame, latest[frame]) for frame in found]
        yield from pairs

    def save_state(self, name: str, data: bytes) -> None:
        """Keep bytes under a name."""
        with self._lock:
            self._states[name] = bytes(data)

    def load_state(self, name: str) -> bytes | None:
        """What `save_state` kept under this name."""
        with self._lock:
            return self._states.get(name)

    def reopened(self) -> MemoryKeeper:
        """A copy as another process would find it, had this one ended now: runs that go on are unfinished."""
        other = MemoryKeeper()
        with self._lock:
            other._objects, other._presence = dict(self._objects), dict(self._presence)
            other._num_objects, other._runs = self._num_objects, dict(self._runs)
            other._lost = {run_id for run_id, run in self._runs.items() if run.state == "running"}
            other._latest = {key: dict(value) for key, value in self._latest.items()}
            other._written = {key: dict(value) for key, value in self._written.items()}
            other._states = copy.copy(self._states)
        return other

    def forget(self, frame: int) -> None:
        """Drop all records up to a frame, for streams without end."""
        with self._lock:
            for records in (*self._latest.values(), *self._written.values()):
                for old in [old for old in records if old <= frame]:
                    del records[old]

    def _known(self, object_id: int) -> KeptObject:
        """An object that is not removed, or InputError."""
        if object_id not in self._objects:
            raise InputError("input.value", f"There is no object {object_id}.")
        return self._objects[object_id]

    def _going(self, run: Run) -> Run:
        """The run as it stands, or StoreError where it is over."""
        current = self._runs.get(run.run_id)
        if current is None or current.state != "running":
            raise StoreError("db.conflict", "This run is over: its masks do not change any more.")
        return current
