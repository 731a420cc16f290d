"""The command line in this process and in its own, a model of toy size, and pictures for it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stubs.clips import write_clip

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.checkpoints.save import save
from segma.cli.main import main
from segma.models.sam.config import SamConfig
from segma.models.sam.model import Sam
from segma.models.sam2.config import Sam2Config
from segma.models.sam2.model import Sam2

SOURCE_TREE = Path(__file__).resolve().parents[2] / "src"


@dataclass(frozen=True)
class Ended:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output, where every line is JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


Segma = Callable[..., Ended]


@pytest.fixture
def segma(cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Segma:
    """Runs the program in this process: `segma("segment", path, ..., stdin=b"")`."""

    def run(*arguments: object, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, out, err)

    return run


@pytest.fixture
def start(cache: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts the program in a process of its own: `start("segment", path, ..., stdin=PIPE)`.

    `program` is what Python runs in place of segma's main module.
    """
    variables = {**os.environ, "PYTHONPATH": str(SOURCE_TREE), "OMP_NUM_THREADS": "1"}

    def run(
        *arguments: object, program: tuple[str, ...] = ("-m", "segma.cli.main"), **streams: Any
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, *program, *map(str, arguments)]
        streams = {"stdout": PIPE, "stderr": PIPE, **streams}
        # a job in the background of a shell ignores Ctrl-C, and so would its children
        listening = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
        return subprocess.Popen[bytes](command, env=variables, **listening, **streams)

    return run


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, not made yet, and no network."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SEGMA_CACHE", str(folder))
    monkeypatch.setenv("SEGMA_OFFLINE", "1")
    return folder


@pytest.fixture(scope="session")
def toy_module(toy_config: SamConfig) -> Sam:
    """A SAM so small that it answers in milliseconds; its weights follow from their names."""
    module = Sam(toy_config)
    fit(module, made_up_state(shapes_of(module)), "toy")
    return module.eval()


@pytest.fixture(scope="session")
def toy(toy_module: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights as a file of ours."""
    path = tmp_path_factory.mktemp("models") / "toy.safetensors"
    return save(toy_module, toy_module.config, path, origin="made up for tests", licence="CC0-1.0")


@pytest.fixture(scope="session")
def tracking_toy(sam2_toy_config: Sam2Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SAM 2 so small that it tracks in milliseconds, as a file of ours; its objects are mostly there."""
    module = Sam2(sam2_toy_config)
    lively = [
        ("sam_mask_decoder.iou_token.", 16.0, 0.0),
        ("sam_mask_decoder.mask_tokens.", 16.0, 0.0),
        ("sam_mask_decoder.obj_score_token.", 16.0, 0.0),
        ("sam_prompt_encoder.point_embeddings.", 16.0, 0.0),
        ("sam_mask_decoder.pred_obj_score_head.layers.2.bias", 1.0, 2.0),
    ]
    fit(module, made_up_state(shapes_of(module), adjusted=lively), "toy")
    path = tmp_path_factory.mktemp("models") / "tracker.safetensors"
    return save(module.eval(), module.config, path, origin="made up for tests", licence="CC0-1.0")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of 12 frames, 64 x 48 pixels, in a folder of its own."""
    (tmp_path / "videos").mkdir()
    return write_clip(tmp_path / "videos" / "clip.mp4")


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Writes a picture of 90 x 60 pixels: `picture(path, seed)`."""
    return write_picture


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """One in a folder of its own."""
    return write_picture(tmp_path / "photos" / "photo.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three pictures, the middle one broken."""
    folder = tmp_path / "photos"
    for number, name in enumerate(("a.png", "b.jpg", "c.png")):
        write_picture(folder / name, number)
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:200])
    return folder


def write_picture(path: Path, seed: int = 0) -> Path:
    """Noise with a disc in it."""
    y, x = np.mgrid[:60, :90]
    pixels = np.random.default_rng(seed).integers(0, 80, (60, 90, 3), np.uint8)
    pixels[(x - 40) ** 2 + (y - 30) ** 2 < 15**2] = (230, 200, 40)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def web(photo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of the photo's folder."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = partial(QuietHandler, directory=str(photo.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
