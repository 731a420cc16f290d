from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from segma.errors import InputError, StoreError
from segma.prompts.types import FramePrompt, Points
from segma.store.project import Project
from segma.store.tracks import AssetTracks
from segma.store.upkeep import Collected, Trouble, backup, check, collect

if TYPE_CHECKING:
    from tests.unit.store.conftest import MakeRecord

CLICK = (FramePrompt(points=Points([(3.5, 4)], [1])),)


@pytest.fixture
def filled(tracks: AssetTracks, record: MakeRecord) -> AssetTracks:
    """Two objects with a prompt, an absence and three masks each."""
    for name in ("ball", "cup"):
        each = tracks.add_object(name)
        tracks.set_prompts(each, 0, CLICK)
        tracks.set_presence(each, 5, 6, "absent")
    run = tracks.begin((1, 2), 0, 2, reverse=False, reason="new")
    for frame in range(3):
        for each in (1, 2):
            tracks.put(run, each, frame, record(frame + each))
    tracks.end(run, "done")
    return tracks


def ask(folder: Path, query: str) -> object:
    with closing(sqlite3.connect(folder / "project.db")) as connection, connection:
        return connection.execute(query).fetchall()


def test_hidden_objects_go_after_a_month(filled: AssetTracks, folder: Path, record: MakeRecord) -> None:
    project = filled.project
    filled.remove_object(1)
    assert collect(project) == Collected(objects=0, cache_bytes=0)
    ask(folder, "UPDATE object SET hidden_at = '2020-01-01 00:00:00.000000' WHERE number = 1")
    assert collect(project).objects == 1
    assert collect(project).objects == 0
    assert ask(folder, "SELECT count(*) FROM mask") == [(3,)]
    assert (
        ask(folder, "SELECT count(*) FROM prompt") == ask(folder, "SELECT count(*) FROM presence") == [(1,)]
    )
    assert ask(folder, "SELECT number, state FROM object ORDER BY number") == [
        (1, "collected"),
        (2, "active"),
    ]
    assert filled.add_object("new") == 3
    assert len(dict(filled.records(2, 0, None))) == 3
    assert check(project) == []


def test_only_old_files_of_the_cache_go(filled: AssetTracks) -> None:
    cache = filled.project.cache
    filled.save_state("memory", b"x" * 100)
    old = cache / "deep" / "old.bin"
    old.parent.mkdir()
    old.write_bytes(b"12345")
    os.utime(old, (0, time.time() - 40 * 24 * 3600))
    assert collect(filled.project).cache_bytes == 5
    assert not old.parent.exists()
    assert filled.load_state("memory") == b"x" * 100
    assert collect(filled.project, older_than_days=0).cache_bytes == 132  # with the hash
    assert filled.load_state("memory") is None
    assert cache.is_dir()


def test_a_damaged_state_is_gone(filled: AssetTracks) -> None:
    filled.save_state("memory", b"x" * 100)
    (path,) = filled.project.cache.rglob("*.state")
    path.write_bytes(path.read_bytes()[:-1])
    assert filled.load_state("memory") is None
    path.write_bytes(b"")
    assert filled.load_state("memory") is None


def test_a_sound_project_has_no_trouble(filled: AssetTracks, tmp_path: Path) -> None:
    project = filled.project
    assert check(project) == []
    assert project.assets()[0].sha256 is not None
    (tmp_path / "clip.mp4").write_bytes(b"NO REAL VIDEO")  # as long as before
    assert check(project) == [Trouble(kind="media", message="clip.mp4: its bytes are not what they were.")]
    assert check(project, contents=False) == []
    (tmp_path / "clip.mp4").unlink()
    (trouble,) = check(project, contents=False)
    assert trouble.kind == "media" and "no such file" in trouble.message


HOSTILE = [
    ("UPDATE mask SET rle = X'FF' WHERE frame = 1", "mask"),
    ("UPDATE mask SET rle = '04' WHERE frame = 1", "mask"),
    ("UPDATE mask SET rows = 1000000000, columns = 1000000000 WHERE frame = 1", "mask"),
    ("UPDATE mask SET rows = 25, columns = 30 WHERE frame = 1", "mask"),
    ("UPDATE mask SET top = -1 WHERE frame = 1", "mask"),
    ("UPDATE mask SET rle = X'' WHERE frame = 1", "mask"),
    ("""UPDATE prompt SET data = '{"points": [[1, 2, 3]], "labels": [1]}'""", "prompt"),
    ("UPDATE prompt SET data = '[]'", "prompt"),
    ("""UPDATE prompt SET data = '{"mask": {"size": 5}}'""", "prompt"),
    ("""UPDATE prompt SET data = '{"box": [3, 3, 1, 1]}'""", "prompt"),
]


@pytest.mark.parametrize(("change", "kind"), HOSTILE, ids=range(len(HOSTILE)))
def test_rows_that_cannot_be_read_are_named_and_refused(
    filled: AssetTracks, folder: Path, change: str, kind: str
) -> None:
    ask(folder, change)
    assert {trouble.kind for trouble in check(filled.project)} == {kind}
    with pytest.raises(StoreError, match="cannot be read") as caught:
        filled.objects()
        filled.get(1, 1)
    assert caught.value.code == "db.broken"


def test_versions_that_are_their_own_ancestors_come_to_an_end(
    filled: AssetTracks, folder: Path, record: MakeRecord
) -> None:
    ask(folder, "UPDATE track SET parent = id")
    assert len(dict(filled.records(1, 0, None))) == 3
    assert {trouble.kind for trouble in check(filled.project)} == {"row"}


def test_rows_without_their_parents_are_found(filled: AssetTracks, folder: Path) -> None:
    ask(folder, "UPDATE mask SET track = 'nobody' WHERE track = (SELECT max(id) FROM track) AND frame = 2")
    (trouble,) = check(filled.project)
    assert trouble.kind == "row" and "belongs to a track that is not there" in trouble.message


def test_a_torn_page_is_found(filled: AssetTracks, folder: Path) -> None:
    filled.project.close()
    path = folder / "project.db"
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'mask'").fetchone()
    data[(root - 1) * size : root * size] = os.urandom(size)
    path.write_bytes(data)
    with Project.open(folder, write=False) as project:
        found = check(project)
        assert found and found[0].kind == "database"
        with pytest.raises(StoreError) as caught:
            list(AssetTracks(project, project.assets()[0]).records(1, 0, None))
        assert caught.value.code == "db.broken"


def test_a_backup_is_the_project_as_it_stood(
    filled: AssetTracks, folder: Path, tmp_path: Path, record: MakeRecord
) -> None:
    path = backup(filled.project, tmp_path / "zoo.backup.db")
    filled.remove_object(1)
    with pytest.raises(InputError, match="exists"):
        backup(filled.project, path)
    before = path.read_bytes()
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"of another database")
    backup(filled.project, path, overwrite=True)
    assert not log.exists()
    path.write_bytes(before)
    filled.project.close()
    path.replace(folder / "project.db")
    with Project.open(folder) as project:
        again = AssetTracks(project, project.assets()[0])
        assert [kept.name for kept in again.objects()] == ["ball", "cup"]
        assert again.get(1, 2) == record(3)
    with Project.open(folder, write=False) as project, pytest.raises(StoreError, match="cannot be written"):
        backup(project, tmp_path / "no" / "folder.db")
