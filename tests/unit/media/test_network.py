from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from PIL import Image

from segma.errors import InputError
from segma.media import network
from segma.media.image import read_image

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved.png":
            self.send_response(302)
            self.send_header("Location", "/a.png")
            self.end_headers()
            return
        stream = io.BytesIO()
        Image.fromarray(PICTURE).save(stream, "PNG")
        self.send_response(200 if self.path == "/a.png" else 404)
        self.end_headers()
        self.wfile.write(stream.getvalue())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def refused(address: str, **options: bool) -> str:
    with pytest.raises(InputError) as caught:
        read_image(address, **options)
    assert caught.value.code == "input.network"
    return str(caught.value)


def test_the_network_is_used_only_where_allowed(server: str):
    assert "allow_network=True" in refused(f"{server}/a.png")
    assert np.array_equal(read_image(f"{server}/a.png", allow_network=True), PICTURE)
    assert np.array_equal(read_image(f"{server}/moved.png", allow_network=True), PICTURE)


def test_addresses_without_an_answer(server: str):
    assert "404" in refused(f"{server}/missing.png", allow_network=True)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refused(f"http://127.0.0.1:{unused.getsockname()[1]}/a.png", allow_network=True)


@pytest.mark.parametrize("address", ["ftp://host/a.png", "file:///etc/hosts", "s3://bucket/a.png"])
def test_other_schemes(address: str):
    assert "only http and https" in refused(address, allow_network=True)


def test_large_answers_are_cut_off(server: str):
    with pytest.raises(InputError) as caught:
        network.fetch(f"{server}/a.png", allowed=True, max_bytes=50)
    assert caught.value.code == "input.too_large"
