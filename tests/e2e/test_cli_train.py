"""`segma train`: recipes, a folder of one's own, Ctrl-C and going on."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from stubs.shapes_folder import TINY, write_shapes

from segma.checkpoints.save import save
from segma.models.sam2.model import Sam2
from segma.training.catalog import RECIPES

Segma = Callable[..., Any]  # conftest's Ended

SMALL = [
    *("--set", "workers=0", "--set", "batch=2", "--set", "prompts.points=64", "--set", "prompts.rounds=2"),
    *("--set", "prompts.objects=2", "--set", "prompts.least=1", "--threads", "1", "--precision", "fp32"),
]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    return save(Sam2(TINY), TINY, path, origin="made up for tests", licence="CC0-1.0")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_shapes(tmp_path / "mine", 8)


def test_the_recipes_are_listed(segma: Segma) -> None:
    done = segma("train", "--list")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == list(RECIPES)
    assert [row["name"] for row in segma("train", "--list", "--json").objects] == list(RECIPES)


def test_a_folder_is_fitted_with_a_report(segma: Segma, mine: Path, tiny: Path) -> None:
    (mine / "photo7.jpg").write_bytes(b"no picture")
    done = segma("train", mine, "-m", tiny, "--set", "steps=2", "--check", mine, *SMALL)
    assert done.code == 0
    folder = mine.parent / "mine-run"
    assert done.out.splitlines()[0].startswith(f"{folder}  5 pictures  2 kept aside  2 steps")
    assert "IoU       before  after" in done.out
    assert "unreadable picture" in done.err
    assert f"saved {folder / 'weights.safetensors'}" in done.err
    report = json.loads((folder / "report.json").read_text())
    assert report["config"]["name"] == "finetune"
    assert {"before", "after"} == set(report["elsewhere"]["mine"])
    used = segma("segment", mine / "photo0.jpg", "--point", "40,40", "-m", folder / "weights.safetensors")
    assert used.code == 0

    again = segma("train", mine, "-m", tiny, "--set", "steps=2", "--json", *SMALL)
    assert f"going on in {folder}" in again.err
    [data] = again.objects
    assert (data["steps"], data["elsewhere"]) == (2, "not measured")
    other = segma("train", mine, "-m", tiny, "--set", "steps=3", *SMALL)
    assert (other.code, "[model.mismatch]" in other.err) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["sam2_conv_image"], 2, "Nearest: sam2_conv_images"),
        (["sam2_conv_images"], 2, "--data FOLDER"),
        (["sam2_conv_images", "--set", "stepz=1"], 2, "Nearest: steps"),
        (["sam2_conv_images", "--data", "nowhere"], 3, "nowhere"),
        (["sam2_conv_clips", "--data", "{mine}"], 2, "--model NAME|FILE"),
        (["{mine}", "--model", "no_such_model"], 4, "No model"),
        (["{mine}", "-o", "{mine}"], 2, "other things than a run"),
        (["--json"], 2, "Train what?"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    segma: Segma, mine: Path, arguments: list[str], code: int, said: str
) -> None:
    done = segma("train", *(each.format(mine=mine) for each in arguments))
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert done.err.splitlines()[-1].startswith("error: ")
    assert not (mine.parent / "mine-run").exists()


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(
    start: Callable[..., subprocess.Popen[bytes]], mine: Path, tiny: Path
) -> None:
    arguments = ["train", mine, "-m", tiny, "--set", "steps=100000", *SMALL, "--set", "workers=1"]
    arguments += ["--set", "save_minutes=0", "--set", "held_out=0"]
    folder = mine.parent / "mine-run"
    steps: list[int] = []
    for _ in range(2):
        process = start(*arguments)
        waited = time.monotonic() + 60
        mark = (folder / "checkpoint.pt").stat().st_mtime_ns if steps else 0
        while time.monotonic() < waited:
            path = folder / "checkpoint.pt"
            if path.exists() and path.stat().st_mtime_ns != mark:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"The same command again goes on" in err
        assert b"stopping after this step" in err
        steps.append(torch.load(folder / "checkpoint.pt", weights_only=True)["step"])
    assert 0 < steps[0] < steps[1]
