"""A project folder `name.segma`: its tables, its files, and who may write.

Invariants: at most one open `Project` writes to a folder, and holds the lock of `project.lock` as long as it
is open; `project.db` is there whole or not at all; what a project needs to be computed again is in `cache`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from segma.errors import InputError, StoreError
from segma.locking import file_lock
from segma.media.files import explained_errors, make_folder
from segma.store import assets, database, events
from segma.store.assets import Asset, AssetKind, ShotSource
from segma.store.columns import fetch
from segma.store.events import Event
from segma.store.ids import new_id
from segma.store.schema import REVISION, AssetRow, ProjectRow

FOLDERS = ("media", "cache", "exports")
DATABASE, LOCK = "project.db", "project.lock"


class Project:
    """An open project. Made by `create` and `open`; several threads may use it; close it, or use `with`.

    `live_runs` are the ids of the runs that go on in this process, `writer` tells its jobs from others'.
    """

    def __init__(self, folder: Path, engine: Engine, *, write: bool, held: ExitStack) -> None:
        self.folder, self.engine, self.write = folder, engine, write
        self.writer = new_id()
        self.live_runs: set[str] = set()
        self.project_id, self.title = "", ""
        self._held, self._lock = held, RLock()

    @classmethod
    def create(cls, folder: str | Path, name: str | None = None, *, db: str | None = None) -> Project:
        """A new project, open for writing. `db` is the address of a PostgreSQL database for its tables.

        Raises InputError `input.exists` where there is one already, StoreError.
        """
        folder = Path(folder)
        if db is None and (folder / DATABASE).exists():
            raise InputError("input.exists", f"{folder.name} is a project already.", "Open it instead.")
        if folder.is_file():
            raise InputError("input.exists", f"{folder.name} is a file.", "Give the project another name.")
        for part in ("", *FOLDERS):
            make_folder(folder / part)
        name = name or folder.name.removesuffix(".segma")
        if db is not None:
            _fill(folder.name, database.open_server(db), name)
        else:
            with ExitStack() as held:
                _hold(folder, held)
                part = folder / f"{DATABASE}.new"
                with explained_errors(part):
                    part.unlink(missing_ok=True)
                    _fill(folder.name, database.open_file(part, write=True, new=True), name)
                    part.replace(folder / DATABASE)
        return cls.open(folder, db=db, name=name)

    @classmethod
    def open(
        cls, folder: str | Path, *, write: bool = True, db: str | None = None, name: str | None = None
    ) -> Project:
        """A project of a folder; without `write` it may be open elsewhere.

        `name` chooses among the projects of a PostgreSQL database, and is the folder's by default. Raises
        InputError `input.not_found`, StoreError `db.locked` or `db.broken`.
        """
        folder = Path(folder)
        if db is None and not (folder / DATABASE).is_file():
            hint = "If its tables are in PostgreSQL, give --db." if folder.is_dir() else ""
            raise InputError("input.not_found", f"{folder}: there is no project ({DATABASE}).", hint)
        with ExitStack() as held:
            if db is None and write:
                _hold(folder, held)
            engine = (
                database.open_server(db)
                if db is not None
                else database.open_file(folder / DATABASE, write=write)
            )
            held.callback(engine.dispose)
            project = cls(folder, engine, write=write, held=ExitStack())
            with database.explained(folder.name), engine.begin() as connection:
                database.check_revision(folder.name, connection, write=write)
                project._read_own_row(connection, None if db is None else name)
            project._held = held.pop_all()
        return project

    @property
    def name(self) -> str:
        """What messages call it: the folder's name."""
        return self.folder.name

    @property
    def cache(self) -> Path:
        """The folder of what can be computed again."""
        return self.folder / "cache"

    def close(self) -> None:
        """Let go of the database and the lock. Closing twice is fine."""
        self._held.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A connection that sees one state of the tables. Raises StoreError."""
        with database.explained(self.name), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """A transaction: all that is done in it is kept, or nothing; one thread at a time."""
        if not self.write:
            raise StoreError("db.locked", f"{self.name} was opened for reading only.", "Open it for writing.")
        with self._lock, database.explained(self.name), self.engine.begin() as connection:
            yield connection

    @property
    def settings(self) -> dict[str, Any]:  # JSON
        """What was chosen for this project: any JSON, by name."""
        query = select(ProjectRow.settings).where(ProjectRow.id == self.project_id)
        with self.reading() as connection:
            return dict(connection.execute(query).scalar_one())

    def set_setting(self, name: str, value: Any) -> None:  # JSON
        """Choose something for this project."""
        settings = {**self.settings, name: value}
        with self.writing() as connection:
            change = update(ProjectRow).where(ProjectRow.id == self.project_id)
            connection.execute(change.values(settings=settings))

    # assets

    def add_asset(
        self,
        path: str | Path,
        *,
        kind: AssetKind,
        size: tuple[int, int],
        num_frames: int | None = None,
        fps: Fraction | float | int | None = None,
        times: Sequence[float] | None = None,
        rotation: int = 0,
    ) -> Asset:
        """Take an image, video, folder of frames or stream in; the file stays where it is.

        `size` = (height, width), upright; `times` are seconds by frame for a variable frame rate. Raises
        InputError `input.not_found`.
        """
        row = assets.new_asset(
            path, self.folder, kind=kind, size=size, num_frames=num_frames, fps=fps, rotation=rotation
        )
        with self.writing() as connection:
            connection.execute(insert(AssetRow), [{**row, "project": self.project_id}])
            assets.write_times(connection, row["id"], times or ())
        return self.asset(row["id"])

    def assets(self) -> list[Asset]:
        """All assets, oldest first."""
        query = select(AssetRow.__table__).where(AssetRow.project == self.project_id)
        with self.reading() as connection:
            rows = fetch(connection, query.order_by(AssetRow.created, AssetRow.id))
        return [assets.as_asset(row, self.folder) for row in rows]

    def asset(self, asset_id: str) -> Asset:
        """One asset by id. Raises InputError `input.not_found`."""
        with self.reading() as connection:
            rows = fetch(connection, select(AssetRow.__table__).where(AssetRow.id == asset_id))
        if not rows:
            raise InputError("input.not_found", f"{self.name} has no asset {asset_id}.")
        return assets.as_asset(rows[0], self.folder)

    def frame_times(self, asset: Asset) -> tuple[float, ...] | None:
        """Seconds by frame, None where the frame rate says them."""
        with self.reading() as connection:
            return assets.read_times(connection, asset.asset_id)

    def shots(self, asset: Asset) -> list[tuple[int, int]]:
        """(first, last) frames of the shots, in order; empty where nobody looked for cuts."""
        with self.reading() as connection:
            return assets.read_shots(connection, asset.asset_id)

    def set_shots(
        self, asset: Asset, shots: Iterable[tuple[int, int]], *, source: ShotSource = "auto"
    ) -> None:
        """Put (first, last) ranges in place of the shots that were known."""
        with self.writing() as connection:
            assets.write_shots(connection, asset.asset_id, shots, source)

    def events(self, asset: Asset | None = None) -> Iterator[Event]:
        """What happened, oldest first: to one asset, or to all."""
        with self.reading() as connection:
            found = events.read(connection, None if asset is None else asset.asset_id)
        yield from found

    def _read_own_row(self, connection: Connection, name: str | None) -> None:
        query = select(ProjectRow.id, ProjectRow.name)
        if name is not None or self.engine.dialect.name != "sqlite":
            query = query.where(ProjectRow.name == (name or self.folder.name.removesuffix(".segma")))
        row = connection.execute(query).first()
        if row is None:
            raise StoreError("db.broken", f"{self.name}: its tables do not say which project it is.")
        self.project_id, self.title = row


def _fill(label: str, engine: Engine, name: str) -> None:
    """Make the tables and the project's own row."""
    row: dict[str, object] = {"name": name, "kind": "masks", "settings": {}, "schema_version": REVISION}
    try:
        with database.explained(label), engine.begin() as connection:
            database.upgrade(connection)
            taken = connection.execute(select(ProjectRow.id).where(ProjectRow.name == name)).first()
            if taken is not None:
                raise InputError("input.exists", f"The database has a project {name} already.")
            connection.execute(insert(ProjectRow), [row])
    finally:
        engine.dispose()


def _hold(folder: Path, held: ExitStack) -> None:
    """Take the lock of the one writer, or raise StoreError `db.locked`. A dead process holds no lock."""
    path = folder / LOCK

    def refuse() -> None:
        with path.open("rb", buffering=0) as stream:
            stream.seek(1)
            pid = stream.read(20).strip().decode("ascii", "replace")
        raise StoreError(
            "db.locked",
            f"{folder.name} is open in another segma (pid {pid or 'unknown'}).",
            "Readers are fine; for two writers use PostgreSQL.",
        )

    with explained_errors(path):
        held.enter_context(file_lock(path, wait=refuse))
        with path.open("r+b", buffering=0) as stream:
            stream.seek(1)
            stream.write(f"{os.getpid():<20}".encode())
