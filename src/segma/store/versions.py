"""Versions of tracks: which one is current, and what a chain of versions holds.

Invariants: an object has at most one current version; a child has a higher number than its parent, so of all
versions of a chain that hold a frame, the one of the highest number counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import CTE, Connection, Select, bindparam, func, insert, select, update
from sqlalchemy.orm import aliased

from segma.keeping import Reason
from segma.store.columns import Values, fetch
from segma.store.ids import new_id
from segma.store.schema import MaskRow, ObjectRow, TrackRow


def start(
    connection: Connection, object_ids: Sequence[str], run: str, reason: Reason, made_by: dict[str, str]
) -> dict[str, str]:
    """A new current version for every object, child of the one that was current; track ids by object.

    `made_by` fills the columns `model`, `model_hash` and `settings_hash`.
    """
    known = select(TrackRow.object, TrackRow.id, TrackRow.number, TrackRow.is_current)
    parents: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for owner, track, number, is_current in connection.execute(known.where(TrackRow.object.in_(object_ids))):
        numbers[owner] = max(number, numbers.get(owner, 0))
        if is_current:
            parents[owner] = track
    rows = [
        {
            "id": new_id(),
            "object": owner,
            "number": numbers.get(owner, 0) + 1,
            "parent": parents.get(owner),
            "reason": reason,
            "is_current": True,
            "run": run,
            **made_by,
        }
        for owner in object_ids
    ]
    _set_current(connection, list(parents.values()), is_current=False)
    if rows:
        connection.execute(insert(TrackRow), rows)
    return {str(row["object"]): str(row["id"]) for row in rows}


def of_run(connection: Connection, run: str) -> dict[int, str]:
    """Track ids of a run by the numbers of the objects."""
    query = select(ObjectRow.number, TrackRow.id).join(ObjectRow, TrackRow.object == ObjectRow.id)
    return {row.number: row.id for row in connection.execute(query.where(TrackRow.run == run))}


def take_back(connection: Connection, run: str) -> None:
    """Make the parents of a run's versions current, where its own are."""
    query = select(TrackRow.id, TrackRow.parent).where(TrackRow.run == run, TrackRow.is_current)
    made = connection.execute(query).all()
    _set_current(connection, [track for track, _ in made], is_current=False)
    _set_current(connection, [parent for _, parent in made if parent is not None], is_current=True)


def bring_back(connection: Connection, run: str) -> None:
    """Make the versions of a run current again, in place of their parents."""
    query = select(TrackRow.id, TrackRow.parent).where(TrackRow.run == run)
    made = connection.execute(query).all()
    _set_current(connection, [parent for _, parent in made if parent is not None], is_current=False)
    _set_current(connection, [track for track, _ in made], is_current=True)


def current_mask(connection: Connection, asset_id: str, number: int, frame: int) -> Values | None:
    """The mask row of one frame of the current version of an object that is not hidden, or None."""
    given = {"asset": asset_id, "number": number, "first": frame}
    return next(iter(fetch(connection, _ONE_FRAME, given)), None)


def current_masks(connection: Connection, asset_id: str, number: int, first: int, last: int) -> list[Values]:
    """Mask rows of frames `first` to `last` of the current version of an object, in order."""
    given = {"asset": asset_id, "number": number, "first": first, "last": last}
    return fetch(connection, _RANGE, given)


def next_frame(connection: Connection, asset_id: str, number: int, first: int) -> int | None:
    """The first frame from `first` on that the current version of an object holds or inherits."""
    return connection.execute(_NEXT, {"asset": asset_id, "number": number, "first": first}).scalar()


def _set_current(connection: Connection, tracks: list[str], *, is_current: bool) -> None:
    """Off comes before on: the database refuses two current versions of an object at any time."""
    if tracks:
        connection.execute(update(TrackRow).where(TrackRow.id.in_(tracks)).values(is_current=is_current))


def _chain() -> CTE:
    """The current version of an object (`:asset`, `:number`), if not hidden, and all it inherits from."""
    chain = (
        select(TrackRow.id, TrackRow.parent, TrackRow.number)
        .join(ObjectRow, TrackRow.object == ObjectRow.id)
        .where(
            ObjectRow.asset == bindparam("asset"),
            ObjectRow.number == bindparam("number"),
            ObjectRow.state == "active",
            TrackRow.is_current,
        )
        .cte("chain", recursive=True)
    )
    parent = aliased(TrackRow, name="parent")
    # Without ALL, so that a damaged table where versions are their own ancestors comes to an end.
    return chain.union(select(parent.id, parent.parent, parent.number).where(parent.id == chain.c.parent))


def _one_frame() -> Select[MaskRow]:
    chain = _chain()
    return (
        select(MaskRow.__table__)
        .join(chain, MaskRow.track == chain.c.id)
        .where(MaskRow.frame == bindparam("first"))
        .order_by(chain.c.number.desc())
        .limit(1)
    )


def _range() -> Select[MaskRow]:
    chain = _chain()
    best = (
        select(MaskRow.frame, func.max(chain.c.number).label("number"))
        .join(chain, MaskRow.track == chain.c.id)
        .where(MaskRow.frame.between(bindparam("first"), bindparam("last")))
        .group_by(MaskRow.frame)
        .subquery("best")
    )
    return (
        select(MaskRow.__table__)
        .select_from(best)
        .join(chain, chain.c.number == best.c.number)
        .join(MaskRow, (MaskRow.track == chain.c.id) & (MaskRow.frame == best.c.frame))
        .order_by(best.c.frame)
    )


def _next() -> Select[int]:
    chain = _chain()
    of_one = (
        select(func.min(MaskRow.frame))
        .where(MaskRow.track == chain.c.id, MaskRow.frame >= bindparam("first"))
        .scalar_subquery()
    )
    return select(func.min(of_one)).select_from(chain)


_ONE_FRAME, _RANGE, _NEXT = _one_frame(), _range(), _next()
