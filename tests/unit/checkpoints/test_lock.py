from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from segma.checkpoints.download import DownloadConfig, download
from segma.checkpoints.origin import Origin, write_origin
from segma.locking import file_lock

if TYPE_CHECKING:
    from tests.unit.checkpoints.conftest import FileServer

BYTES = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(BYTES).hexdigest()


CHILD = """
import sys
from pathlib import Path
from segma.checkpoints.download import DownloadConfig, download
notes = []
path = download(sys.argv[1], Path(sys.argv[2]), on_note=notes.append,
                config=DownloadConfig(lock_poll_seconds=0.02))
print(path.stat().st_size, *notes)
"""


def test_two_processes_fetch_a_file_once(server: FileServer, tmp_path: Path) -> None:
    server.pause_seconds = 0.2  # six pieces: both processes meet while it is under way
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, server.url(), str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(2)
    ]
    outputs = sorted(child.communicate(timeout=60)[0] for child in children)
    assert [child.returncode for child in children] == [0, 0]
    assert all(output.startswith("300000") for output in outputs)
    assert (tmp_path / "weights.pth").read_bytes() == BYTES
    assert server.requests == [""]


def test_whoever_waits_for_the_lock_sees_the_progress_of_the_holder(
    server: FileServer, tmp_path: Path
) -> None:
    tries: list[float] = []
    released = threading.Event()
    holder = threading.Thread(target=hold_and_finish, args=(server.url(), tmp_path, released))
    (tmp_path / "weights.pth.part").write_bytes(b"1234")
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.005)
    seen: list[tuple[int, int | None]] = []
    notes: list[str] = []

    def sleep(seconds: float) -> None:
        tries.append(seconds)
        released.set()
        time.sleep(0.01)

    path = download(
        server.url(),
        tmp_path,
        on_progress=lambda done, total: seen.append((done, total)),
        on_note=notes.append,
        config=DownloadConfig(sleep=sleep),
    )
    holder.join()
    assert path.read_bytes() == b"1234"
    assert seen[0] == (4, None)
    assert notes == ["Another process is fetching weights.pth; waiting for it."]
    assert tries[0] == 0.2
    assert server.requests == []


def hold_and_finish(url: str, folder: Path, released: threading.Event) -> None:
    """Play the other process: it holds the lock, and completes the file before it lets go."""
    target = folder / "weights.pth"
    with file_lock(folder / "weights.pth.lock", wait=fail):
        (folder / "held").touch()
        assert released.wait(10)
        write_origin(
            target, Origin(url=url, size=4, etag="", last_modified="", hash_kind="", hash="", sha256="00")
        )
        (folder / "weights.pth.part").rename(target)


def fail() -> None:
    raise AssertionError("nobody else holds this lock")


def test_lock_of_a_process_that_died_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    code = (
        "import os, sys, pathlib; from segma.locking import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1]), wait=lambda: None): os._exit(0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(lock)], check=True, env=environment)
    with file_lock(lock, wait=fail):
        assert lock.exists()
