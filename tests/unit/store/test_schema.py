from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import insert, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.schema import CreateIndex, CreateTable

from segma.store import database
from segma.store.columns import Table
from segma.store.ids import new_id
from segma.store.schema import REVISION, ModelRow, ProjectRow

TABLES = (
    *("project", "member", "user", "token", "label", "attribute", "asset", "frame_time", "shot", "object"),
    *("prompt", "track", "mask", "presence", "task", "verdict", "event", "job", "model", "metric", "release"),
)


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda each: each.name)
def test_all_tables_can_be_made_in_both_databases(dialect: sqlite.dialect | postgresql.dialect) -> None:
    assert set(Table.metadata.tables) == set(TABLES)
    for table in Table.metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        assert "PRIMARY KEY" in text
        for index in table.indexes:
            assert "CREATE" in str(CreateIndex(index).compile(dialect=dialect))


def test_migrations_give_the_tables_that_the_code_describes(tmp_path: Path) -> None:
    engine = database.open_file(tmp_path / "x.db", write=True, new=True)
    with engine.begin() as connection:
        assert database.revision_of(connection) is None
        database.upgrade(connection)
    with engine.connect() as connection:
        assert database.revision_of(connection) == REVISION
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_migrations_speak_postgresql() -> None:
    lines: list[str] = []
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": Buffer(lines)}
    )
    with Operations.context(context):
        first = load_revision()
        first.upgrade()
        first.downgrade()
    text = "".join(lines)
    assert text.count("CREATE TABLE") == text.count("DROP TABLE") == len(TABLES)
    assert "BYTEA" in text and "TIMESTAMP WITH TIME ZONE" in text and "WHERE is_current" in text


class Buffer:
    """Where Alembic writes its SQL."""

    def __init__(self, lines: list[str]) -> None:
        self.write, self.flush = lines.append, lambda: None


def load_revision():
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("first", database.MIGRATIONS / "versions" / "0001_tables.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_upgrade_that_fails_leaves_nothing(tmp_path: Path) -> None:
    engine = database.open_file(tmp_path / "x.db", write=True, new=True)
    with pytest.raises(RuntimeError), engine.begin() as connection:
        database.upgrade(connection)
        assert inspect(connection).has_table("mask")
        raise RuntimeError
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    engine.dispose()


def test_foreign_keys_are_on_and_times_are_utc(tmp_path: Path) -> None:
    engine = database.open_file(tmp_path / "x.db", write=True, new=True)
    with engine.begin() as connection:
        database.upgrade(connection)
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    row = {"name": "a", "file_hash": "", "created": noon}
    with engine.begin() as connection:
        connection.execute(insert(ModelRow), [row])
        created = connection.execute(select(ModelRow.created)).scalar_one()
        updated = connection.execute(select(ModelRow.updated)).scalar_one()
    assert created == noon and created.tzinfo is UTC
    assert abs(datetime.now(UTC) - updated) < timedelta(minutes=1)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(ModelRow), [{**row, "name": "b", "parent": "nobody"}])
    with pytest.raises(StatementError, match="without a zone"), engine.begin() as connection:
        connection.execute(insert(ModelRow), [{**row, "created": datetime(2030, 1, 1)}])
    engine.dispose()


def test_the_schema_needs_nothing_heavy(repository: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, 'src'); import segma.store.tracks, segma.store.upkeep;"
        "print({'torch', 'cv2', 'av', 'alembic', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id(1_700_000_000_000_000_000 + 1000 * step) for step in range(2000)]
    assert ids == sorted(ids) and len(set(ids)) == 2000
    assert all(each[14] == "7" and each[19] in "89ab" and len(each) == 36 for each in ids)
    now = [new_id() for _ in range(100)]
    assert len(set(now)) == 100 and now[0][:8] == max(now)[:8]


def test_a_project_says_which_schema_it_has(folder: Path, project: object) -> None:
    connection = sqlite3.connect(folder / "project.db")
    assert connection.execute("SELECT schema_version FROM project").fetchall() == [(REVISION,)]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ProjectRow.__tablename__ == "project"
    connection.close()
