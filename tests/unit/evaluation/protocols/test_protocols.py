"""The protocols on models without weights: by hand, with broken data, and equal to the judge."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from stubs.follower import Follower, close_follower
from stubs.painter import QUALITIES, Painter
from stubs.promptbench import disc, load_adapter, load_judge, write_bench

from segma.api import Model
from segma.checkpoints.load import LoadedModel
from segma.datasets import promptbench
from segma.errors import InputError
from segma.evaluation.data import labelled
from segma.evaluation.protocols import boxes, clicks, everything, video
from segma.evaluation.protocols.asking import evenly
from segma.evaluation.protocols.catalog import PROTOCOLS, protocol
from segma.evaluation.report import Report
from segma.masks.mask import Mask
from segma.models.interfaces import WithMemory
from segma.runtime import Runtime
from segma.samples import ImageSample, PictureFile, VideoSample

CPU = Runtime(device="cpu", precision="fp32")
PHOTOS = {
    "one": [disc(30, 30, 12), disc(66, 12, 5)],
    "two": [disc(40, 30, 25) & ~disc(40, 30, 10)],
    "six": [disc(5, 5, 4), disc(75, 50, 8), disc(40, 20, 3)],
}


def moving(count: int = 8, objects: int = 2) -> list[Any]:
    """Maps of ids: a disc that goes right, and one that is away on two frames."""
    maps = []
    for index in range(count):
        ids = disc(20 + 4 * index, 20, 9).astype(int)
        if objects == 2 and index not in (4, 5):
            ids[disc(40, 48, 8)] = 2
        maps.append(ids)
    return maps


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return write_bench(tmp_path / "bench", PHOTOS, {"walk": moving(), "run": moving(5, 1)})


@pytest.fixture(scope="module")
def judge(shared: Path) -> ModuleType:
    return load_judge(shared)


def adapter(repository: Path, network: object) -> Any:
    """What the judge would be given for this network."""
    facts = LoadedModel(
        module=torch.nn.Identity(),
        config=None,
        name="stub",
        system="stub",
        variant=None,
        files=(),
        licence="",
    )
    return load_adapter(repository).Adapter(
        Model(network=cast(WithMemory, network), facts=facts, runtime=CPU)
    )


def images(root: Path) -> list[ImageSample]:
    return labelled(root, ImageSample)


@pytest.mark.parametrize(
    "name", [name for name, row in PROTOCOLS.items() if row.holds in ("images", "videos")]
)
def test_every_protocol_measures_every_object(name: str, bench: Path) -> None:
    module, is_video = protocol(name), PROTOCOLS[name].holds == "videos"
    samples: list[Any] = labelled(bench, VideoSample) if is_video else images(bench)
    network = Follower() if is_video else Painter()
    seen: list[tuple[int, int]] = []
    config = getattr(module, PROTOCOLS[name].config)()
    if name == "clicks":
        config = replace(config, clicks=5)
    if name == "everything":
        config = replace(config, options={"points_per_side": 4, "pred_iou_thresh": 0.1})
    report: Report = module.run(
        network, samples, config, runtime=CPU, on_progress=lambda *at: seen.append(at)
    )
    assert len(report.rows) == (9 if is_video else 6) and report.skipped == ()
    assert seen[-1][0] == seen[-1][1] == len(seen)
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["protocol"] == name and len(data["rows"]) == len(report.rows)
    measures = {column.measure for column in report.columns}
    assert measures <= set(report.parts[0].values), "every column of the table is measured"
    assert all(0 <= value <= 1 for row in report.rows for key, value in row.values.items()
               if not key.startswith(("noc", "num")))  # fmt: skip
    if name == "boxes":
        again: Report = module.run(network, samples, config, runtime=CPU)
        assert (again.rows, again.parts) == (report.rows, report.parts)


def test_clicks_feed_earlier_logits_back_and_end_at_the_target(bench: Path) -> None:
    network = Painter()
    report = clicks.run(network, images(bench), clicks.ClicksConfig(clicks=6), runtime=CPU)
    for row in report.rows:
        good = [number for number, value in enumerate(row.curve, 1) if value >= 0.9]
        assert len(row.curve) == (good[0] if good else 6) or row.curve[-1] == 1
        assert row.values["iou_click1"] == row.curve[0] <= row.values["oracle_click1"]
        assert row.values["iou_click3"] == row.curve[:3][-1]
        assert row.values["noc90"] == (good[0] if good else 6) and row.values["fail90"] == (not good)
        assert row.values["predicted_click1"] == pytest.approx(QUALITIES[2])
    for asked in network.prompts:
        count = 0 if asked.coords is None else asked.coords.shape[1]
        assert (asked.mask_logits is not None) == (count > 1)


def test_a_limit_of_clicks_leaves_out_what_lies_beyond(bench: Path) -> None:
    report = clicks.run(Painter(), images(bench), clicks.ClicksConfig(clicks=2), runtime=CPU)
    assert not any(key.endswith(("click3", "click5")) for row in report.rows for key in row.values)
    line = report.table().splitlines()[1].split()
    assert line[0] == "all" and "-" in line


def test_what_cannot_be_measured_is_skipped_and_said(bench: Path) -> None:
    first, second, third = images(bench)
    assert second.picture is not None
    second.picture.path.write_bytes(b"no picture")
    third = replace(third, size=(50, 80))
    empty = Mask.from_dense(disc(0, 0, 1) & False)
    away = replace(first.objects[0], mask=empty)
    crowd = replace(first.objects[0], is_crowd=True)
    samples = [
        replace(first, objects=(first.objects[0], away, crowd)),
        second,
        third,
        replace(first, file_name="nowhere.jpg", picture=None),
        replace(first, file_name="gone.jpg", picture=PictureFile(bench / "gone.jpg")),
    ]
    report = boxes.run(Painter(), samples, runtime=CPU)
    assert [row.key for row in report.rows] == ["one_0"]
    assert len(report.skipped) == 5
    for text, what in zip(report.skipped, ("no pixel", "two.jpg", "80x60", "where", "gone"), strict=True):
        assert what in text


def test_a_box_is_answered_as_the_judge_asks(bench: Path, repository: Path, judge: ModuleType) -> None:
    report = boxes.run(Painter(), images(bench), runtime=CPU)
    tight = [row.values["iou_tight"] for row in report.rows]
    assert tight[0] > 0.9, "an ellipse in the box of a disc"
    theirs = judge.run_images(adapter(repository, Painter()), str(bench), clicks=3)
    assert [row.values["iou_box"] for row in report.rows] == [row["box"]["iou"] for row in theirs["rows"]]


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["made up", "real"])
def test_clicks_are_measured_as_by_the_judge(
    real: bool, bench: Path, shared: Path, repository: Path, judge: ModuleType
) -> None:
    root, limit, number = (shared / "realdev", 3, 4) if real else (bench, None, 8)
    samples = evenly(images(root), limit)
    ours = clicks.run(Painter(), samples, clicks.ClicksConfig(clicks=number), runtime=CPU)
    theirs = judge.run_images(adapter(repository, Painter()), str(root), limit=limit, clicks=number)
    assert [row.key for row in ours.rows] == [row["key"] for row in theirs["rows"]]
    for row, other in zip(ours.rows, theirs["rows"], strict=True):
        assert [round(value, 4) for value in row.curve] == other["curve"]
        for prompt in ("click1", "click3", "box"):
            for measure in ("iou", "f", "f2"):
                assert row.values[f"{measure}_{prompt}"] == other[prompt][measure]
    assert [part.name for part in ours.parts] == list(theirs["summary"])
    for name, block in theirs["summary"].items():
        for measure in ("noc85", "fail85", "noc90", "fail90"):
            assert ours.mean(measure, name) == pytest.approx(block[measure])
        for prompt in ("click1", "click3", "box"):
            for measure in ("iou", "over75", "f", "f2"):
                assert ours.mean(f"{measure}_{prompt}", name) == pytest.approx(block[prompt][measure])


@pytest.mark.parametrize("follower", [Follower, close_follower])
def test_video_is_measured_as_by_the_judge(
    follower: Callable[[], Follower], bench: Path, repository: Path, judge: ModuleType
) -> None:
    ours = video.run(follower(), labelled(bench, VideoSample), runtime=CPU)
    theirs = judge.run_videos(adapter(repository, follower()), str(bench))
    rows = {(row.mode, row.key): row for row in ours.rows}
    assert len(rows) == len(theirs["rows"]) == 9
    for other in theirs["rows"]:
        row = rows[other["mode"], f"{other['clip']}_{other['object']}"]
        for measure in ("j", "f", "jf", "jf_all", "first_iou"):
            assert row.values[measure] == pytest.approx(other[measure]), (row.key, measure)
    for mode, block in theirs["summary"].items():
        assert ours.mean("jf", mode) == pytest.approx(block["jf"])


def test_a_follower_of_shades_keeps_its_objects(bench: Path) -> None:
    report = video.run(
        Follower(), labelled(bench, VideoSample), video.VideoConfig(modes=("mask",)), runtime=CPU
    )
    assert report.mean("j", "mask") > 0.6, "its masks have 32 x 32 cells"
    assert report.mean("false_absent", "mask") == 0
    away = next(row for row in report.rows if row.key == "walk_2")
    assert away.values["false_present"] == 0, "two frames without it"
    assert away.case is not None and away.case.score <= away.values["jf"]


def test_cuts_are_looked_for_where_that_is_wanted(bench: Path) -> None:
    """The second shot shows something else, so objects end there."""
    other_shot(bench / "videos" / "walk")
    clip = [each for each in labelled(bench, VideoSample) if each.name == "walk"]
    whole = video.run(Follower(), clip, video.VideoConfig(modes=("mask",)), runtime=CPU)
    cut = video.run(Follower(), clip, video.VideoConfig(modes=("mask",), find_cuts=True), runtime=CPU)
    assert cut.settings["find_cuts"] and not whole.settings["find_cuts"]
    lost = {row.key: row.values["false_absent"] for row in cut.rows}
    assert lost["walk_1"] == pytest.approx(4 / 7)


def other_shot(folder: Path) -> None:
    """Bright noise from the fifth frame on."""
    random = np.random.default_rng(0)
    for index in range(4, 8):
        path = folder / f"{index:05d}.jpg"
        bright = random.integers(190, 256, np.asarray(Image.open(path)).shape, dtype=np.uint8)
        Image.fromarray(bright).save(path, quality=100)


def test_an_object_of_an_earlier_shot_is_absent_where_a_later_one_is_followed(tmp_path: Path) -> None:
    late = moving(8, 1)
    for ids in late[5:]:
        ids[disc(60, 48, 8)] = 2
    root = write_bench(tmp_path / "late", {}, {"late": late})
    other_shot(root / "videos" / "late")
    settings = video.VideoConfig(modes=("mask",), find_cuts=True)
    report = video.run(Follower(), labelled(root, VideoSample), settings, runtime=CPU)
    lost = {row.key: row.values["false_absent"] for row in report.rows}
    assert not report.skipped and lost["late_1"] == pytest.approx(4 / 7)


def test_an_object_is_prompted_where_it_first_shows(tmp_path: Path) -> None:
    late = moving(8, 1)
    for ids in late[3:]:
        ids[disc(60, 48, 8)] = 2
    root = write_bench(tmp_path / "late", {}, {"late": late})
    report = video.run(Follower(), labelled(root, VideoSample), runtime=CPU)
    rows = [row for row in report.rows if row.key == "late_2"]
    assert [row.mode for row in rows] == ["mask", "click1", "click3"]
    assert all(row.values["j"] > 0.55 and "false_present" not in row.values for row in rows)


def test_a_clip_with_a_broken_frame_counts_in_no_mode(bench: Path) -> None:
    (bench / "videos" / "run" / "00003.jpg").write_bytes(b"\xff\xd8 cut off")
    report = video.run(Follower(), labelled(bench, VideoSample), runtime=CPU)
    assert {row.group for row in report.rows} == {"walk"}
    assert len(report.skipped) == 1 and "Frame 3" in report.skipped[0]
    without = [replace(sample, pictures=()) for sample in labelled(bench, VideoSample)]
    assert len(video.run(Follower(), without, runtime=CPU).skipped) == 2


def test_everything_counts_the_best_masks_only(bench: Path) -> None:
    no_filter = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
    making = {"points_per_side": 8, **no_filter}

    def measured(count: int) -> Report:
        config = everything.RecallConfig(max_masks=count, options=making)
        return everything.run(Painter(), images(bench)[:1], config, runtime=CPU)

    few, many = measured(1), measured(1000)
    assert few.mean("num_masks") == 1 and many.mean("num_masks") > 16
    assert few.mean("best_iou") < many.mean("best_iou")
    assert many.mean("recall50") > 0 and many.mean("recall75") <= many.mean("recall50")


@pytest.mark.parametrize(
    "make",
    [
        lambda: clicks.ClicksConfig(clicks=0),
        lambda: clicks.ClicksConfig(targets=()),
        lambda: boxes.BoxesConfig(jitter=0.5),
        lambda: video.VideoConfig(modes=("scribble",)),
        lambda: video.VideoConfig(modes=()),
        lambda: everything.RecallConfig(max_masks=0),
        lambda: protocol("beauty"),
    ],
)
def test_options_without_sense_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.code == "input.value"


def test_a_limit_is_spread_over_all(bench: Path) -> None:
    assert evenly(list(range(10)), 4) == [0, 3, 6, 9]
    assert evenly([1, 2], None) == evenly([1, 2], 5) == [1, 2]


def test_data_without_labels_is_refused(bench: Path, tmp_path: Path) -> None:
    shutil.rmtree(bench / "videos")
    with pytest.raises(InputError, match="no clips with masks"):
        labelled(bench, VideoSample)
    with pytest.raises(InputError, match="promptbench"):
        labelled(bench, ImageSample, dataset="imagenot")
    with pytest.raises(InputError) as caught:
        labelled(tmp_path / "nowhere", ImageSample)
    assert caught.value.code == "input.not_found"
    assert not any(math.isnan(sample.size[0]) for sample in promptbench.read(bench))
