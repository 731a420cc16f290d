"""`segma everything`: the official options, the counts, its output kinds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from segma.cli.everything import count_line
from segma.cli.everything_options import Grid
from segma.formats import png, sa1b
from segma.masks.mask import Mask
from segma.results import Prediction
from segma.tasks.everything import EverythingConfig

Segma = Callable[..., Any]  # conftest's Ended
ALL = ("--points-per-side", 3, "--pred-iou-thresh", 0, "--stability-score-thresh", 0)


def test_the_options_are_those_of_the_task_and_the_model_has_the_defaults() -> None:
    ours = {field.name: field.default for field in fields(Grid)}
    assert ours.keys() == {field.name for field in fields(EverythingConfig)} - {"point_grids"}
    assert set(ours.values()) == {None} and len(ours) == 11


@pytest.mark.parametrize("name", [field.name for field in fields(Grid)])
def test_the_official_defaults_are_told(name: str) -> None:
    [told] = get_type_hints(Grid, include_extras=True)[name].__metadata__
    official = getattr(EverythingConfig(), name)
    assert float(told.show_default.removeprefix("officially ")) == pytest.approx(official, abs=0.002)


def test_the_counts_add_up(segma: Segma, toy: Path, photo: Path) -> None:
    done = segma("everything", photo, *ALL, "--model", toy)
    assert done.code == 0
    number = r"([\d ]+)"
    pattern = rf"{number} masks?  \(9 points, {number} candidates, {number} removed(?:: (.*))?\)"
    found = re.fullmatch(re.escape(str(photo)) + "  " + pattern, done.out.strip())
    assert found, done.out
    masks, candidates, removed = (int(text) for text in found.groups()[:3])
    assert (candidates, candidates - removed) == (27, masks)
    assert sum(int(count) for count in re.findall(r"\d+", found[4] or "")) == removed
    [sample] = sa1b.read(photo.with_name("photo.masks.json"))
    assert (len(sample.objects), sample.file_name) == (masks, "photo.png")


def test_the_line_names_each_reason() -> None:
    counts = {
        "points": 1024,
        "candidates": 3072,
        "low_iou": 2920,
        "unstable": 11,
        "at_edge": 0,
        "duplicate": 78,
    }
    line = count_line(Prediction(size=(2, 2), records=(), counts=counts))
    reasons = "2 920 low score, 11 unstable, 78 duplicate"
    assert line == f"0 masks  (1 024 points, 3 072 candidates, 3 009 removed: {reasons})"


def test_options_reach_the_task(segma: Segma, toy: Path, photo: Path) -> None:
    def counts(*options: object) -> dict[str, int]:
        return segma("everything", photo, *ALL, *options, "--model", toy, "--json").objects[0]["counts"]

    plain = counts()
    assert counts("--points-per-side", 2)["points"] == 4
    assert counts("--crop-n-layers", 1)["points"] == 9 + 4 * 9
    assert counts("--crop-n-layers", 1, "--crop-n-points-downscale-factor", 3)["points"] == 9 + 4
    assert counts("--pred-iou-thresh", 0.99)["low_iou"] > plain["low_iou"] == 0
    assert counts("--stability-score-thresh", 0.999, "--stability-score-offset", 9)["unstable"] > 0
    assert counts("--box-nms-thresh", 1)["duplicate"] == 0 < plain["duplicate"]


def test_the_two_kinds_of_the_official_script(segma: Segma, toy: Path, photo: Path, tmp_path: Path) -> None:
    target = f"{tmp_path}/out/"
    done = segma("everything", photo, *ALL, "--model", toy, "-o", target, "--format", "masks", "--json")
    masks = [Mask.from_coco(row["segmentation"]) for row in done.objects[0]["masks"]]
    assert masks
    [sample] = png.read(tmp_path / "out" / "photo")
    assert [each.mask for each in sample.objects] == masks
    assert segma("everything", photo, *ALL, "--model", toy, "-o", target, "--format", "rle").code == 0
    rows = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert [Mask.from_coco(row["segmentation"]) for row in rows] == masks
    official = {
        "segmentation",
        "area",
        "bbox",
        "predicted_iou",
        "point_coords",
        "stability_score",
        "crop_box",
    }
    assert all(official <= row.keys() for row in rows)


@pytest.mark.parametrize("name", ["x.coco.json", "x.sheet.png", "x.overlay.jpg", "x.csv", "x.rle.json"])
def test_other_kinds_by_name(segma: Segma, toy: Path, photo: Path, tmp_path: Path, name: str) -> None:
    done = segma("everything", photo, *ALL, "--model", toy, "-o", tmp_path / name, "-q")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / name).stat().st_size > 0


def test_small_regions_go(segma: Segma, toy: Path, photo: Path) -> None:
    done = segma("everything", photo, *ALL, "--min-mask-region-area", 60 * 90, "--model", toy, "--json")
    for row in done.objects[0]["masks"]:
        dense = Mask.from_coco(row["segmentation"]).dense()
        assert dense.all() or not np.any(dense) or row["area"] >= 1


@pytest.mark.parametrize(
    "option", [("--points-per-side", 0), ("--crop-n-layers", 9), ("--points-per-batch", 0)]
)
def test_options_that_make_no_sense(segma: Segma, photo: Path, option: tuple[str, int]) -> None:
    done = segma("everything", photo, *option, "--model", "missing.pt")
    assert done.code == 2
