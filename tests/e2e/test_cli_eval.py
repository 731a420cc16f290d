"""`segma eval`: a report on standard output, in a file and as a picture; errors and their codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stubs.promptbench import disc, write_bench
from stubs.tokenizer import SMALL, toy_tokenizer

from segma.checkpoints.save import save

Segma = Callable[..., Any]  # conftest's Ended


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    ids = [disc(20 + 3 * index, 20, 9).astype(int) for index in range(4)]
    photos = {"one": [disc(30, 30, 12), disc(66, 12, 5)], "two": [disc(40, 30, 20)]}
    return write_bench(tmp_path / "bench", photos, {"walk": ids})


def test_clicks_are_a_table_and_a_report(segma: Segma, toy: Path, bench: Path, tmp_path: Path) -> None:
    made, sheet = tmp_path / "report.json", tmp_path / "worst.png"
    options = ("--clicks", 3, "-o", made, "--worst", sheet, "--num-worst", 2, "--model", toy)
    done = segma("eval", "clicks", bench, *options)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("toy  clicks  cpu") and lines[2].split()[:2] == ["all", "3"]
    data = json.loads(made.read_text(encoding="utf-8"))
    assert data["settings"]["clicks"] == 3 and len(data["rows"]) == 3
    assert data["data"] == str(bench) and len(data["weights_hash"]) == 64 and data["machine"]["cores"] >= 1
    assert data["settings"]["seed"] == 0 and "commit" in data
    with Image.open(sheet) as drawn:
        assert drawn.width == 2 * 332 + 12
    again = segma("eval", "clicks", bench, *options)
    assert again.code == 2 and "input.exists" in again.err


def test_json_is_one_object(segma: Segma, toy: Path, bench: Path) -> None:
    done = segma("eval", "boxes", bench, "--model", toy, "--json", "-q", "--limit", 1, "--seed", 4)
    [data] = done.objects
    assert (done.code, done.err, data["protocol"]) == (0, "", "boxes")
    assert data["summary"]["all"]["n"] == 2 and data["settings"]["seed"] == 4


def test_video_needs_a_memory(segma: Segma, toy: Path, tracking_toy: Path, bench: Path) -> None:
    done = segma("eval", "video", bench, "--model", tracking_toy, "--modes", "mask,click1", "--json")
    assert done.code == 0
    assert set(done.objects[0]["summary"]) == {"mask", "click1"}
    assert segma("eval", "video", bench, "--model", toy).code == 4
    assert segma("eval", "video", bench, "--model", toy, "--modes", "wish").code == 2


def test_everything_has_a_recall(segma: Segma, toy: Path, bench: Path) -> None:
    options = ("--points-per-side", 2, "--pred-iou-thresh", 0, "--stability-score-thresh", 0)
    done = segma("eval", "everything", bench, *options, "--max-masks", 5, "--model", toy)
    assert done.code == 0 and "recall 0.5" in done.out


def test_tokens_stand_beside_their_peers(segma: Segma, bench: Path, tmp_path: Path) -> None:
    made, tokenizer = tmp_path / "report.json", tmp_path / "toytok.safetensors"
    save(toy_tokenizer(), SMALL, tokenizer, origin="made up for tests", licence="CC0-1.0")
    sizes = ("--size", 32, "--clip-size", 16, "--frames", 1)
    done = segma("eval", "tokens", bench, *sizes, "-m", tokenizer, "-o", made)
    assert done.code == 1, "of one clip there is no other half"
    lines = done.out.splitlines()
    assert lines[0].startswith("toytok  tokens  cpu") and "PSNR" in lines[1] and "WebP" in done.out
    data = json.loads(made.read_text(encoding="utf-8"))
    assert data["summary"]["pictures: codes"]["psnr"]["n"] == 2 and data["settings"]["size"] == 32
    assert data["fit"] is None and len(data["weights_hash"]) == 64
    fitted = segma("eval", "tokens", bench, *sizes, "-m", tokenizer, "--fit", bench, "--json", "-q")
    assert fitted.code == 0 and fitted.objects[0]["summary"]["clips: k-means"]["n"] == 1
    alone = segma("eval", "tokens", bench, *sizes, "-m", tokenizer, "--no-peers", "--limit", 1)
    assert alone.code == 0 and "k-means" not in alone.out
    assert segma("eval", "tokens", bench, "--frames", 4, "-m", tokenizer).code == 2


def test_tables_of_the_paper_need_nothing(segma: Segma, bench: Path, tmp_path: Path) -> None:
    assert "made-images" in segma("eval", "paper").out
    made = tmp_path / "table.json"
    done = segma("eval", "paper", "images", "-o", made)
    assert done.code == 0 and "imagenet rFID  ViT-VQGAN" in done.out and "not measured: no data" in done.out
    assert len(json.loads(made.read_text(encoding="utf-8"))["rows"]) == 12
    assert segma("eval", "paper", "images", "--data", "imagenet").code == 2
    assert segma("eval", "paper", "beauty").code == 2
    made_here = segma("eval", "paper", "made-videos", "--data", f"k600={bench}", "--made", bench, "--json")
    assert made_here.code in (0, 1), "there may be packages"
    assert made_here.objects[0]["table"] == "made-videos"


@pytest.mark.parametrize(
    ("table", "options", "hint"),
    [
        ("made-images", ("--model", "omnitokenizer_k600"), "--made FOLDER"),
        ("made-videos", ("--latents",), "--made FOLDER"),
        ("images", ("--made", "."), "tables of generation"),
    ],
)
def test_what_a_table_takes_no_notice_of_is_refused(
    segma: Segma, tmp_path: Path, table: str, options: tuple[str, ...], hint: str
) -> None:
    made = tmp_path / "table.json"
    done = segma("eval", "paper", table, *options, "-o", made)
    assert done.code == 2 and f"{options[0]} does not count for {table}" in done.err and hint in done.err
    assert done.out == "" and not made.exists()


def test_a_broken_photo_is_said_and_the_rest_measured(segma: Segma, toy: Path, bench: Path) -> None:
    (bench / "images" / "one.jpg").write_bytes(b"none")
    done = segma("eval", "boxes", bench, "--model", toy)
    assert done.code == 1 and "unreadable picture" in done.err
    assert done.out.splitlines()[2].split()[:2] == ["all", "1"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["clicks", "nowhere"], 3, "input.not_found"),
        (["clicks", "."], 3, "input.not_found"),
        (["clicks", "bench", "--dataset", "davis"], 3, "input.not_found"),
        (["clicks", "bench", "--dataset", "beauty"], 2, "input.value"),
        (["clicks", "bench", "--split", "val"], 2, "input.value"),
        (["clicks", "bench", "--clicks", 0], 2, "clicks"),
        (["boxes", "bench", "--jitter", 0.9], 2, "input.value"),
        (["boxes", "bench", "--worst", "sheet.doc"], 2, "format.unknown"),
    ],
)
def test_errors_are_one_line(
    arguments: list[object], code: int, word: str, segma: Segma, toy: Path, bench: Path,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty" if arguments[1] == "." else tmp_path)
    done = segma("eval", *arguments, "--model", toy)
    assert done.code == code and word in done.err and done.out == ""
    assert np.sum([line.startswith("error:") for line in done.err.splitlines()]) <= 1


@pytest.mark.slow
def test_samples_of_the_generator_in_the_package_are_judged(segma: Segma, tmp_path: Path) -> None:
    made = tmp_path / "report.json"
    done = segma("eval", "samples", "--per-class", 1, "-o", made)
    assert done.code == 0, done.err
    parts = json.loads(made.read_text(encoding="utf-8"))["summary"]
    assert parts["painted"]["class"]["mean"] > 0.6  # the judge sees what is there
    assert parts["sampled"]["colour"]["mean"] > 0.3  # of shapes the generator knows little yet
    assert parts["by chance"]["colour"]["mean"] < parts["sampled"]["colour"]["mean"]
