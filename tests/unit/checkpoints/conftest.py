"""A server of files, as good or as bad as a test of downloads wants it, and a SAM of toy size."""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from torch import Tensor

from segma.checkpoints.download import DownloadConfig
from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.models.sam.config import SamConfig
from segma.models.sam.model import Sam

BYTES = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(BYTES).hexdigest()
DAY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FileServer(ThreadingHTTPServer):
    """One file, served as well or as badly as a test wants."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BYTES
        self.etag = '"one"'
        self.headers: dict[str, str] = {}
        self.stated_size: int | None = None
        self.ranges = True
        self.heeds_if_range = True
        self.chunked = False
        self.statuses: list[int] = []
        self.break_after: list[int] = []
        self.silent = threading.Event()
        self.silent.set()
        self.pause_seconds = 0.0
        self.redirects: dict[str, str] = {}
        self.requests: list[str] = []
        """The Range header of every request, "" without one."""

    def url(self, name: str = "weights.pth") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: FileServer  # pyright: ignore[reportIncompatibleVariableOverride]: it only ever serves this one
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(self.headers.get("Range", ""))
        server.silent.wait(5)
        if self.path in server.redirects:
            return self.reply(302, {"Location": server.redirects[self.path], **server.headers}, b"")
        if server.statuses and (status := server.statuses.pop(0)) != 200:
            return self.reply(status, {}, b"no")
        start = self.start()
        if start is not None and start >= len(server.body):
            return self.reply(416, {"Content-Range": f"bytes */{len(server.body)}"}, b"")
        headers = {"ETag": server.etag, **server.headers}
        if start is None:
            return self.reply(200, headers, server.body, server.stated_size)
        size = len(server.body)
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        return self.reply(206, headers, server.body[start:])

    def start(self) -> int | None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", self.server.etag) == self.server.etag
        same = same or not self.server.heeds_if_range
        return int(match[1]) if match and same and self.server.ranges else None

    def reply(self, status: int, headers: dict[str, str], body: bytes, size: int | None = None) -> None:
        self.send_response(status)
        if not self.server.chunked:
            headers = {"Content-Length": str(len(body) if size is None else size), **headers}
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        whole = len(body)
        if status < 300 and self.server.break_after:
            whole = self.server.break_after.pop(0)
        for begin in range(0, whole, 50_000):
            self.wfile.write(body[begin : min(begin + 50_000, whole)])
            time.sleep(self.server.pause_seconds)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.silent.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def config(pauses: list[float]) -> DownloadConfig:
    return DownloadConfig(attempts=3, read_seconds=5.0, sleep=pauses.append, now=lambda: DAY)


@pytest.fixture
def toy_model(toy_config: SamConfig) -> Sam:
    module = Sam(toy_config)
    fit(module, made_up_state(shapes_of(module)), "toy")
    return module.eval()


@pytest.fixture
def toy_state(toy_model: Sam) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in toy_model.state_dict().items()}
