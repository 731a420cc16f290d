from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from segma.errors import InputError, MissingExtraError, StoreError
from segma.prompts.types import FramePrompt, Points
from segma.store.project import Project
from segma.store.tracks import AssetTracks

if TYPE_CHECKING:
    from tests.unit.store.conftest import MakeRecord

CLICK = (FramePrompt(points=Points([(3.5, 4)], [1])),)
HOLD = """
import sys
from segma.store.project import Project
with Project.open(sys.argv[1]) as project:
    print("open", flush=True)
    sys.stdin.readline()
"""


def test_a_new_project_is_a_folder(tmp_path: Path) -> None:
    with Project.create(tmp_path / "zoo.segma") as project:
        assert (project.title, project.name, project.assets()) == ("zoo", "zoo.segma", [])
    assert sorted(path.name for path in (tmp_path / "zoo.segma").iterdir()) == [
        "cache",
        "exports",
        "media",
        "project.db",
        "project.lock",
    ]
    with pytest.raises(InputError, match="is a project already") as caught:
        Project.create(tmp_path / "zoo.segma")
    assert caught.value.code == "input.exists"
    (tmp_path / "file.segma").touch()
    with pytest.raises(InputError, match="is a file"):
        Project.create(tmp_path / "file.segma")
    project.close()


def test_names_of_folders_may_be_odd(tmp_path: Path) -> None:
    folder = tmp_path / "ä b?c#d%e&mode=memory.segma"
    with Project.create(folder, "Zoo & Co") as project:
        assert project.title == "Zoo & Co"
    assert (folder / "project.db").stat().st_size > 10_000
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_project_is_said_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.segma"):
        with pytest.raises(InputError, match="there is no project") as caught:
            Project.open(path)
        assert caught.value.code == "input.not_found"


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")


def scribbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:4096] = os.urandom(3996)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b""), "holds no tables of segma"),
        (lambda path: path.write_bytes(b"no database at all" * 1000), "damaged or foreign"),
        (lambda path: (path.unlink(), foreign(path)), "holds no tables of segma"),
        (newer, r"newer segma \(schema 0999; this one knows 0001\). Update"),
        (scribbled, "damaged or foreign"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged or foreign"),
    ],
    ids=["empty", "garbage", "foreign", "newer", "scribbled", "cut"],
)
@pytest.mark.parametrize("write", [True, False])
def test_a_damaged_or_foreign_database_is_said_so(
    folder: Path, project: Project, damage: object, said: str, write: bool
) -> None:
    project.close()
    assert callable(damage)
    damage(folder / "project.db")
    with pytest.raises(StoreError, match=said) as caught:
        Project.open(folder, write=write)
    assert caught.value.code == "db.broken"
    assert "zoo.segma" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match=said):  # the lock is free again
        Project.open(folder, write=write)


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a project open for writing."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert child.stdout is not None and child.stdout.readline() == "open\n"
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def test_one_process_writes_and_others_read(folder: Path, project: Project) -> None:
    project.close()
    with held_elsewhere(folder) as child:
        with pytest.raises(StoreError) as caught:
            Project.open(folder)
        assert caught.value.code == "db.locked"
        assert str(caught.value) == (
            f"zoo.segma is open in another segma (pid {child.pid}). "
            "Readers are fine; for two writers use PostgreSQL."
        )
        with Project.open(folder, write=False) as reader:
            assert [asset.name for asset in reader.assets()] == ["clip.mp4"]
        child.kill()  # what it held is free at once
        child.wait()
        with Project.open(folder) as again:
            assert len(again.assets()) == 1


def test_a_reader_sees_what_the_writer_commits_and_changes_nothing(
    folder: Path, project: Project, tracks: AssetTracks, record: MakeRecord
) -> None:
    with Project.open(folder, write=False) as reader:
        seen = AssetTracks(reader, reader.assets()[0])
        ball = tracks.add_object("ball")
        run = tracks.begin((ball,), 0, None, reverse=False, reason="new")
        tracks.put(run, ball, 0, record(1))
        assert seen.get(ball, 0) is None
        tracks.flush()
        assert seen.get(ball, 0) == record(1)
        assert seen.unfinished() == []  # its process is alive
        for attempt in (lambda: seen.add_object("cup"), lambda: seen.end(run, "done")):
            with pytest.raises(StoreError, match="opened for reading only"):
                attempt()
        with pytest.raises(StoreError, match="readonly"), reader.reading() as connection:
            connection.execute(text("DELETE FROM mask"))
    assert tracks.get(ball, 0) == record(1)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_cannot_be_written_is_read(folder: Path, project: Project) -> None:
    project.close()
    folder.chmod(0o500)
    try:
        with Project.open(folder, write=False) as reader:
            assert len(reader.assets()) == 1
        with pytest.raises(StoreError):
            Project.open(folder)
    finally:
        folder.chmod(0o700)


def test_a_full_disk_loses_nothing_that_was_kept(
    folder: Path, project: Project, tracks: AssetTracks, record: MakeRecord
) -> None:
    ball = tracks.add_object("ball")
    run = tracks.begin((ball,), 0, None, reverse=False, reason="new")
    tracks.put(run, ball, 0, record(1))
    tracks.flush()
    set_limit(project, "(SELECT page_count FROM pragma_page_count)")
    for frame in range(1, 200):
        tracks.put(run, ball, frame, record(frame))
    with pytest.raises(StoreError, match="What was kept before is safe") as caught:
        tracks.flush()
    assert caught.value.code == "disk.full"
    with Project.open(folder, write=False) as reader:
        there = dict(AssetTracks(reader, reader.assets()[0]).records(ball, 0, None))
        assert there == {0: record(1)}
    set_limit(project, "1073741823")
    tracks.end(run, "done")
    assert len(dict(tracks.records(ball, 0, None))) == 200


def set_limit(project: Project, pages: str) -> None:
    """How large the database may become, on all of its open connections (there is one)."""
    with project.reading() as connection:
        if not pages.isdigit():
            pages = str(connection.execute(text("PRAGMA page_count")).scalar_one())
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))


def test_threads_share_a_project(tracks: AssetTracks, record: MakeRecord) -> None:
    ball, cup = tracks.add_object("ball"), tracks.add_object("cup")
    failures: list[BaseException] = []

    def track(object_id: int) -> None:
        try:
            run = tracks.begin((object_id,), 0, None, reverse=False, reason="new")
            for frame in range(40):
                tracks.put(run, object_id, frame, record(frame))
                assert tracks.get(object_id, frame) == record(frame)
                if frame % 10 == 0:
                    tracks.set_prompts(object_id, frame, CLICK)
            tracks.end(run, "done")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=track, args=(each,)) for each in (ball, cup)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [len(dict(tracks.records(each, 0, None))) for each in (ball, cup)] == [40, 40]


def test_an_asset_is_what_was_said_of_it(project: Project) -> None:
    (asset,) = project.assets()
    assert (asset.name, asset.kind, asset.size, asset.num_frames) == ("clip.mp4", "video", (24, 32), 100)
    assert (asset.fps, asset.near, asset.num_bytes) == (Fraction(30000, 1001), "../clip.mp4", 13)
    assert project.asset(asset.asset_id) == asset
    assert project.frame_times(asset) is None
    with pytest.raises(InputError, match="has no asset"):
        project.asset("nobody")
    with pytest.raises(InputError, match=r"no such file\. Looked in"):
        project.add_asset("nothing.mp4", kind="video", size=(1, 1))


def test_times_of_a_variable_frame_rate_and_shots_are_kept(project: Project, folder: Path) -> None:
    times = (0.0, 0.04, 0.0801, 0.5)
    (folder / "media" / "in.mp4").write_bytes(b"inside")
    inside = project.add_asset(
        folder / "media" / "in.mp4", kind="video", size=(2, 2), num_frames=4, fps=8, times=times, rotation=90
    )
    assert (inside.near, inside.rotation, inside.fps) == ("media/in.mp4", 90, 8)
    assert project.frame_times(inside) == times
    project.set_shots(inside, [(0, 1), (2, 3)])
    project.set_shots(inside, [(0, 2), (3, 3)], source="person")
    assert project.shots(inside) == [(0, 2), (3, 3)]
    assert project.shots(project.assets()[0]) == []


def test_media_are_found_where_they_went(project: Project, folder: Path, tmp_path: Path) -> None:
    (asset,) = project.assets()
    assert asset.locate() == tmp_path / "clip.mp4"
    (tmp_path / "clip.mp4").rename(folder / "media" / "clip.mp4")
    assert asset.locate() == folder / "media" / "clip.mp4"
    elsewhere = tmp_path / "deep" / "far.mp4"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"12345")
    far = project.add_asset(elsewhere, kind="video", size=(2, 2))
    project.close()
    shutil.move(tmp_path / "deep", tmp_path / "other")
    shutil.move(folder, tmp_path / "other" / "zoo.segma")
    with Project.open(tmp_path / "other" / "zoo.segma", write=False) as moved:
        assert [each.locate().name for each in moved.assets()] == ["clip.mp4", "far.mp4"]
        (tmp_path / "other" / "far.mp4").write_bytes(b"another file")
        with pytest.raises(InputError, match=r"is another file now \(12 bytes, it had 5\). Put it back"):
            moved.asset(far.asset_id).locate()
        (tmp_path / "other" / "far.mp4").unlink()
        with pytest.raises(InputError, match=r"far.mp4: no such file\. Looked in .*deep\. Put") as caught:
            moved.asset(far.asset_id).locate()
        assert caught.value.code == "input.not_found"


def test_folders_and_streams_are_assets_too(project: Project, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    frames = project.add_asset(tmp_path / "frames", kind="frames", size=(2, 2), num_frames=3)
    assert (frames.locate(), frames.num_bytes) == (tmp_path / "frames", None)
    camera = project.add_asset("rtsp://cam/1", kind="stream", size=(2, 2))
    assert (camera.path, camera.near, camera.fps) == ("rtsp://cam/1", None, None)
    with pytest.raises(InputError, match="live stream"):
        camera.locate()


def test_what_postgresql_needs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match="PostgreSQL needs extra packages"):
        Project.create(tmp_path / "a.segma", db="postgresql+psycopg://me:secret@host/zoo")
    for address in ("no address: secret", "nosuch+driver://me:secret@host/zoo"):
        with pytest.raises(InputError, match="address of the database") as caught:
            Project.create(tmp_path / "b.segma", db=address)
        assert "secret" not in str(caught.value)
