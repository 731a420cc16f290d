from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segma.checkpoints.origin import file_hashes
from segma.errors import FormatError, InputError
from segma.runtime import Runtime
from segma.training.data import read_parts
from segma.training.next import take_back
from segma.training.package import Package, write_package
from segma.training.packaged import Order, read_order, train_round
from segma.training.records import Record, read_record, write_record

CPU = Runtime(device="cpu", precision="fp32")
SMALL = (
    "batch=2",
    "workers=0",
    "prompts.objects=2",
    "prompts.least=2",
    "prompts.rounds=2",
    "prompts.points=64",
)
LIMIT = 4_500_000

# What a machine that is lent for training may not have; the package brings jaxtyping along.
ELSEWHERE = """
import json, shutil, sys
from pathlib import Path

NOT_THERE = ["av", "pycocotools", "transformers", "sqlalchemy", "alembic", "typer", "rich", "huggingface_hub"]
for name in [*NOT_THERE, "httpx", "beartype", "tokenizers"]:
    sys.modules[name] = None
there, rest, out = (Path(each) for each in sys.argv[1:])
first = there / "part-000"
sys.path[:0] = [str(first / "src"), str(first / "carried")]
import segma, jaxtyping
from segma.runtime import Runtime
from segma.training import clip_loader
from segma.training.packaged import main, train_round
from segma.training.steps import clips

for module in (segma, jaxtyping):
    assert there in Path(module.__file__).parents, module.__file__
assert main(there, ["--seconds", "0", "--out", str(out), "--device", "cpu", "--precision", "fp32"]) == 0
shutil.move(rest, there / rest.name)
facts = train_round(there, out, 0, Runtime(device="cpu", precision="fp32"))
print(json.dumps(facts))
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Pictures that do not compress, so that a few fill a part."""
    folder = tmp_path / "noise"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        image = random.integers(0, 120, (200, 300, 3)).astype(np.uint8)
        mask = np.zeros((200, 300), np.uint8)
        mask[40:150, 60 + number : 200] = 255
        image[mask > 0] += 100
        Image.fromarray(image).save(folder / f"p{number}.png")
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / "masks" / f"p{number}.png")
    return folder


@pytest.fixture
def package(pictures: Path, tiny: Path, tmp_path: Path) -> Package:
    parent = file_hashes(tiny, ["sha256"])["sha256"]
    order = Order(name="toy", recipe="sam2_conv_images", minutes=5, parts=0, parent=parent, settings=SMALL)
    samples = read_parts([pictures], "train", 0.1).train
    return write_package(
        order, samples, tmp_path / "package", np.random.default_rng(0), weights=tiny, limit_bytes=LIMIT
    )


def test_a_package_is_trained_elsewhere_and_taken_back(
    package: Package, pictures: Path, tiny: Path, tmp_path: Path
):
    there, out = tmp_path / "there", tmp_path / "out"
    there.mkdir()
    first, second = package.parts
    sizes = [sum(path.stat().st_size for path in part.rglob("*") if path.is_file()) for part in package.parts]
    assert package.pictures == 11 and max(sizes) <= LIMIT
    shutil.move(first, there / first.name)
    command = [sys.executable, "-I", "-c", ELSEWHERE, str(there), str(second), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    early, late = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert (early["parts"], late["parts"]) == ([1, 2], [2, 2])
    assert (early["steps"], late["steps"]) == (1, 2), "the second round goes on where the first one stopped"
    assert early["pictures"] < late["pictures"] == 11 and late["skipped"] == ""
    assert json.loads((out / "toy.json").read_text()) == late

    home = tmp_path / "embedded"
    home.mkdir()
    shutil.copy(tiny, home / "toy.safetensors")
    write_record(Record(name="toy", variant="toy", recipe="none", sha256=late["parent"]), home)
    tried = take_back(out, "toy", [pictures], CPU, folder=home, objects=2)
    kept = read_record(home / "toy.json")
    assert kept == tried.record and kept.history[0]["steps"] == 2
    source = out if tried.replaced else tiny.parent
    taken = (source / ("toy" if tried.replaced else tiny.stem)).with_suffix(".safetensors")
    assert (home / "toy.safetensors").read_bytes() == taken.read_bytes()


def test_what_makes_no_package_is_refused(pictures: Path, tmp_path: Path):
    order = Order(name="toy", recipe="sam2_conv_images", minutes=5, parts=0)
    samples, random = read_parts([pictures], "train", 0.1), np.random.default_rng(0)
    nothing = read_parts([pictures], "tune", 0.0).kept
    with pytest.raises(InputError, match="no labelled pictures"):
        write_package(order, nothing, tmp_path / "a", random)
    with pytest.raises(InputError, match="code and weights take"):
        write_package(order, samples.train, tmp_path / "b", random, limit_bytes=100_000)
    assert not (tmp_path / "b").exists()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine.txt").touch()
    with pytest.raises(InputError, match="not empty"):
        write_package(order, samples.train, tmp_path / "c", random)


def test_a_picture_that_is_gone_is_left_out_and_counted(pictures: Path, tmp_path: Path):
    samples = read_parts([pictures], "train", 0.0).train
    (pictures / "p3.png").unlink()
    order = Order(name="toy", recipe="sam2_conv_images", minutes=5, parts=0)
    package = write_package(order, samples, tmp_path / "package", np.random.default_rng(0))
    assert (package.pictures, len(package.parts), package.report.skipped) == (11, 1, 1)
    assert read_order(tmp_path / "package").parts == 1
    assert not (tmp_path / "package" / "part-000" / "start.safetensors").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', '{"settings": [], "colour": 1}'])
def test_a_broken_order_is_refused(tmp_path: Path, text: str):
    (tmp_path / "part-000").mkdir()
    (tmp_path / "part-000" / "order.json").write_text(text)
    with pytest.raises(FormatError, match="no order of a package"):
        train_round(tmp_path, tmp_path / "out", 1, CPU)


def test_a_package_without_data_is_told(tmp_path: Path):
    (tmp_path / "part-000").mkdir()
    order = {"name": "x", "recipe": "sam2_conv_images", "minutes": 1, "parts": 2, "settings": []}
    (tmp_path / "part-000" / "order.json").write_text(json.dumps(order))
    with pytest.raises(InputError, match="No part with data"):
        train_round(tmp_path, tmp_path / "out", 1, CPU)
