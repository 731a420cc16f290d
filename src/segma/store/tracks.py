"""Keeps the tracking of one asset in a project folder: a `segma.keeping.TrackKeeper` over its tables.

Invariants: masks are never changed in place; every action of a person is one transaction together with its
event; what was put is committed about once a second, and before anything that builds on it is written.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import RLock
from typing import cast

from sqlalchemy import Connection, func, insert, select, update

from segma.errors import InputError
from segma.keeping import KeptObject, Presence, PresenceRange, Reason, Run, RunState, paint_presence
from segma.media.files import make_folder, write_bytes
from segma.prompts.types import FramePrompt
from segma.results import TrackRecord
from segma.store import events, jobs, versions
from segma.store.assets import Asset
from segma.store.columns import utc_now
from segma.store.ids import new_id
from segma.store.project import Project
from segma.store.rows import frame_prompt, prompt_data, prompt_kind, track_record
from segma.store.run_writer import RunWriter
from segma.store.schema import ObjectRow, PresenceRow, PromptRow

_CHUNK = 256  # frames that are read at once


class AssetTracks:
    """The objects of an asset: prompts, presence, masks in versions, runs. Several threads may use it.

    `model`, `model_hash` and `settings_hash` are written beside every new version; `clock` gives seconds.
    One asset has one `AssetTracks` that writes.
    """

    def __init__(
        self,
        project: Project,
        asset: Asset,
        *,
        model: str = "",
        model_hash: str = "",
        settings_hash: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.project, self.asset = project, asset
        self.lock = RLock()
        self._made_by = {"model": model, "model_hash": model_hash, "settings_hash": settings_hash}
        self._clock = clock
        self._writers: dict[str, RunWriter] = {}
        self._heads: dict[int, str] = {}  # the run that made the current version, where that is known

    # objects

    def objects(self) -> list[KeptObject]:
        """The objects that were not removed, by id."""
        mine = (ObjectRow.asset == self.asset.asset_id, ObjectRow.state == "active")
        with self.project.reading() as connection:
            objects = connection.execute(
                select(ObjectRow.number, ObjectRow.name).where(*mine).order_by(ObjectRow.number)
            ).all()
            prompts = connection.execute(
                select(ObjectRow.number, PromptRow.frame, PromptRow.data)
                .join(ObjectRow, PromptRow.object == ObjectRow.id)
                .where(*mine, PromptRow.undone_at.is_(None))
                .order_by(ObjectRow.number, PromptRow.frame, PromptRow.position)
            ).all()
            absences = connection.execute(
                select(ObjectRow.number, PresenceRow.first, PresenceRow.last)
                .join(ObjectRow, PresenceRow.object == ObjectRow.id)
                .where(*mine, PresenceRow.undone_at.is_(None), PresenceRow.source == "person")
                .where(PresenceRow.state == "absent")
                .order_by(ObjectRow.number, PresenceRow.first)
            ).all()
        said: dict[int, dict[int, tuple[FramePrompt, ...]]] = {number: {} for number, _ in objects}
        for number, frame, data in prompts:
            said[number][frame] = (*said[number].get(frame, ()), frame_prompt(data))
        return [
            KeptObject(
                object_id=number,
                name=name,
                prompts=said[number],
                absences=tuple((first, last) for each, first, last in absences if each == number),
            )
            for number, name in objects
        ]

    def add_object(self, name: str) -> int:
        """A new object's id."""
        with self.lock, self.project.writing() as connection:
            newest = select(func.max(ObjectRow.number)).where(ObjectRow.asset == self.asset.asset_id)
            number = (connection.execute(newest).scalar() or 0) + 1
            row: dict[str, object] = {
                "id": new_id(),
                "asset": self.asset.asset_id,
                "number": number,
                "name": name,
                "attributes": {},
                "state": "active",
            }
            connection.execute(insert(ObjectRow), [row])
            self._tell(connection, "object.add", {}, str(row["id"]))
            return number

    def remove_object(self, object_id: int) -> None:
        """Hide an object; its id is not used again, and `upkeep.collect` removes it in the end."""
        with self.lock, self.project.writing() as connection:
            row_id = self._known(connection, object_id)
            changes = {"state": "hidden", "hidden_at": utc_now()}
            connection.execute(update(ObjectRow).where(ObjectRow.id == row_id).values(changes))
            self._tell(connection, "object.remove", {}, row_id)

    def rename_object(self, object_id: int, name: str) -> None:
        """Give an object another name."""
        with self.lock, self.project.writing() as connection:
            row_id = self._known(connection, object_id)
            query = select(ObjectRow.name).where(ObjectRow.id == row_id)
            before = connection.execute(query).scalar_one()
            if before == name:
                return
            connection.execute(update(ObjectRow).where(ObjectRow.id == row_id).values(name=name))
            self._tell(connection, "object.rename", {"before": before, "after": name}, row_id)

    # what a person says

    def set_prompts(self, object_id: int, frame: int, prompts: tuple[FramePrompt, ...]) -> None:
        """All that is said of an object on a frame, in place of what was said before; () forgets it."""
        with self.lock, self.project.writing() as connection:
            row_id = self._known(connection, object_id)
            standing = select(PromptRow.id).where(
                PromptRow.object == row_id, PromptRow.frame == frame, PromptRow.undone_at.is_(None)
            )
            before = list(connection.execute(standing.order_by(PromptRow.position)).scalars())
            if not before and not prompts:
                return
            rows = [
                {
                    "id": new_id(),
                    "object": row_id,
                    "frame": frame,
                    "position": position,
                    "kind": prompt_kind(prompt),
                    "data": prompt_data(prompt),
                }
                for position, prompt in enumerate(prompts)
            ]
            connection.execute(update(PromptRow).where(PromptRow.id.in_(before)).values(undone_at=utc_now()))
            if rows:
                connection.execute(insert(PromptRow), rows)
            change = {"before": before, "after": [row["id"] for row in rows]}
            self._tell(connection, "prompts", change, row_id, frame)

    def set_presence(self, object_id: int, first: int, last: int, state: Presence) -> None:
        """What a person says: the object is (not) there on frames `first` to `last`."""
        with self.lock, self.project.writing() as connection:
            row_id = self._known(connection, object_id)
            standing = select(PresenceRow.id, PresenceRow.first, PresenceRow.last, PresenceRow.state).where(
                PresenceRow.object == row_id,
                PresenceRow.undone_at.is_(None),
                PresenceRow.source == "person",
            )
            ids: dict[PresenceRange, str] = {}
            for row_of_range, start, end, said in connection.execute(standing):
                ids[start, end, cast(Presence, said)] = row_of_range  # nothing else is written
            painted = paint_presence(tuple(ids), first, last, state)
            before = [row for said, row in ids.items() if said not in painted]
            rows = [
                {
                    "id": new_id(),
                    "object": row_id,
                    "first": start,
                    "last": end,
                    "state": said,
                    "source": "person",
                }
                for start, end, said in painted
                if (start, end, said) not in ids
            ]
            if not before and not rows:
                return
            connection.execute(
                update(PresenceRow).where(PresenceRow.id.in_(before)).values(undone_at=utc_now())
            )
            if rows:
                connection.execute(insert(PresenceRow), rows)
            change = {"before": before, "after": [row["id"] for row in rows], "first": first, "last": last}
            self._tell(connection, "presence", change, row_id)

    # runs

    def begin(
        self, object_ids: tuple[int, ...], first: int, last: int | None, *, reverse: bool, reason: Reason
    ) -> Run:
        """Start a run: a new version of the track of every object, current at once."""
        with self.lock:
            self.flush()
            with self.project.writing() as connection:
                rows = {each: self._known(connection, each) for each in object_ids}
                run = jobs.start(
                    connection,
                    self.project,
                    self.asset.asset_id,
                    tuple(rows),
                    first,
                    last,
                    reverse=reverse,
                    reason=reason,
                )
                made = versions.start(connection, list(rows.values()), run.run_id, reason, self._made_by)
                change = {"run": run.run_id, "first": first, "last": last}
                only = next(iter(rows.values())) if len(rows) == 1 else None
                self._tell(connection, "run", change, only)
            tracks = {each: made[row_id] for each, row_id in rows.items()}
            self._go(run, tracks)
            self._heads.update(dict.fromkeys(rows, run.run_id))
            return run

    def put(self, run: Run, object_id: int, frame: int, record: TrackRecord) -> None:
        """A frame of the run's version. Raises StoreError `db.conflict` where it holds another record."""
        if record.compact.size != self.asset.size:
            found, expected = (f"{size[1]}x{size[0]}" for size in (record.compact.size, self.asset.size))
            raise InputError("input.value", f"A mask of {found}, but {self.asset.name} is {expected}.")
        with self.lock:
            self._writer(run).put(object_id, frame, record)

    def end(self, run: Run, state: RunState) -> None:
        """The run is over: done, or stopped on request."""
        assert state != "running", "a run ends done or stopped"
        with self.lock:
            writer = self._writer(run)
            with self.project.writing() as connection:
                writer.write(connection)
                jobs.finish(connection, run.run_id, state)
            writer.forget()
            del self._writers[run.run_id]
            self.project.live_runs.discard(run.run_id)

    def unfinished(self) -> list[Run]:
        """Runs that were neither done nor stopped: the process ended. Newest last."""
        with self.project.reading() as connection:
            return jobs.lost(connection, self.project, self.asset.asset_id)

    def flush(self) -> None:
        """Commit all masks that were put. Raises StoreError, and then keeps them for the next try."""
        with self.lock:
            for writer in self._writers.values():
                writer.flush()

    # masks

    def get(self, object_id: int, frame: int) -> TrackRecord | None:
        """The record of the current version, from itself or the versions it inherits from."""
        with self.lock:
            pending = {
                run_id: record
                for run_id, writer in self._writers.items()
                if (record := writer.pending(object_id, frame)) is not None
            }
            newest = pending.get(self._heads.get(object_id, ""))
            if newest is not None:
                return newest
            if pending:
                self.flush()
        with self.project.reading() as connection:
            row = versions.current_mask(connection, self.asset.asset_id, object_id, frame)
        return None if row is None else track_record(row, self.asset.size)

    def records(self, object_id: int, first: int, last: int | None) -> Iterator[tuple[int, TrackRecord]]:
        """Frames and records of the current version in a range, in order.

        They are read piece by piece, so what is put meanwhile further on is seen.
        """
        self.flush()
        asset_id, at = self.asset.asset_id, first
        while last is None or at <= last:
            with self.project.reading() as connection:
                found = versions.next_frame(connection, asset_id, object_id, at)
                if found is None or (last is not None and found > last):
                    return
                end = found + _CHUNK - 1 if last is None else min(found + _CHUNK - 1, last)
                rows = versions.current_masks(connection, asset_id, object_id, found, end)
            for row in rows:
                yield row["frame"], track_record(row, self.asset.size)
            at = end + 1

    def versions_changed(self) -> None:
        """Forget which versions are current: `history` has changed it."""
        with self.lock:
            self._heads.clear()

    # states

    def save_state(self, name: str, data: bytes) -> None:
        """Keep something that can be computed again at a price; whole or not at all."""
        path = self._state_path(name)
        make_folder(path.parent)
        write_bytes(path, hashlib.sha256(data).digest() + data, overwrite=True)

    def load_state(self, name: str) -> bytes | None:
        """What `save_state` kept under this name; None when it is gone or damaged."""
        try:
            held = self._state_path(name).read_bytes()
        except OSError:
            return None
        return held[32:] if hashlib.sha256(held[32:]).digest() == held[:32] else None

    # within

    def _state_path(self, name: str) -> Path:
        plain = re.sub("[^A-Za-z0-9_-]", "_", name)[:40]
        exact = hashlib.sha256(name.encode()).hexdigest()[:8]
        return self.project.cache / self.asset.asset_id / f"{plain}-{exact}.state"

    def _known(self, connection: Connection, object_id: int) -> str:
        """The row of an object that is not hidden, or InputError."""
        query = select(ObjectRow.id).where(
            ObjectRow.asset == self.asset.asset_id,
            ObjectRow.number == object_id,
            ObjectRow.state == "active",
        )
        row_id = connection.execute(query).scalar()
        if row_id is None:
            raise InputError("input.value", f"There is no object {object_id}.")
        return row_id

    def _tell(
        self,
        connection: Connection,
        kind: events.EventKind,
        payload: Mapping[str, object],
        row_id: str | None,
        frame: int | None = None,
    ) -> None:
        events.append(connection, self.asset.asset_id, kind, dict(payload), object_id=row_id, frame=frame)

    def _go(self, run: Run, tracks: dict[int, str]) -> RunWriter:
        writer = RunWriter(self.project, run, tracks, self._clock)
        self._writers[run.run_id] = writer
        self.project.live_runs.add(run.run_id)
        return writer

    def _writer(self, run: Run) -> RunWriter:
        """The writer of a run that goes on; a run that was lost goes on here."""
        writer = self._writers.get(run.run_id)
        if writer is not None:
            return writer
        with self.project.writing() as connection:
            again = jobs.adopt(connection, self.project, run)
            tracks = versions.of_run(connection, run.run_id)
        return self._go(again, tracks)
