"""Care for a project: remove what was hidden long ago, look for damage, make a backup."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, delete, select, text, update

from segma.errors import InputError, SegmaError, StoreError
from segma.media.files import check_free, explained_errors
from segma.store import assets, events
from segma.store.columns import fetch, utc_now
from segma.store.database import explained
from segma.store.project import DATABASE, Project
from segma.store.rows import frame_prompt, track_record
from segma.store.schema import AssetRow, MaskRow, ObjectRow, PresenceRow, PromptRow, TrackRow

_CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What `collect` removed: objects with all their masks, and bytes of the cache."""

    objects: int
    cache_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Something that `check` found. `kind` says where, `message` what, in one line."""

    kind: Literal["database", "row", "media", "mask", "prompt"]
    message: str


def collect(project: Project, older_than_days: float | int = 30) -> Collected:
    """Remove the objects that were hidden for so many days, and cached files that are as old.

    Their numbers stay taken, and undo passes over them.
    """
    before = utc_now() - timedelta(days=older_than_days)
    with project.writing() as connection:
        query = (
            select(ObjectRow.id, ObjectRow.asset)
            .join(AssetRow, ObjectRow.asset == AssetRow.id)
            .where(AssetRow.project == project.project_id, ObjectRow.state == "hidden")
            .where(ObjectRow.hidden_at <= before)
        )
        by_asset: dict[str, list[str]] = {}
        for object_id, asset_id in connection.execute(query):
            by_asset.setdefault(asset_id, []).append(object_id)
        for asset_id, object_ids in by_asset.items():
            for table in (PromptRow, PresenceRow, TrackRow):  # masks go with their tracks
                connection.execute(delete(table).where(table.object.in_(object_ids)))
            gone = update(ObjectRow).where(ObjectRow.id.in_(object_ids))
            connection.execute(gone.values(state="collected", same_as=None))
            events.append(connection, asset_id, "collect", {"objects": object_ids})
    seconds = older_than_days * 24 * 3600
    freed = _clear(project.cache, time.time() - seconds)
    if by_asset and project.engine.dialect.name == "sqlite":
        _vacuum(project)
    return Collected(objects=sum(map(len, by_asset.values())), cache_bytes=freed)


def check(project: Project, *, contents: bool = True) -> list[Trouble]:
    """All that is wrong: a damaged database, rows without the row they belong to, media that are gone.

    With `contents` every mask and prompt is read, and every file's hash is compared, or, the first time,
    computed and kept (where the project is open for writing).
    """
    try:
        with project.reading() as connection:
            found = [*_check_database(connection), *_check_chains(connection)]
    except StoreError as error:
        return [Trouble(kind="database", message=str(error))]
    for asset in project.assets():
        found += _check_media(project, asset, contents=contents)
        if contents:
            with project.reading() as connection:
                found += _check_contents(connection, asset)
    return found


def backup(project: Project, path: str | Path, *, overwrite: bool = False) -> Path:
    """A copy of the database as it stands, also while it is written to. Put it back as `project.db`.

    Raises InputError `input.exists`, StoreError; InputError `input.value` for tables in PostgreSQL.
    """
    path = Path(path)
    if project.engine.dialect.name != "sqlite":
        raise InputError(
            "input.value", f"The tables of {project.name} are in PostgreSQL.", "Use pg_dump for a backup."
        )
    check_free(path, overwrite=overwrite)
    part = path.with_name(f".{path.name}.part")
    with explained_errors(path):
        try:
            with explained(project.name), project.engine.connect() as connection:
                source = connection.connection.dbapi_connection
                assert isinstance(source, sqlite3.Connection)
                with closing(sqlite3.connect(part)) as target:
                    source.backup(target)
            for log in ("-wal", "-shm"):  # of a database that was here: they would be taken for this one's
                path.with_name(path.name + log).unlink(missing_ok=True)
            part.replace(path)
        except sqlite3.Error as error:
            raise StoreError("disk.unwritable", f"{path}: cannot be written ({error}).") from error
        finally:
            part.unlink(missing_ok=True)
    return path


def _check_database(connection: Connection) -> list[Trouble]:
    if connection.dialect.name != "sqlite":
        return []
    said = [str(line) for line in connection.execute(text("PRAGMA integrity_check")).scalars()]
    found = [Trouble(kind="database", message=f"{DATABASE}: {line}") for line in said if line != "ok"]
    for table, row, parent, _ in connection.execute(text("PRAGMA foreign_key_check")):
        found.append(
            Trouble(kind="row", message=f"{table} row {row} belongs to a {parent} that is not there.")
        )
    return found


def _check_chains(connection: Connection) -> list[Trouble]:
    """Versions whose parent is of another object, or not older."""
    track, parent = TrackRow.__table__.alias("child"), TrackRow.__table__.alias("parent")
    query = (
        select(track.c.id)
        .join(parent, track.c.parent == parent.c.id)
        .where((track.c.object != parent.c.object) | (track.c.number <= parent.c.number))
    )
    return [
        Trouble(kind="row", message=f"Track {each} does not come after its parent.")
        for each in connection.execute(query).scalars()
    ]


def _check_media(project: Project, asset: assets.Asset, *, contents: bool) -> list[Trouble]:
    if asset.kind == "stream":
        return []
    try:
        path = asset.locate()
        if not contents or not path.is_file():
            return []
        sha256 = assets.file_sha256(path)
    except (SegmaError, OSError) as error:
        return [Trouble(kind="media", message=str(error))]
    if asset.sha256 is not None and asset.sha256 != sha256:
        return [Trouble(kind="media", message=f"{asset.name}: its bytes are not what they were.")]
    if asset.sha256 is None and project.write:
        with project.writing() as connection:
            query = update(AssetRow).where(AssetRow.id == asset.asset_id)
            connection.execute(query.values(sha256=sha256))
    return []


def _check_contents(connection: Connection, asset: assets.Asset) -> list[Trouble]:
    """Masks and prompts of an asset that cannot be read."""
    found: list[Trouble] = []
    mine = select(TrackRow.id).join(ObjectRow).where(ObjectRow.asset == asset.asset_id)
    for track in connection.execute(mine).scalars().all():
        first = -1
        query = select(MaskRow.__table__).where(MaskRow.track == track).order_by(MaskRow.frame).limit(_CHUNK)
        while rows := fetch(connection, query.where(MaskRow.frame > first)):
            first = rows[-1]["frame"]
            for row in rows:
                try:
                    track_record(row, asset.size)
                except StoreError as error:
                    where = f"track {track}, frame {row['frame']}"
                    found.append(Trouble(kind="mask", message=f"{where}: {error.message}"))
    query = select(PromptRow.id, PromptRow.data).join(ObjectRow, PromptRow.object == ObjectRow.id)
    for prompt, data in connection.execute(query.where(ObjectRow.asset == asset.asset_id)):
        try:
            frame_prompt(data)
        except StoreError as error:
            found.append(Trouble(kind="prompt", message=f"prompt {prompt}: {error.message}"))
    return found


def _clear(cache: Path, before: float) -> int:
    """Remove files of a cache that were last written before a time; bytes that are free now."""
    freed = 0
    for path in sorted(cache.rglob("*"), reverse=True):
        try:
            if path.is_symlink() or path.is_file():
                status = path.lstat()
                if status.st_mtime <= before:
                    path.unlink()
                    freed += status.st_size
            elif not any(path.iterdir()):
                path.rmdir()
        except OSError:  # in use, or gone meanwhile: it can stay
            continue
    return freed


def _vacuum(project: Project) -> None:
    """Give the room of removed rows back, if there is room for the copy that this needs."""
    size = (project.folder / DATABASE).stat().st_size
    if shutil.disk_usage(project.folder).free > 2 * size:
        with explained(project.name), project.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.execute("VACUUM")
