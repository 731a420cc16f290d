"""Runs as rows of the job table: who runs them, how far they are, and which were lost with their process."""

from __future__ import annotations

import os
import socket
import sys
from datetime import timedelta
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from segma.errors import StoreError
from segma.keeping import Reason, Run, RunState
from segma.store.columns import Values, fetch, utc_now
from segma.store.ids import new_id
from segma.store.project import Project
from segma.store.schema import JobRow

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
_STATES: dict[RunState, JobState] = {"running": "running", "done": "done", "stopped": "cancelled"}
_SILENCE = timedelta(minutes=10)  # a run of another machine that said nothing for so long is lost


def start(
    connection: Connection,
    project: Project,
    asset_id: str,
    object_ids: tuple[int, ...],
    first: int,
    last: int | None,
    *,
    reverse: bool,
    reason: Reason,
) -> Run:
    """A new run of this process."""
    run = Run(run_id=new_id(), object_ids=object_ids, first=first, last=last, reverse=reverse, reason=reason)
    row: dict[str, object] = {
        "id": run.run_id,
        "asset": asset_id,
        "kind": "track",
        "args": {
            "objects": list(object_ids),
            "first": first,
            "last": last,
            "reverse": reverse,
            "reason": reason,
        },
        "state": "running",
        "checkpoint": {},
        **_of_this_process(project),
    }
    connection.execute(insert(JobRow), [row])
    return run


def adopt(connection: Connection, project: Project, run: Run) -> Run:
    """Go on with a run that is lost. Raises StoreError `db.conflict` where it is over or runs elsewhere."""
    row = next(iter(fetch(connection, select(JobRow.__table__).where(JobRow.id == run.run_id))), None)
    if row is None or row["state"] != "running" or not is_lost(project, row):
        raise StoreError("db.conflict", "This run is over: its masks do not change any more.")
    changes = _of_this_process(project)
    connection.execute(update(JobRow).where(JobRow.id == run.run_id).values(**changes, updated=utc_now()))
    return as_run(row)


def finish(connection: Connection, run_id: str, state: RunState) -> None:
    """Write down that a run is over."""
    query = update(JobRow).where(JobRow.id == run_id, JobRow.state == "running")
    connection.execute(query.values(state=_STATES[state], updated=utc_now()))


def lost(connection: Connection, project: Project, asset_id: str) -> list[Run]:
    """Runs of an asset whose process ended before they did, oldest first."""
    query = select(JobRow.__table__).where(
        JobRow.asset == asset_id, JobRow.state == "running", JobRow.kind == "track"
    )
    rows = fetch(connection, query.order_by(JobRow.created, JobRow.id))
    return [as_run(row) for row in rows if is_lost(project, row)]


def is_lost(project: Project, row: Values) -> bool:
    """Whether the process of a job that is said to run has ended.

    Who holds the lock of a folder knows that nobody else runs anything; others ask the system for the
    process, or, where it ran on another machine, how long ago it wrote.
    """
    if row["id"] in project.live_runs:
        return False
    if project.write and project.engine.dialect.name == "sqlite":
        return True
    if row["host"] != socket.gethostname():
        return utc_now() - row["updated"] > _SILENCE
    return row["writer"] != project.writer and not _is_alive(row["pid"])


def as_run(row: Values) -> Run:
    """The run of a row of the job table. Raises StoreError `db.broken`."""
    args = row["args"]
    try:
        return Run(
            run_id=row["id"],
            object_ids=tuple(args["objects"]),
            first=args["first"],
            last=args["last"],
            reverse=args["reverse"],
            reason=args["reason"],
            reached=row["checkpoint"].get("reached"),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise StoreError("db.broken", f"Job {row['id']} cannot be read ({error!r}).") from error


def lost_error(run: Run, project: Project) -> StoreError:
    """What to tell of a run that `lost` gave."""
    where = "before its first frame" if run.reached is None else f"at frame {run.reached}"
    return StoreError(
        "job.lost",
        f"Tracking stopped {where} (process ended).",
        f"Continue: segma track {project.name} --resume",
    )


def _of_this_process(project: Project) -> dict[str, str | int]:
    return {"writer": project.writer, "pid": os.getpid(), "host": socket.gethostname()}


def _is_alive(pid: int | None) -> bool:
    """Whether a process of this machine runs; where the system cannot be asked safely, yes."""
    if pid is None or pid <= 0:
        return False
    if sys.platform == "win32":  # there, os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
