"""The database of a project: how it is opened, brought to the newest schema, and what its errors mean.

SQLite runs with a write-ahead log (readers never wait for the writer), foreign keys, full sync (a commit
survives a power cut) and a busy timeout of 5 s. Transactions are begun by SQLAlchemy, not by the driver, so
that they hold changes of the schema, too.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from segma.errors import InputError, MissingExtraError, StoreError
from segma.store.schema import REVISION

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_SECONDS = 5
_PAGE_BYTES = 8192  # masks of 1 to 2 kB waste a sixth less than in pages of 4096

_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_CLOSED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


def open_file(path: Path, *, write: bool, new: bool = False) -> Engine:
    """The engine of a SQLite file; without `write` nothing can be changed through it.

    A `new` file is made where there is none, without a log beside it, so that it can be renamed. A reader
    needs no permission to write. Nothing is opened yet: errors come with the first connection.
    """
    shared = path.with_name(path.name + "-wal").exists() or os.access(path.parent, os.W_OK)
    mode = ("rwc" if new else "rw") if write else ("ro" if shared else "ro&immutable=1")
    address = f"file:{quote(path.resolve().as_posix())}?mode={mode}"

    def connect() -> sqlite3.Connection:  # an address of SQLAlchemy reads quoted names otherwise
        return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)

    def on_connect(connection: Any, _record: Any) -> None:  # the driver's own connection
        connection.isolation_level = None  # the driver begins no transaction by itself
        connection.execute("PRAGMA foreign_keys = ON")
        if new:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        if write:
            connection.execute(f"PRAGMA journal_mode = {'DELETE' if new else 'WAL'}")
            connection.execute("PRAGMA synchronous = FULL")
        else:
            connection.execute("PRAGMA query_only = ON")

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def open_server(address: str) -> Engine:
    """The engine of a PostgreSQL database, of its address `postgresql+psycopg://...`.

    Raises MissingExtraError, and InputError `input.value` for an address that cannot be understood.
    """
    try:
        return create_engine(address, pool_pre_ping=True)
    except ImportError as error:
        raise MissingExtraError("PostgreSQL", "postgres") from error
    except SQLAlchemyError as error:  # what was given may hold a password, so it is not repeated
        raise InputError(
            "input.value",
            "The address of the database cannot be understood.",
            "It looks like postgresql+psycopg://user@host/name.",
        ) from error


@contextmanager
def explained(name: str) -> Generator[None]:
    """What the database of project `name` says, as StoreError. What was committed before stays."""
    try:
        yield
    except DBAPIError as error:
        raise _explanation(name, error) from error
    except SQLAlchemyError as error:
        raise StoreError("db.broken", f"{name}: the tables cannot be used ({_first_line(error)}).") from error


def revision_of(connection: Connection) -> str | None:
    """The revision of the schema, or None where these are no tables of a project."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection) -> None:
    """Bring the tables (or none) to the newest revision, inside the connection's transaction."""
    from alembic import command  # 0.1 s, and only new or old projects need it
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")


def check_revision(name: str, connection: Connection, *, write: bool) -> None:
    """Upgrade older tables when writing; StoreError `db.broken` for foreign and for newer ones."""
    found = revision_of(connection)
    if found == REVISION:
        return
    if found is None or not inspect(connection).has_table("project"):
        raise StoreError(
            "db.broken", f"{name} holds no tables of segma.", "It may be another program's file."
        )
    if not any((MIGRATIONS / "versions").glob(f"{_plain(found)}_*.py")):
        raise StoreError(
            "db.broken",
            f"{name} was written by a newer segma (schema {found}; this one knows {REVISION}).",
            "Update: pip install -U segma",
        )
    if not write:
        raise StoreError(
            "db.broken",
            f"{name} has an older schema ({found}; now it is {REVISION}).",
            "Open it for writing once.",
        )
    upgrade(connection)


def _explanation(name: str, error: DBAPIError) -> StoreError:
    """The StoreError of an error of the driver."""
    code = getattr(error.orig, "sqlite_errorcode", -1) & 0xFF if _is_sqlite(error) else -1
    reason = _first_line(error.orig or error)
    if code in _FULL:
        return StoreError(
            "disk.full",
            f"The disk of {name} is full ({reason}). What was kept before is safe.",
            "Make room and go on.",
        )
    if code in _LOCKED:
        return StoreError("db.locked", f"{name} is in use by another program ({reason}).", "Try again.")
    if code in _CLOSED:
        return StoreError("disk.unwritable", f"{name} cannot be opened or written ({reason}).")
    if code in _BROKEN:
        return StoreError(
            "db.broken", f"{name}: project.db is damaged or foreign ({reason}).", "Restore a backup."
        )
    if error.connection_invalidated or not _is_sqlite(error):
        return StoreError("db.broken", f"{name}: the database gave up ({reason}).")
    return StoreError("db.conflict", f"{name}: rows do not fit together ({reason}).")


def _is_sqlite(error: DBAPIError) -> bool:
    return isinstance(error.orig, sqlite3.Error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _plain(revision: str) -> str:
    """A revision as part of a file pattern, whatever a damaged file holds."""
    return revision if revision.isalnum() else "none"
