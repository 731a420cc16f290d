"""Undo and redo of what people did to an asset, from its log of events; nothing is computed again.

A step is one action of a person. Events that one action makes belong to one step: a first click (the object,
its prompt and the mask of that frame), a correction (prompt and mask of the frame), an absence (the word and
its empty masks).

Invariants: the log is only appended to, so what can be undone is known after reopening as before; a new
action ends what can be redone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, update

from segma.errors import StoreError
from segma.store import events, jobs, versions
from segma.store.columns import utc_now
from segma.store.events import Event
from segma.store.schema import ObjectRow, PresenceRow, PromptRow
from segma.store.tracks import AssetTracks


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One action of a person: its events, oldest first."""

    events: tuple[Event, ...]

    @property
    def kind(self) -> events.EventKind:
        """What the action was: the kind of its first event."""
        return self.events[0].kind


class History:
    """What can be undone and redone of an asset. After either, a session reads its objects anew."""

    def __init__(self, tracks: AssetTracks) -> None:
        self._tracks = tracks
        self._seen = 0
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def done(self) -> list[Step]:
        """Steps that can be undone, the last one first to go."""
        self._read_on()
        return list(self._done)

    def undone(self) -> list[Step]:
        """Steps that can be redone, the last one first to come back."""
        self._read_on()
        return list(self._undone)

    def undo(self) -> Step | None:
        """Take the last step back; None where there is none.

        Raises StoreError `db.conflict` while a run of the step goes on.
        """
        return self._move("undo")

    def redo(self) -> Step | None:
        """Do the step again that was undone last; None where there is none, or something new was done."""
        return self._move("redo")

    def _move(self, kind: events.EventKind) -> Step | None:
        tracks = self._tracks
        with tracks.lock:
            tracks.flush()
            self._read_on()
            steps = self._done if kind == "undo" else self._undone
            if not steps:
                return None
            step = steps[-1]
            if any(event.payload.get("run") in tracks.project.live_runs for event in step.events):
                raise StoreError("db.conflict", "A run that goes on cannot be undone.", "Stop it first.")
            with tracks.project.writing() as connection:
                for event in reversed(step.events) if kind == "undo" else step.events:
                    _apply(connection, event, forward=kind == "redo")
                payload = {"step": step.events[0].number}
                events.append(connection, tracks.asset.asset_id, kind, payload)
            tracks.versions_changed()
            self._read_on()
            return step

    def _read_on(self) -> None:
        """Take in what the log has got since."""
        with self._tracks.lock:
            with self._tracks.project.reading() as connection:
                new = events.read(connection, self._tracks.asset.asset_id, after=self._seen)
            for event in new:
                self._take(event)
                self._seen = event.number

    def _take(self, event: Event) -> None:
        if event.kind == "undo":
            self._undone.append(self._done.pop())
        elif event.kind == "redo":
            self._done.append(self._undone.pop())
        elif event.kind == "collect":
            gone = set(event.payload["objects"])
            self._done = [left for step in self._done if (left := _without(step, gone)) is not None]
            self._undone = [left for step in self._undone if (left := _without(step, gone)) is not None]
        else:
            self._undone.clear()
            if self._done and _is_part_of(event, self._done[-1].events[-1]):
                self._done[-1] = Step(events=(*self._done[-1].events, event))
            else:
                self._done.append(Step(events=(event,)))


def _is_part_of(event: Event, before: Event) -> bool:
    """Whether an event and the one right before it come of one action."""
    if event.number != before.number + 1 or event.object is None or event.object != before.object:
        return False
    if event.kind == "prompts":
        return before.kind == "object.add"
    if event.kind != "run":
        return False
    said = (
        (before.frame, before.frame)
        if before.kind == "prompts"
        else (before.payload.get("first"), before.payload.get("last"))
    )
    is_word = before.kind in ("prompts", "presence")
    return is_word and said == (event.payload["first"], event.payload["last"])


def _without(step: Step, gone: set[str]) -> Step | None:
    """A step without the objects that were collected, or None where nothing is left of it."""
    left = tuple(event for event in step.events if event.object is None or event.object not in gone)
    return Step(events=left) if left else None


def _apply(connection: Connection, event: Event, *, forward: bool) -> None:
    """Do again, or take back, what an event tells of."""
    payload = event.payload
    if event.kind in ("object.add", "object.remove"):
        _set_hidden(connection, event.object, hidden=(event.kind == "object.remove") == forward)
    elif event.kind == "object.rename":
        name = payload["after" if forward else "before"]
        connection.execute(update(ObjectRow).where(ObjectRow.id == event.object).values(name=name))
    elif event.kind in ("prompts", "presence"):
        _swap(connection, PromptRow if event.kind == "prompts" else PresenceRow, payload, forward=forward)
    elif event.kind == "run":
        if forward:
            versions.bring_back(connection, payload["run"])
        else:
            versions.take_back(connection, payload["run"])
            jobs.finish(connection, payload["run"], "stopped")  # where it was lost, nobody goes on with it


def _set_hidden(connection: Connection, object_id: str | None, *, hidden: bool) -> None:
    changes: dict[str, Any] = {  # a text and a time
        "state": "hidden" if hidden else "active",
        "hidden_at": utc_now() if hidden else None,
    }
    query = update(ObjectRow).where(ObjectRow.id == object_id, ObjectRow.state != "collected")
    connection.execute(query.values(changes))


def _swap(
    connection: Connection,
    table: type[PromptRow] | type[PresenceRow],
    payload: dict[str, Any],  # the lists of ids that the event holds
    *,
    forward: bool,
) -> None:
    """Let the rows of after the event stand in place of those of before it, or the other way round."""
    standing, fallen = ("after", "before") if forward else ("before", "after")
    for ids, undone_at in ((payload[fallen], utc_now()), (payload[standing], None)):
        if ids:
            connection.execute(update(table).where(table.id.in_(ids)).values(undone_at=undone_at))
