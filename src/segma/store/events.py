"""The log of what happened to an asset. Rows are appended, never changed.

Undoing and redoing are events as well; `history` reads the log and knows what stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select

from segma.store.columns import Json, fetch, utc_now
from segma.store.schema import EventRow

EventKind = Literal[
    "object.add",
    "object.remove",
    "object.rename",
    "prompts",
    "presence",
    "run",
    "undo",
    "redo",
    "collect",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event: the `number`th of its asset. `object` is the id of a row of the object table."""

    asset_id: str | None
    number: int
    kind: EventKind
    object: str | None
    frame: int | None
    payload: dict[str, Any]
    at: datetime


def append(
    connection: Connection,
    asset_id: str,
    kind: EventKind,
    payload: Json,
    *,
    object_id: str | None = None,
    frame: int | None = None,
) -> int:
    """Write one event in the transaction of what it tells of; its number."""
    newest = select(func.max(EventRow.number)).where(EventRow.asset == asset_id)
    number = (connection.execute(newest).scalar() or 0) + 1
    row = {
        "asset": asset_id,
        "number": number,
        "kind": kind,
        "object": object_id,
        "frame": frame,
        "payload": payload,
        "at": utc_now(),
        "active_ms": 0,
    }
    connection.execute(insert(EventRow), [row])
    return number


def read(connection: Connection, asset_id: str | None = None, *, after: int = 0) -> list[Event]:
    """Events of one asset with numbers over `after`, or of all assets, oldest first."""
    query = select(EventRow.__table__)
    if asset_id is not None:
        query = query.where(EventRow.asset == asset_id, EventRow.number > after).order_by(EventRow.number)
    else:
        query = query.order_by(EventRow.at, EventRow.id)
    return [
        Event(
            asset_id=row["asset"],
            number=row["number"],
            kind=row["kind"],
            object=row["object"],
            frame=row["frame"],
            payload=row["payload"],
            at=row["at"],
        )
        for row in fetch(connection, query)
    ]
