"""Reports: parts, the table, JSON, the worst answers as a picture, and what made it all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stubs.promptbench import disc

from segma.errors import InputError
from segma.evaluation.origin import commit_of
from segma.evaluation.report import Case, Column, Report, Row, by_size_and_source, parts_of
from segma.evaluation.worst import ANSWERED, TRUE, worst_sheet
from segma.masks.mask import Mask
from segma.prompts.types import Box, Points
from segma.samples import PictureFile

COLUMNS = (
    Column(measure="iou", heading="IoU", interval=True),
    Column(measure="noc", heading="NoC", scale=1, digits=2),
)


def row(key: str, iou: float, area: float = 0.05, source: str = "a", **more: Any) -> Row:
    return Row(key=key, group=key[0], source=source, area=area, values={"iou": iou, "said": 0.9}, **more)


def report(rows: list[Row], **more: Any) -> Report:
    parts = parts_of(by_size_and_source(rows), 0, {"from a click": ("said", "iou")})
    return Report(protocol="clicks", columns=COLUMNS, rows=tuple(rows), parts=parts, settings={}, **more)


def test_rows_are_counted_by_size_and_source() -> None:
    rows = [row("a0", 0.2, 0.019), row("a1", 0.4, 0.02), row("b0", 0.6, 0.1, "b"), row("b1", 0.8, 1.0, "b")]
    made = report(rows)
    counts = {part.name: part.count for part in made.parts}
    assert counts == {"all": 4, "small": 1, "medium": 1, "large": 2, "from a": 2, "from b": 2}
    assert made.mean("iou") == pytest.approx(0.5) and made.mean("iou", "large") == pytest.approx(0.7)
    whole = made.part("all").values["iou"]
    assert (whole.low, whole.high) == pytest.approx((0.3, 0.7)), "of two pictures, drawn whole"
    assert made.part("all").calibration["from a click"] == pytest.approx(0.4)
    assert math.isnan(made.mean("noc"))
    with pytest.raises(KeyError):
        made.part("tiny")


def test_the_intervals_of_a_measure_do_not_hang_on_others() -> None:
    rows = [row(f"{number}", number / 20) for number in range(20)]
    more = [Row(**{**_fields(each), "values": {"new": 1.0, **each.values}}) for each in rows]
    first, second = report(rows).part("all"), report(more).part("all")
    assert first.values["iou"] == second.values["iou"] and "new" in second.values


def test_the_table_shows_what_was_not_measured() -> None:
    lines = report([row("a0", 0.25), row("b0", 0.75)]).table().splitlines()
    assert lines[0].split() == ["n", "IoU", "NoC"]
    assert lines[1].split() == ["all", "2", "50.0", "(25-75)", "-"]
    alone = report([row("a0", 0.25)])
    assert alone.table().splitlines()[1].split() == ["all", "1", "25.0", "-"]
    assert alone.to_dict()["summary"]["all"]["iou"]["low"] is None
    long = report([row("a0", 0.25, source="x" * 80)])
    assert max(map(len, long.table().splitlines())) < 80


def test_the_dictionary_is_json_without_nan() -> None:
    rows = [row("a0", float("nan"), curve=(0.5, 0.75), mode="mask")]
    made = report(rows, seconds={"click": 0.01}, skipped=("b: gone",), origin={"model": "toy"})
    data = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert data["model"] == "toy" and data["skipped"] == ["b: gone"]
    expected = {"key": "a0", "source": "a", "area": 0.05, "mode": "mask", "iou": None, "said": 0.9}
    assert data["rows"] == [{**expected, "curve": [0.5, 0.75]}]
    assert data["summary"]["all"]["iou"]["mean"] is None and data["summary"]["all"]["n"] == 1
    assert any("click 10 ms" in line for line in made.notes())


def case(folder: Path, score: float, **asked: Any) -> Case:
    path = folder / "grey.png"
    Image.fromarray(np.full((200, 300, 3), 128, np.uint8)).save(path)
    truth, answer = disc(150, 100, 20, (200, 300)), disc(170, 100, 20, (200, 300))
    return Case(
        picture=PictureFile(path),
        truth=Mask.from_dense(truth),
        answer=Mask.from_dense(answer),
        score=score,
        **asked,
    )


def test_the_worst_come_first_and_are_drawn(tmp_path: Path) -> None:
    points = Points([(150, 100), (160, 90)], [1, 0])
    cases = [case(tmp_path, 0.5, points=points), case(tmp_path, 0.1, box=Box(130.0, 80.0, 170.0, 120.0))]
    rows = [row(f"object {i}", 0.5, case=each) for i, each in enumerate(cases)]
    made = report([*rows, row("unseen", 0.0)])
    assert [each.key for each in made.worst(5)] == ["object 1", "object 0"]
    assert len(made.worst(1)) == 1
    sheet = worst_sheet(made.worst(5), tile_pixels=200)
    assert sheet.shape == (200 + 2 * 12 + 22, 2 * 212 + 12, 3)
    for colour in (TRUE, ANSWERED):
        assert (np.abs(sheet.astype(int) - colour).sum(-1) < 30).sum() > 100
    # The disc of radius 20 is shown with as much again on each side: 120 of its pixels fill a tile of 200.
    tile = np.abs(sheet[12:212, 224:424].astype(int) - TRUE).sum(-1) < 60
    columns = np.flatnonzero(tile.any(0))
    assert columns[-1] - columns[0] == pytest.approx(40 * 200 / 120, abs=6)


def test_an_empty_truth_is_shown_in_the_whole_picture(tmp_path: Path) -> None:
    empty = Mask.from_dense(np.zeros((200, 300), bool))
    shown = case(tmp_path, 0.0)
    only = Case(picture=shown.picture, truth=empty, answer=shown.answer, score=0.0)
    sheet = worst_sheet([row("a" * 100, 0.0, case=only)], tile_pixels=150)
    assert sheet.shape[1] == 150 + 2 * 12
    with pytest.raises(InputError, match="no answer"):
        worst_sheet([row("a", 0.0)])


def test_the_commit_is_that_of_a_source_tree(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    git = tmp_path / ".git"
    assert commit_of(tmp_path) is None
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    (git / "refs" / "heads" / "main").write_text(commit + "\n", encoding="utf-8")
    assert commit_of(tmp_path) is None, "someone else's repository"
    (tmp_path / "src" / "segma").mkdir(parents=True)
    assert commit_of(tmp_path) == commit
    (git / "refs" / "heads" / "main").unlink()
    assert commit_of(tmp_path) is None
    (git / "packed-refs").write_text(f"# pack-refs\n{commit} refs/heads/main\n", encoding="utf-8")
    assert commit_of(tmp_path) == commit
    (git / "HEAD").write_text(commit, encoding="utf-8")
    assert commit_of(tmp_path) == commit


def _fields(each: Row) -> dict[str, Any]:
    names = ("key", "group", "source", "area", "values", "mode", "curve", "case")
    return {name: getattr(each, name) for name in names}
