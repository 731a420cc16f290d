from __future__ import annotations

import hashlib
import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from segma.checkpoints.download import DownloadConfig, download, file_name
from segma.checkpoints.origin import Origin, read_origin
from segma.errors import Cancelled, ModelError

if TYPE_CHECKING:
    from tests.unit.checkpoints.conftest import FileServer

BYTES = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(BYTES).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_is_fetched_with_its_record_and_then_taken_from_the_folder(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    server.headers = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    seen: list[tuple[int, int | None]] = []
    notes: list[str] = []
    folder = tmp_path / "new" / "cache"
    path = download(
        server.url(),
        folder,
        config=config,
        notice="Apache-2.0",
        on_note=notes.append,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert path == folder / "weights.pth"
    assert path.read_bytes() == BYTES
    assert seen[0] == (0, len(BYTES))
    assert seen[-1] == (len(BYTES), len(BYTES))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert notes == ["Apache-2.0"]
    assert read_origin(path) == Origin(
        url=server.url(),
        size=len(BYTES),
        etag='"one"',
        last_modified="Mon, 01 Jan 2024 00:00:00 GMT",
        hash_kind="",
        hash="",
        sha256=SHA256,
        date="2026-01-02T03:04:05+00:00",
    )
    again = download(server.url(), folder, config=config, notice="Apache-2.0", on_note=notes.append)
    assert again == download(server.url(), folder, offline=True) == path
    assert len(server.requests) == 1
    assert notes == ["Apache-2.0"]
    assert names(folder) == ["weights.pth", "weights.pth.lock", "weights.pth.origin.json"]


def test_broken_connection_is_continued_where_it_broke(
    server: FileServer, tmp_path: Path, config: DownloadConfig, pauses: list[float]
) -> None:
    server.break_after = [100_000, 50_000]
    path = download(server.url(), tmp_path, config=config)
    assert path.read_bytes() == BYTES
    assert server.requests == ["", "bytes=100000-", "bytes=150000-"]
    # every try brought bytes, so the pause does not grow
    assert pauses == [0.5, 0.5]


def test_download_is_continued_by_a_later_call(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    def stop(done: int, total: int | None) -> None:
        if done >= 100_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        download(server.url(), tmp_path, config=config, on_progress=stop)
    start = (tmp_path / "weights.pth.part").stat().st_size
    assert 100_000 <= start < len(BYTES)
    seen: list[int] = []
    path = download(server.url(), tmp_path, config=config, on_progress=lambda done, total: seen.append(done))
    assert path.read_bytes() == BYTES
    assert server.requests == ["", f"bytes={start}-"]
    assert seen[0] == start


def test_changed_file_starts_over(server: FileServer, tmp_path: Path, config: DownloadConfig) -> None:
    leave_part(server, tmp_path, config)
    server.body, server.etag = BYTES[::-1], '"two"'
    path = download(server.url(), tmp_path, config=config)
    assert path.read_bytes() == BYTES[::-1]
    assert server.requests == ["", "bytes=100000-"]
    assert read_origin(path).etag == '"two"'  # pyright: ignore[reportOptionalMemberAccess]: None would fail too


def test_changed_file_starts_over_when_the_server_overlooks_if_range(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    leave_part(server, tmp_path, config)
    server.body, server.etag = BYTES[::-1], '"two"'
    server.heeds_if_range = False
    assert download(server.url(), tmp_path, config=config).read_bytes() == BYTES[::-1]
    assert server.requests == ["", "bytes=100000-", ""]


def test_server_without_ranges_starts_over(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    leave_part(server, tmp_path, config)
    server.ranges = False
    assert download(server.url(), tmp_path, config=config).read_bytes() == BYTES
    assert server.requests == ["", "bytes=100000-"]


def test_part_without_a_record_or_of_another_address_is_not_continued(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    part = tmp_path / "weights.pth.part"
    part.write_bytes(b"x" * 1000)
    assert download(server.url(), tmp_path, config=config).read_bytes() == BYTES
    (tmp_path / "weights.pth").unlink()
    part.write_bytes(b"x" * 1000)
    assert download(server.url("mirror/weights.pth"), tmp_path, config=config).read_bytes() == BYTES
    assert server.requests == ["", ""]


def test_complete_part_needs_no_server(server: FileServer, tmp_path: Path, config: DownloadConfig) -> None:
    path = download(server.url(), tmp_path, config=config)
    path.rename(tmp_path / "weights.pth.part")  # as if the process had ended just before the last step
    assert download(server.url(), tmp_path, config=config).read_bytes() == BYTES
    assert len(server.requests) == 1


def leave_part(server: FileServer, folder: Path, config: DownloadConfig) -> None:
    """A part of 100 000 bytes, as an ended process leaves it."""
    download(server.url(), folder, config=config).unlink()
    (folder / "weights.pth.part").write_bytes(BYTES[:100_000])


def test_size_may_be_unstated(server: FileServer, tmp_path: Path, config: DownloadConfig) -> None:
    server.chunked = True  # no Content-Length: the end of the connection is the end of the file
    totals: set[int | None] = set()
    path = download(server.url(), tmp_path, config=config, on_progress=lambda done, total: totals.add(total))
    assert path.read_bytes() == BYTES
    assert totals == {None}
    assert read_origin(path).size == len(BYTES)  # pyright: ignore[reportOptionalMemberAccess]: None would fail too


def test_offline_asks_nobody(server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "absent"
    with pytest.raises(ModelError, match=r"\(offline mode is on\): download .* and put it at") as caught:
        download(server.url(), folder, offline=True)
    assert caught.value.code == "model.download"
    assert server.requests == []
    assert not folder.exists()


def test_file_put_there_by_hand_is_taken_with_a_note(
    server: FileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "weights.pth").write_bytes(b"mine")
    with caplog.at_level(logging.INFO, "segma"):
        path = download(server.url(), tmp_path)
    assert path.read_bytes() == b"mine"
    assert "its hash is unchecked" in caplog.text
    assert server.requests == []


def test_file_that_cannot_be_the_right_one_is_fetched_again(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    path = download(server.url(), tmp_path, config=config)
    path.write_bytes(BYTES[:10])
    with pytest.raises(ModelError, match="has 10 bytes, its server states 300000") as caught:
        download(server.url(), tmp_path, config=config, offline=True)
    assert caught.value.code == "model.corrupt"
    assert download(server.url(), tmp_path, config=config).read_bytes() == BYTES
    path.write_bytes(b"")
    assert download(server.url(), tmp_path, config=config).read_bytes() == BYTES
    download(server.url("mirror/weights.pth"), tmp_path, config=config)
    assert len(server.requests) == 4


def test_redirects_are_followed_and_counted(
    server: FileServer, tmp_path: Path, config: DownloadConfig
) -> None:
    server.redirects = {"/weights.pth": "/cdn/blob"}
    server.headers = {"X-Linked-ETag": f'"{SHA256}"'}
    path = download(server.url(), tmp_path, config=config)
    assert path.name == "weights.pth"
    assert read_origin(path).hash == SHA256  # pyright: ignore[reportOptionalMemberAccess]: None would fail too
    server.redirects = {"/loop.pth": "/loop.pth"}
    with pytest.raises(ModelError, match="more than 5 times"):
        download(server.url("loop.pth"), tmp_path, config=config)


def test_file_name_is_the_last_part_of_the_path() -> None:
    assert (
        file_name("https://x.test/a/b/sam2.1_hiera_base_plus.pt?x=/y.z#part") == "sam2.1_hiera_base_plus.pt"
    )
    assert file_name("https://x.test/my%20weights%20(1).pt") == "my weights (1).pt"
