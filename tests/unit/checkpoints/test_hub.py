from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from segma.checkpoints.hub import cache_folder, fetch, is_offline
from segma.errors import Cancelled, ModelError, StoreError
from segma.models import catalog
from segma.models.catalog import EmbeddedFile, Entry, OfficialFile, Weights

if TYPE_CHECKING:
    from tests.unit.checkpoints.conftest import FileServer

BYTES = random.Random(8).randbytes(100_000)
COMMIT = "0123456789" * 4


class Hub(ThreadingHTTPServer):
    """As much of the Hugging Face hub as a download needs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files: dict[str, bytes] = {"model.safetensors": BYTES}
        self.sent: dict[str, bytes] = {}
        """What is sent instead of the file whose hash is stated."""
        self.repo = "facebook/sam-vit-base"
        self.refusal: dict[str, str] = {}
        self.status = 200
        self.stated_size: int | None = None
        self.requests: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A download that is stopped leaves its connection."""


class HubHandler(BaseHTTPRequestHandler):
    server: Hub  # pyright: ignore[reportIncompatibleVariableOverride]: it only ever serves this one
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        hub = self.server
        prefix = f"/{hub.repo}/resolve/main/"
        name = self.path.removeprefix(prefix)
        hub.requests.append(f"{self.command} {name}")
        if hub.status != 200:
            return self.reply(hub.status, hub.refusal, b"")
        if not self.path.startswith(prefix):
            return self.reply(404, {"X-Error-Code": "RepoNotFound"}, b"")
        if name not in hub.files:
            return self.reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b"")
        body = hub.files[name]
        size = hub.stated_size or len(body)
        headers = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{hashlib.sha256(body).hexdigest()}"',
            "X-Linked-Size": str(size),
            "ETag": '"cdn"',
        }
        sent = hub.sent.get(name, body)
        self.reply(200, headers, sent, with_body=with_body)

    def reply(self, status: int, headers: dict[str, str], body: bytes, *, with_body: bool = True) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    return {
        "SEGMA_CACHE": str(tmp_path / "cache"),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_ENDPOINT": hub.endpoint,
    }


REPO = "hf:facebook/sam-vit-base"


# --- where and whether -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"HOME": "/home/ann"}, "linux", "/home/ann/.cache/segma"),
        ({"HOME": "/home/ann", "XDG_CACHE_HOME": "/fast"}, "linux", "/fast/segma"),
        ({"HOME": "/Users/ann"}, "darwin", "/Users/ann/Library/Caches/segma"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/segma"),
        ({"HOME": "/home/ann", "SEGMA_CACHE": "/weights"}, "linux", "/weights"),
        ({"HOME": "/home/ann", "SEGMA_CACHE": ""}, "linux", "/home/ann/.cache/segma"),
    ],
)
def test_cache_folder_is_chosen_or_usual(environment: dict[str, str], platform: str, expected: str) -> None:
    assert cache_folder(environment, platform=platform) == Path(expected)


def test_cache_folder_follows_the_process_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGMA_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SEGMA_OFFLINE": "1"}, True),
        ({"HF_HUB_OFFLINE": "True"}, True),
        ({"SEGMA_OFFLINE": "0", "HF_HUB_OFFLINE": ""}, False),
    ],
)
def test_offline_is_asked_for_by_either_variable(environment: dict[str, str], expected: bool) -> None:
    assert is_offline(environment) is expected


# --- names -------------------------------------------------------------------------------------


def use_row(monkeypatch: pytest.MonkeyPatch, weights: Weights, name: str = "toy") -> None:
    row = Entry(
        name=name,
        system="sam",
        variant="sam_vit_b",
        tasks=("segment",),
        licence="Apache-2.0",
        weights=weights,
        parameters=1,
    )
    monkeypatch.setattr(catalog, "MODELS", {**catalog.MODELS, name: row})


def test_name_of_the_catalog_is_fetched_from_its_address_with_its_licence(
    server: FileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_row(monkeypatch, OfficialFile(url=server.url("toy.pth"), hub_repo="nobody/toy"))
    environment = {"SEGMA_CACHE": str(tmp_path)}
    notes: list[str] = []
    path = fetch("toy", environment=environment, on_note=notes.append)
    assert path == tmp_path / "toy.pth"
    assert path.read_bytes() == server.body
    assert notes == [f"toy: weights under Apache-2.0, from {server.url('toy.pth')}"]
    assert fetch("toy", environment={"SEGMA_OFFLINE": "1", **environment}, on_note=notes.append) == path
    assert len(notes) == len(server.requests) == 1


def test_without_network_the_official_address_and_the_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        fetch("sam_vit_b", cache=tmp_path, environment={"SEGMA_OFFLINE": "1"})
    assert caught.value.code == "model.download"
    assert str(caught.value) == (
        "sam_vit_b_01ec64.pth could not be fetched (offline mode is on): "
        "download https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth "
        f"and put it at {tmp_path / 'sam_vit_b_01ec64.pth'}"
    )


def test_address_is_a_name_too(server: FileServer, tmp_path: Path) -> None:
    assert fetch(server.url(), cache=tmp_path, offline=False).read_bytes() == server.body


def test_weights_in_a_package_need_no_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_row(monkeypatch, EmbeddedFile(package="segma.models", file_name="catalog.py"))
    assert fetch("toy", cache=tmp_path, offline=True) == Path(catalog.__file__)


def test_unknown_names_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Nearest: sam_vit_b") as caught:
        fetch("sam_vit_bb", cache=tmp_path)
    assert caught.value.code == "model.unknown"


@pytest.mark.parametrize("name", ["hf:sam", "hf:a/..", "hf:../b", "hf:a/b/../../c", "hf:a//b", "hf:a/b/.x"])
def test_odd_names_of_repositories_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not hf:owner/repository") as caught:
        fetch(name, cache=tmp_path)
    assert caught.value.code == "model.unknown"


# --- the hub -----------------------------------------------------------------------------------


def test_repository_is_fetched_into_the_cache_of_the_hub_and_works_offline(
    hub: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    seen: list[tuple[int, int | None]] = []
    notes: list[str] = []
    path = fetch(
        REPO,
        environment=environment,
        on_note=notes.append,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert path.read_bytes() == BYTES
    assert path.is_relative_to(tmp_path / "hub")
    assert seen[-1] == (len(BYTES), len(BYTES))
    assert notes == ["sam_vit_b: weights under Apache-2.0, from hf:facebook/sam-vit-base"]
    asked = len(hub.requests)
    assert fetch(REPO, environment=environment, on_note=notes.append) == path
    assert fetch(REPO, environment={**environment, "HF_HUB_OFFLINE": "1"}) == path
    assert len(hub.requests) == asked
    assert len(notes) == 1


def test_file_of_a_repository_is_fetched_by_its_path(hub: Hub, environment: dict[str, str]) -> None:
    hub.repo, hub.files = "Somebody/Toy-1.0", {}
    notes: list[str] = []
    with pytest.raises(ModelError, match=r"the hub has no model\.safetensors or"):
        fetch("hf:Somebody/Toy-1.0", environment=environment)
    hub.files = {"sub/a.ckpt": BYTES}
    path = fetch("hf:Somebody/Toy-1.0/sub/a.ckpt", environment=environment, on_note=notes.append)
    assert path.read_bytes() == BYTES
    assert notes == [f"hf:Somebody/Toy-1.0: its licence stands on {hub.endpoint}/Somebody/Toy-1.0"]


def test_shards_are_fetched_into_one_folder(hub: Hub, environment: dict[str, str]) -> None:
    index = {
        "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}
    }
    hub.files = {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-1.safetensors": BYTES,
        "model-2.safetensors": BYTES[::-1],
    }
    folder = fetch(REPO, environment=environment)
    assert (folder / "model-1.safetensors").read_bytes() == BYTES
    assert (folder / "model-2.safetensors").read_bytes() == BYTES[::-1]
    assert hub.requests.count("GET model-1.safetensors") == 1
    assert fetch(REPO, environment=environment, offline=True) == folder


@pytest.mark.parametrize("index", [b"no json", b"[]", b"{}", b'{"weight_map": {"a": "../../x"}}'])
def test_broken_index_of_shards_is_refused(hub: Hub, environment: dict[str, str], index: bytes) -> None:
    hub.files = {"pytorch_model.bin.index.json": index}
    with pytest.raises(ModelError) as caught:
        fetch(REPO, environment=environment)
    assert caught.value.code == "model.unreadable"


def test_shard_that_is_missing_is_named_offline(tmp_path: Path, environment: dict[str, str]) -> None:
    place = tmp_path / "cache" / "facebook--sam-vit-base"
    place.mkdir(parents=True)
    (place / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    with pytest.raises(ModelError, match=r"put it at .*facebook--sam-vit-base.model-1\.safetensors"):
        fetch(REPO, environment=environment, offline=True)
    (place / "model-1.safetensors").write_bytes(BYTES)
    assert fetch(REPO, environment=environment, offline=True) == place


def test_file_put_there_by_hand_goes_before_the_hub(
    hub: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    place = tmp_path / "cache" / "facebook--sam-vit-base" / "model.safetensors"
    with pytest.raises(ModelError) as caught:
        fetch(REPO, environment=environment, offline=True)
    assert str(caught.value) == (
        "model.safetensors could not be fetched (offline mode is on): "
        f"download {hub.endpoint}/facebook/sam-vit-base/resolve/main/model.safetensors and put it at {place}"
    )
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    assert fetch(REPO, environment=environment) == place
    assert hub.requests == []


def test_file_of_the_hub_is_held_to_its_hash(hub: Hub, environment: dict[str, str], tmp_path: Path) -> None:
    hub.sent = {"model.safetensors": bytes([BYTES[0] ^ 1]) + BYTES[1:]}
    with pytest.raises(ModelError, match="its sha256 is") as caught:
        fetch(REPO, environment=environment)
    assert caught.value.code == "model.corrupt"
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.name == "model.safetensors"]
    hub.sent = {}
    assert fetch(REPO, environment=environment).read_bytes() == BYTES


def test_file_of_the_hub_is_held_to_its_size(hub: Hub, environment: dict[str, str], tmp_path: Path) -> None:
    hub.stated_size = len(BYTES) + 1
    with pytest.raises(ModelError) as caught:
        fetch(REPO, environment=environment)
    assert caught.value.code == "model.corrupt"
    assert not [
        path for path in (tmp_path / "hub").rglob("*") if path.is_file() and path.stat().st_size > 1000
    ]


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, "knows no public repository facebook/sam-vit-base"),
        (403, {"X-Error-Code": "GatedRepo"}, "accept the terms on .* and log in"),
        (503, {}, "the hub answered 503"),
    ],
)
def test_refusals_of_the_hub_are_told_apart(
    hub: Hub, environment: dict[str, str], status: int, headers: dict[str, str], message: str
) -> None:
    hub.status, hub.refusal = status, headers
    with pytest.raises(ModelError, match=message) as caught:
        fetch(REPO, environment=environment)
    assert caught.value.code == "model.download"


def test_hub_that_is_not_there(hub: Hub, environment: dict[str, str]) -> None:
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    with pytest.raises(ModelError, match=r"\(no connection to http://127\.0\.0\.1:9\): download"):
        fetch(REPO, environment=environment)


def test_download_from_the_hub_can_be_stopped(hub: Hub, environment: dict[str, str]) -> None:
    def stop(done: int, total: int | None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch(REPO, environment=environment, on_progress=stop)


def test_disk_too_small_or_unwritable_for_the_hub(
    hub: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    hub.stated_size = 10**18
    with pytest.raises(StoreError) as caught:
        fetch(REPO, environment=environment)
    assert caught.value.code == "disk.full"
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        fetch(REPO, environment={**environment, "HF_HUB_CACHE": str(tmp_path / "file" / "x")})
    assert caught.value.code == "disk.unwritable"
