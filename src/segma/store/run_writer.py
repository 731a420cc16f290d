"""Writes the masks of one run that goes on, in transactions of about a second.

Invariants: `_rows` are masks that were put and are not committed; whatever stands before them in the run is
committed; no frame of a version is ever written twice.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, func, insert, select, update

from segma.errors import InputError, StoreError
from segma.keeping import Run
from segma.results import TrackRecord
from segma.store.columns import Values, fetch, utc_now
from segma.store.project import Project
from segma.store.rows import mask_values
from segma.store.schema import JobRow, MaskRow

FLUSH_SECONDS = 1.0
FLUSH_MASKS = 256


class RunWriter:
    """The masks of `run`, whose versions are `tracks` (track id by object id). `clock` gives seconds."""

    def __init__(
        self, project: Project, run: Run, tracks: dict[int, str], clock: Callable[[], float]
    ) -> None:
        self.run, self.tracks, self.reached = run, tracks, run.reached
        self._project, self._clock = project, clock
        self._rows: list[Values] = []
        self._pending: dict[tuple[int, int], TrackRecord] = {}
        self._furthest: dict[int, int | None] = {}
        self._flushed_at = clock()

    def pending(self, object_id: int, frame: int) -> TrackRecord | None:
        """A record that was put and is not committed."""
        return self._pending.get((object_id, frame))

    def put(self, object_id: int, frame: int, record: TrackRecord) -> None:
        """Take a record. Raises StoreError `db.conflict` where the run holds another one of the frame."""
        track = self.tracks.get(object_id)
        if track is None:
            raise InputError("input.value", f"Object {object_id} is no part of this run.")
        values = mask_values(record)
        if not self._is_beyond(object_id, track, frame):
            earlier = self._written(track, frame)
            if earlier is not None and earlier != values:
                raise StoreError("db.conflict", f"This run has another mask of frame {frame} already.")
            if earlier is not None:
                return
        if self._rows and self._rows[-1]["frame"] != frame and self._is_due():
            self.flush()
        self._rows.append({"track": track, "frame": frame, **values})
        self._pending[object_id, frame] = record
        self._furthest[object_id] = self._further(self._furthest.get(object_id), frame)
        self.reached = self._further(self.reached, frame)
        if self._is_due() and all((each, frame) in self._pending for each in self.tracks):
            self.flush()

    def flush(self) -> None:
        """Commit what was put. Raises StoreError, and then keeps it for the next try."""
        if not self._rows:
            return
        with self._project.writing() as connection:
            self.write(connection)
        self.forget()

    def write(self, connection: Connection) -> None:
        """Write what was put in a transaction of the caller, who calls `forget` once it is committed."""
        if self._rows:
            connection.execute(insert(MaskRow), self._rows)
        connection.execute(
            update(JobRow)
            .where(JobRow.id == self.run.run_id)
            .values(checkpoint={"reached": self.reached}, updated=utc_now())
        )

    def forget(self) -> None:
        """What was put is committed."""
        self._rows, self._pending = [], {}
        self._flushed_at = self._clock()

    def _is_due(self) -> bool:
        return len(self._rows) >= FLUSH_MASKS or self._clock() - self._flushed_at >= FLUSH_SECONDS

    def _further(self, one: int | None, other: int) -> int:
        if one is None:
            return other
        return min(one, other) if self.run.reverse else max(one, other)

    def _is_beyond(self, object_id: int, track: str, frame: int) -> bool:
        """Whether a frame lies further in the run's direction than all that its version holds."""
        if object_id not in self._furthest:
            edge = func.min(MaskRow.frame) if self.run.reverse else func.max(MaskRow.frame)
            with self._project.reading() as connection:
                query = select(edge).where(MaskRow.track == track)
                self._furthest[object_id] = connection.execute(query).scalar()
        furthest = self._furthest[object_id]
        if furthest is None:
            return True
        return frame < furthest if self.run.reverse else frame > furthest

    def _written(self, track: str, frame: int) -> Values | None:
        """What the run holds of a frame already, committed or not."""
        for row in self._rows:
            if row["track"] == track and row["frame"] == frame:
                return _without_key(row)
        query = select(MaskRow.__table__).where(MaskRow.track == track, MaskRow.frame == frame)
        with self._project.reading() as connection:
            found = fetch(connection, query)
        return _without_key(found[0]) if found else None


def _without_key(row: Values) -> Values:
    return {name: value for name, value in row.items() if name not in ("track", "frame")}
