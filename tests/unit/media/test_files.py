from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from segma.errors import InputError, StoreError
from segma.media import files

Usage = namedtuple("Usage", "total used free")


def test_written_whole_with_the_usual_permissions(tmp_path: Path):
    path = files.write_text(tmp_path / "a.txt", "ä")
    assert path.read_bytes() == "ä".encode()
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_nothing_is_replaced_without_leave(tmp_path: Path):
    path = files.write_bytes(tmp_path / "a", b"old")
    with pytest.raises(InputError, match="--overwrite") as caught:
        files.write_bytes(path, b"new")
    assert caught.value.code == "input.exists" and path.read_bytes() == b"old"
    assert files.write_bytes(path, b"new", overwrite=True).read_bytes() == b"new"
    with pytest.raises(InputError, match="folder"):
        files.write_bytes(tmp_path, b"new", overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_disk_that_says_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, 120_000_000))
    with pytest.raises(StoreError) as caught:
        files.check_room(tmp_path, 2_400_000_000)
    assert caught.value.code == "disk.full"
    assert (
        caught.value.message
        == f"Only 120 MB left in {tmp_path}; the file needs about 2.4 GB. Nothing was written."
    )
    files.write_bytes(tmp_path / "small", b"fits")


FULL = """
import resource, sys
from pathlib import Path
from segma.errors import StoreError
from segma.media import files
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
folder = Path(sys.argv[1])
(folder / "old").write_bytes(b"old")
try:
    files.write_bytes(folder / "old", bytes(50_000), overwrite=True)
except StoreError as error:
    first = error.code, "Nothing was written" in error.message
try:
    files.write_files(folder, {"one": b"1", "two": bytes(50_000)})
except StoreError as error:
    print(first, error.code, sorted(path.name for path in folder.iterdir()), (folder / "old").read_bytes())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no limit on the size of files")
def test_a_disk_that_fills_up_while_writing_keeps_the_old_file(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "('disk.full', True) disk.full ['old'] b'old'"


def test_folders_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(StoreError, match="folder does not exist") as caught:
        files.write_bytes(tmp_path / "missing" / "a", b"")
    assert caught.value.code == "disk.unwritable"
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        files.make_folder(tmp_path / "file" / "deeper")
    assert caught.value.code == "disk.unwritable"
    with pytest.raises(StoreError):
        files.write_bytes(tmp_path / ("n" * 300), b"")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="permission denied") as caught:
        files.write_bytes(tmp_path / "a", b"")
    tmp_path.chmod(0o700)
    assert caught.value.code == "disk.unwritable"


def test_several_files_or_none(tmp_path: Path):
    files.write_files(tmp_path, {"a": b"1", "b": b"2"})
    with pytest.raises(InputError):
        files.write_files(tmp_path, {"c": b"3", "b": b"2"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    files.write_files(tmp_path, {"c": b"3", "b": b"4"}, overwrite=True)
    assert (tmp_path / "b").read_bytes() == b"4"


def test_a_file_written_in_pieces_appears_at_the_end(tmp_path: Path):
    with files.new_file(tmp_path / "a") as stream:
        stream.write(b"one ")
        assert not (tmp_path / "a").exists()
        stream.write(b"two")
    assert (tmp_path / "a").read_bytes() == b"one two"
    with pytest.raises(InputError), files.new_file(tmp_path / "a"):
        raise AssertionError("not reached")
    with pytest.raises(ZeroDivisionError), files.new_file(tmp_path / "a", overwrite=True) as stream:
        stream.write(b"three")
        raise ZeroDivisionError
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"one two"


def test_a_folder_appears_when_it_is_finished(tmp_path: Path):
    target = tmp_path / "deep" / "masks"
    with pytest.raises(ZeroDivisionError), files.new_folder(target) as part:
        (part / "0.png").write_bytes(b"0")
        raise ZeroDivisionError
    assert list((tmp_path / "deep").iterdir()) == []
    with files.new_folder(target) as part:
        (part / "1").mkdir()
        (part / "1" / "0.png").write_bytes(b"0")
        assert not target.exists()
    assert (target / "1" / "0.png").read_bytes() == b"0"
    with pytest.raises(InputError, match="not empty"), files.new_folder(target):
        raise AssertionError("not reached")


def test_a_folder_written_again_keeps_what_is_not_stale(tmp_path: Path):
    for name in ("1/0.png", "2/0.png", "2/mine.txt", "3/0.png", "0.png", "mine.txt"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_bytes(b"old")
    with files.new_folder(tmp_path / "x", overwrite=True, stale="[0-9]*/*.png") as part:
        (part / "1").mkdir()
        (part / "1" / "0.png").write_bytes(b"new")
        (part / "4").mkdir()
    found = {entry.relative_to(tmp_path / "x").as_posix() for entry in (tmp_path / "x").rglob("*")}
    assert found == {"1", "1/0.png", "2", "2/mine.txt", "0.png", "mine.txt", "4"}
    assert (tmp_path / "x" / "1" / "0.png").read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_what_the_system_says_is_said_once(tmp_path: Path):
    with pytest.raises(StoreError, match=r"^full$"), files.new_folder(tmp_path / "x"):
        raise StoreError("disk.full", "full")
    with pytest.raises(StoreError) as caught, files.new_file(tmp_path / "none" / "x"):
        raise AssertionError("not reached")
    assert caught.value.code == "disk.unwritable"
