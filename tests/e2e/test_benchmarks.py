"""Every benchmark runs, at toy size, and both programs agree there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

THEIRS = "transformers float32"
AUTOCAST = "transformers bf16 autocast"
OURS = "segma float32"
TOY = ("--variant", "sam_vit_demo", "--made-up", "--threads", "1", "--repeats", "1", "--warm-up", "0")
TOY_TRACK = ("--variant", "toy", "--threads", "1", "--size", "96", "128", "--frames", "2", "--warm-up", "1")
TOY_BOTH = ("--variant", "sam_vit_demo", "toy", "--made-up", "--threads", "1", "--repeats", "1")

pytestmark = pytest.mark.slow  # each starts three Python processes that import torch, one also transformers


def test_encoder_agrees_in_float32_and_is_compared_with_autocast(repository: Path, tmp_path: Path) -> None:
    text, saved = run(repository, tmp_path, "encoder")
    row = saved["tables"]["encode"]
    assert positive(row)
    assert set(row[OURS]["times_as_fast_as"]) == {THEIRS, AUTOCAST}
    lines = [line for line in text.splitlines() if line.startswith("largest difference")]
    differences = {line.split("  ")[1]: float(line.split(": ")[1].split()[0]) for line in lines}
    assert 0 < differences[OURS] < 1e-4 < differences[AUTOCAST]


def test_click(repository: Path, tmp_path: Path) -> None:
    text, saved = run(repository, tmp_path, "click", "--no-autocast", "--boxes", "3")
    assert list(saved["tables"]) == [
        "click, best mask",
        "click, three masks",
        "click, whole answer",
        "3 boxes",
    ]
    assert all(positive(table) for table in saved["tables"].values())
    overlaps = [
        float(line.split("smallest IoU ")[1].split()[0]) for line in text.splitlines() if "IoU" in line
    ]
    assert len(overlaps) == 4
    assert min(overlaps) > 0.99


def test_everything(repository: Path, tmp_path: Path) -> None:
    options = ("--no-autocast", "--points-per-side", "4")
    _, saved = run(repository, tmp_path, "everything", *options)
    tables = saved["tables"]
    left = tables["left"]
    assert left[OURS] == left[THEIRS]
    numbers = list(left[OURS].values())
    assert numbers[0] == 4 * 4 * 3
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] > 0
    assert tables["agreement"][OURS]["box_pixels"] <= 1
    assert positive(tables["everything"])


def test_track_agrees_over_a_full_memory_bank(repository: Path, tmp_path: Path) -> None:
    options = ("--objects", "1", "3", "--precision", "float32")
    _, saved = run(repository, tmp_path, "track", *options, common=TOY_TRACK)
    tables = saved["tables"]
    assert list(tables) == ["1 objects", "3 objects", "each further object"]
    for number in (1, 3):
        table = tables[f"{number} objects"]
        assert positive(table)
        ours, theirs, pooled = table[OURS], table[THEIRS], table[f"{OURS}, pooled"]
        assert ours["tokens"] == theirs["tokens"] == [7 * 8 * 8, 16 * 2]
        assert pooled["tokens"] == [7 * 4 * 4, 16 * 2]
        assert ours["present"] == theirs["present"] == [3 * number, 3 * number]
        assert ours["compared"][THEIRS]["least_iou"] > 0.99
        assert 0.5 < pooled["compared"][OURS]["iou"] < 1, "pooling costs something, but not the object"
        assert sum(ours["parts"].values()) == pytest.approx(ours["median"], rel=0.5)
    assert set(tables["each further object"]) == {OURS, THEIRS, f"{OURS}, pooled"}


def test_sam_and_sam2_have_a_row_each(repository: Path, tmp_path: Path) -> None:
    text, saved = run(repository, tmp_path, "sam_and_sam2", common=TOY_BOTH)
    names = ["sam_vit_demo float32", "toy float32"]
    for task in ("encode", "click"):
        rows = saved["tables"][task]
        assert set(names) <= set(rows)
        assert all(row["median"] > 0 and row["peak_bytes"] > 10**7 for row in rows.values())
    assert all(any(line.startswith(name) for line in text.splitlines()) for name in names)


def positive(table: dict[str, Any]) -> bool:
    """Whether both programs took time and memory."""
    rows = [table[OURS], table[THEIRS]]
    return all(row["median"] > 0 and row["peak_bytes"] > 10**7 for row in rows)


def test_training_tells_the_parts_of_a_step(repository: Path, tmp_path: Path) -> None:
    common = ("--threads", "1", "--steps", "1", "--batch", "1")
    _, saved = run(repository, tmp_path, "training", common=common)
    for kind in ("pictures", "clips"):
        table = saved["tables"][f"{kind}, 1 threads"]
        assert table["pictures_per_step"] >= 1
        assert (table["parts"]["memory"]["seconds"] > 0) == (kind == "clips")
        assert table["parts"]["backward"]["processor_seconds"] > 0


def test_tokens_are_those_of_the_network_written_straight(repository: Path, tmp_path: Path) -> None:
    common = ("--threads", "1", "--repeats", "1", "--warm-up", "0", "--variant", "omnitokenizer_small")
    options = ("--shapes", "1x64", "5x64", "--product", "256", "--no-autocast")
    _, saved = run(repository, tmp_path, "tokens", *options, common=common)
    tables = saved["tables"]
    assert tables["product_flops_per_second"]["float32"] > 1e8
    for shape in ("1 x 64 x 64", "5 x 64 x 64"):
        encode, decode = (tables[f"{way} {shape}"] for way in ("encode", "decode"))
        assert encode[OURS]["equal_codes"] > 0.99, "a tie may go either way"
        assert decode[OURS]["largest_difference"] < 1e-4
        for row in (*encode.values(), *decode.values()):
            assert row["median"] > 0 and row["peak_bytes"] > 10**7
            assert 0 < row["share_of_peak"] < 2 and row["flops"] > 10**7
        assert set(encode[OURS]["times_as_fast_as"]) == {"plain float32"}


def test_generate_draws_the_codes_of_transformers(repository: Path, tmp_path: Path) -> None:
    common = ("--threads", "1", "--repeats", "1", "--warm-up", "0", "--variant", "toy")
    options = ("--tokens", "8", "--rows", "1", "2", "--no-autocast")
    text, saved = run(repository, tmp_path, "generate", *options, common=common)
    tables = saved["tables"]
    assert tables.pop("copied_bytes_per_second") > 1e8
    assert list(tables) == [
        "greedy, 1 row", "greedy, 2 rows", "top-k and top-p, 1 row", "top-k and top-p, 2 rows",
    ]  # fmt: skip
    assert all(positive(table) for table in tables.values())
    for name, table in tables.items():
        rows = 1 if name.endswith("1 row") else 2
        for row in table.values():
            assert row["codes_per_second"] == pytest.approx(rows * 8 / row["median"])
            assert row["share_of_copying"] > 0
    assert f"{OURS}: 8 of 8 greedy codes are those of {THEIRS}" in text


def run(
    repository: Path, folder: Path, name: str, *options: str, common: tuple[str, ...] = TOY
) -> tuple[str, dict[str, Any]]:
    """What a benchmark prints, and the file it saves."""
    env = {**os.environ, "PYTHONPATH": str(repository / "src")}
    command = [sys.executable, f"benchmarks/{name}.py", *common, "--save", str(folder), *options]
    done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    saved = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert saved["benchmark"] == name
    assert saved["machine"]["processor"]
    assert saved["commit"]
    return done.stdout, saved
