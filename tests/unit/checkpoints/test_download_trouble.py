from __future__ import annotations

import base64
import errno
import hashlib
import logging
import os
import random
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from segma.checkpoints.disk import check_room, disk_errors, readable_bytes
from segma.checkpoints.download import DownloadConfig, download, file_name
from segma.checkpoints.origin import origin_path
from segma.errors import ModelError, StoreError

if TYPE_CHECKING:
    from tests.unit.checkpoints.conftest import FileServer

BYTES = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(BYTES).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-MD5": base64.b64encode(hashlib.md5(BYTES).digest()).decode()},
        {"X-Linked-ETag": f'"{SHA256}"', "X-Linked-Size": str(len(BYTES))},
        {"x-amz-request-id": "1", "ETag": f'"{hashlib.md5(BYTES).hexdigest()}"'},
    ],
)
def test_bytes_are_held_to_the_hash_that_the_server_states(
    server: FileServer, tmp_path: Path, config: DownloadConfig, headers: dict[str, str]
) -> None:
    server.headers = headers
    right = download(server.url(), tmp_path / "right", config=config)
    assert right.read_bytes() == BYTES
    server.body = BYTES[:-1] + bytes([BYTES[-1] ^ 1])
    with pytest.raises(ModelError, match=r"the server states [0-9a-f]{32}") as caught:
        download(server.url(), tmp_path / "wrong", config=config)
    assert caught.value.code == "model.corrupt"
    assert names(tmp_path / "wrong") == ["weights.pth.lock"]


def test_size_that_the_redirect_states_is_held_to(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    server.headers = {"X-Linked-Size": "300001"}
    with pytest.raises(ModelError, match="it has 300000 bytes, the server states 300001") as caught:
        download(server.url(), tmp_path, config=config)
    assert caught.value.code == "model.corrupt"
    server.headers = {"X-Linked-Size": "1000"}
    with pytest.raises(ModelError, match="the server states 1000"):
        download(server.url(), tmp_path, config=config)
    assert names(tmp_path) == ["weights.pth.lock"]


def test_server_that_states_more_than_it_has_is_found_out(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    server.stated_size = len(BYTES) + 1
    with pytest.raises(ModelError, match="first stated 300001 bytes, then 300000") as caught:
        download(server.url(), tmp_path, config=config)
    assert caught.value.code == "model.corrupt"
    assert names(tmp_path) == ["weights.pth.lock"]


def test_empty_file_is_refused(server: FileServer, tmp_path: Path, config: DownloadConfig) -> None:
    server.body = b""
    with pytest.raises(ModelError, match="empty file"):
        download(server.url(), tmp_path, config=config)


def test_busy_server_is_asked_again(
    server: FileServer, tmp_path: Path, config: DownloadConfig, pauses: list[float]
) -> None:
    server.statuses = [500, 503]
    assert download(server.url(), tmp_path, config=config).read_bytes() == BYTES
    assert pauses == [0.5, 1.0]


def test_server_that_stays_busy_is_given_up(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    server.statuses = [500] * 9
    with pytest.raises(ModelError, match="answered 500"):
        download(server.url(), tmp_path, config=config)
    assert len(server.requests) == 3


def test_missing_file_is_not_asked_for_twice(
    server: FileServer, tmp_path: Path, config: DownloadConfig, pauses: list[float]
) -> None:
    server.statuses = [404]
    with pytest.raises(ModelError, match="answered 404 Not Found") as caught:
        download(server.url(), tmp_path, config=config)
    assert caught.value.code == "model.download"
    assert server.url() in str(caught.value)
    assert pauses == []


def test_server_that_never_answers_is_left(server: FileServer, tmp_path: Path, pauses: list[float]) -> None:
    server.silent.clear()
    config = DownloadConfig(read_seconds=0.2, attempts=2, sleep=pauses.append)
    begin = time.monotonic()
    with pytest.raises(ModelError, match=r"127\.0\.0\.1 did not answer in time"):
        download(server.url(), tmp_path, config=config)
    assert time.monotonic() - begin < 3
    assert len(pauses) == 1


def test_without_network_one_sentence_says_what_to_put_where(tmp_path: Path, pauses: list[float]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/weights.pth"
    config = DownloadConfig(sleep=pauses.append)
    with pytest.raises(ModelError) as caught:
        download(url, tmp_path, config=config)
    assert str(caught.value) == (
        f"weights.pth could not be fetched (no connection to 127.0.0.1): "
        f"download {url} and put it at {tmp_path / 'weights.pth'}"
    )
    assert caught.value.code == "model.download"
    assert pauses == []


@pytest.mark.parametrize("target", ["http://other.test/w.pth", "ftp://other.test/w.pth"])
def test_redirect_out_of_https_is_refused(tmp_path: Path, target: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": target})

    config = DownloadConfig(transport=httpx.MockTransport(answer))
    with pytest.raises(ModelError, match="which is not encrypted"):
        download("https://secure.test/w.pth", tmp_path, config=config)
    assert asked == ["https://secure.test/w.pth"]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, "web page"),
        ({"Content-Encoding": "gzip"}, "packed form"),
    ],
)
def test_answer_that_is_not_the_file_is_refused(
    server: FileServer, tmp_path: Path, config: DownloadConfig, headers: dict[str, str], message: str
) -> None:
    server.headers = headers
    with pytest.raises(ModelError, match=message):
        download(server.url(), tmp_path, config=config)
    assert not (tmp_path / "weights.pth").exists()


@pytest.mark.parametrize(
    "url",
    [
        "https://x.test/",
        "https://x.test/a/..%2f..%2fetc",
        "https://x.test/a%5Cb.pth",
        "https://x.test/.hidden",
        "https://x.test/c:stream.pth",
        "https://x.test/dot.",
        "https://x.test/nul%00.pth",
        "ftp://x.test/w.pth",
        "file:///etc/passwd",
        "weights.pth",
        "https:///w.pth",
        "https://x.test:port/w.pth",
    ],
)
def test_addresses_without_a_plain_file_name_are_refused(url: str) -> None:
    with pytest.raises(ModelError) as caught:
        file_name(url)
    assert caught.value.code == "model.download"


def test_disk_too_small_is_said_before_the_first_byte(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    server.stated_size = 10**18
    with pytest.raises(StoreError, match=r"left in .*; the download needs 1000000000\.0 GB") as caught:
        download(server.url(), tmp_path, config=config)
    assert caught.value.code == "disk.full"
    assert names(tmp_path) == ["weights.pth.lock"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_write_that_the_system_refuses(server: FileServer, tmp_path: Path, config: DownloadConfig) -> None:
    import resource

    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, usual[1]))
    try:
        with pytest.raises(StoreError, match="File too large") as caught:
            download(server.url(), tmp_path, config=config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert caught.value.code == "disk.unwritable"
    assert (tmp_path / "weights.pth.part").stat().st_size == 100_000
    assert download(server.url(), tmp_path, config=config).read_bytes() == BYTES
    assert server.requests == ["", "bytes=100000-"]


@pytest.mark.skipif(
    not Path("/dev/full").is_char_device(), reason="this system has no device that is always full"
)
def test_disk_that_fills_while_writing(server: FileServer, tmp_path: Path, config: DownloadConfig) -> None:
    def fill_the_disk(done: int, total: int | None) -> None:
        if done == 0:  # the part is open by now; from here on its writes go to the full device
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, descriptor_of(tmp_path / "weights.pth.part"))
            os.close(full)

    with pytest.raises(StoreError, match="is full") as caught:
        download(server.url(), tmp_path, config=config, on_progress=fill_the_disk)
    assert caught.value.code == "disk.full"


def descriptor_of(path: Path) -> int:
    """The number under which this process has the file open."""
    numbers = [int(entry.name) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return next(number for number in numbers if Path(f"/proc/self/fd/{number}").resolve() == path.resolve())


def test_folder_that_cannot_be_made(server: FileServer, tmp_path: Path, config: DownloadConfig) -> None:
    (tmp_path / "taken").write_bytes(b"a file")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        download(server.url(), tmp_path / "taken", config=config)
    assert caught.value.code == "disk.unwritable"
    assert "SEGMA_CACHE" in caught.value.hint
    assert server.requests == []


def test_errors_of_the_disk_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught, disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.code == "disk.full"
    with pytest.raises(StoreError) as caught, disk_errors(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    assert caught.value.code == "disk.unwritable"
    with pytest.raises(StoreError) as caught, disk_errors(tmp_path):
        raise StoreError("disk.full", "as it is")
    assert caught.value.message == "as it is"


def test_room_counts_what_is_there_already(tmp_path: Path) -> None:
    check_room(tmp_path, None, 0)
    check_room(tmp_path, 10**18, 10**18)
    with pytest.raises(StoreError):
        check_room(tmp_path, 10**18, 10)


def test_bytes_are_readable() -> None:
    assert [readable_bytes(count) for count in (12_000, 120_000_000, 2_400_000_000)] == [
        "12 kB",
        "120 MB",
        "2.4 GB",
    ]


def test_record_left_by_a_download_that_failed_does_not_vouch_for_a_file(
    server: FileServer, tmp_path: Path, config: DownloadConfig, caplog: pytest.LogCaptureFixture
) -> None:
    server.break_after = [1000] * 9
    server.ranges = False
    with pytest.raises(ModelError, match="broke off"):
        download(server.url(), tmp_path, config=config)
    assert origin_path(tmp_path / "weights.pth").exists()
    (tmp_path / "weights.pth").write_bytes(BYTES[:5000])  # by hand, and not complete
    with pytest.raises(ModelError, match="has 5000 bytes"):
        download(server.url(), tmp_path, config=config, offline=True)
    (tmp_path / "weights.pth").write_bytes(BYTES)
    with caplog.at_level(logging.INFO, "segma"):
        assert download(server.url(), tmp_path, config=config, offline=True).read_bytes() == BYTES
    assert "unchecked" in caplog.text
