from __future__ import annotations

from pathlib import Path

import pytest
import torch
from stubs.shapes_folder import TINY

from segma.checkpoints.origin import file_hashes
from segma.checkpoints.save import save
from segma.errors import Cancelled, FormatError, InputError, ModelError
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.training.config import TrainConfig
from segma.training.data import read_parts
from segma.training.hardware import samples_of, scaled
from segma.training.next import continue_next, judge, plan_next, stated_terms, take_back, verdict
from segma.training.records import Record, read_record, write_record
from segma.training.validation import Exam, questions

CPU = Runtime(device="cpu", precision="fp32")
SMALL = (
    "batch=2",
    "steps=2",
    "workers=0",
    "prompts.objects=2",
    "prompts.least=2",
    "prompts.rounds=2",
    "prompts.points=64",
)
FACTS = {
    "recipe": "sam2_conv_images",
    "parent": "",
    "commit": None,
    "steps": 5,
    "samples": 40,
    "minutes": 1.5,
    "hardware": "a GPU",
    "sources": ["shapes", "pets"],
}


def write_weights(path: Path, seed: int, factor: float = 1.0) -> Path:
    torch.manual_seed(seed)
    module = Sam2(TINY)
    with torch.no_grad():
        for value in module.parameters():
            value.mul_(factor)
    return save(module.half(), TINY, path, origin="made up for tests", licence="CC0-1.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An embedded model that answers nothing (its weights are zeros); clips are no concern of it."""
    home = tmp_path / "embedded"
    home.mkdir()
    path = write_weights(home / "toy.safetensors", 0, 0.0)
    sha256 = file_hashes(path, ["sha256"])["sha256"]
    write_record(
        Record(name="toy", variant="toy", recipe="none", sha256=sha256, scores={"video": {"jf": 60}}), home
    )
    return home


@pytest.fixture
def exam(shapes: Path) -> Exam:
    return Exam(tuple(questions(read_parts([shapes], "train", 0.1).kept.pictures, 2)))


@pytest.mark.parametrize(
    ("before", "after", "replaced"),
    [
        ({"images": {"box": 50}}, {"images": {"box": 50.1}}, True),
        ({"images": {"box": 50}}, {"images": {"box": 50}}, False),
        ({"images": {"box": 50}, "video": {"jf": 50}}, {"images": {"box": 49.1}, "video": {"jf": 52}}, True),
        ({"images": {"box": 50}, "video": {"jf": 50}}, {"images": {"box": 48.9}, "video": {"jf": 90}}, False),
        ({"images": {"box": 50, "click1": 9}}, {"images": {"box": 70}}, False),
        ({"images": {"box": 50}, "video": {"jf": 50}}, {"images": {"box": 60}}, False),
        ({}, {}, False),
    ],
)
def test_the_rule(before: dict[str, dict[str, int]], after: dict[str, dict[str, float]], replaced: bool):
    assert verdict(before, after)[0] is replaced


def test_better_weights_take_the_place(folder: Path, exam: Exam, tmp_path: Path):
    weights = write_weights(tmp_path / "new.safetensors", 1)
    (tmp_path / "index.json").write_text('[{"source": "pets", "terms": "CC BY 4.0"}, {"source": "x"}, 3]')
    before = read_record(folder / "toy.json")
    tried = judge(before, weights, FACTS, exam, CPU, folder=folder, data=[tmp_path])
    found = read_record(folder / "toy.json")
    assert tried.replaced and (folder / "toy.safetensors").read_bytes() == weights.read_bytes()
    assert found.sha256 == file_hashes(weights, ["sha256"])["sha256"] != before.sha256
    assert (found.samples, found.minutes, found.hardware, found.recipe) == (40, 1.5, "a GPU", FACTS["recipe"])
    assert {each.name: each.terms for each in found.data} == {"shapes": "not stated", "pets": "CC BY 4.0"}
    assert found.scores == tried.after and found.history[-1]["replaced"] is True
    assert "toy replaced: the mean rose" in tried.table() and "images click1" in tried.table()


def test_weights_that_are_not_better_leave_only_a_line_of_history(folder: Path, exam: Exam, tmp_path: Path):
    weights = write_weights(tmp_path / "new.safetensors", 1, 0.0)
    before, bytes_before = read_record(folder / "toy.json"), (folder / "toy.safetensors").read_bytes()
    tried = judge(before, weights, FACTS, exam, CPU, folder=folder)
    found = read_record(folder / "toy.json")
    assert not tried.replaced and (folder / "toy.safetensors").read_bytes() == bytes_before
    assert (found.sha256, found.samples, found.scores) == (before.sha256, 0, before.scores)
    assert [row["replaced"] for row in found.history] == [False]
    assert found.history[0]["steps"] == 5 and "did not rise" in found.history[0]["why"]


def test_a_try_trains_measures_and_is_written_down(folder: Path, shapes: Path, tmp_path: Path):
    work = tmp_path / "run"
    tried = continue_next([shapes], 5, CPU, work, folder=folder, objects=2, settings=SMALL)
    found = read_record(folder / "toy.json")
    assert found == tried.record and len(found.history) == 1
    assert found.history[0]["steps"] == 2 and found.history[0]["samples"] == 4
    assert set(tried.before["images"]) == {"click1", "click3", "box"}
    assert not (work / "checkpoint.pt").exists(), "the next try would go on with this one"


def test_a_stopped_try_changes_nothing(folder: Path, shapes: Path, tmp_path: Path):
    with pytest.raises(Cancelled):
        continue_next(
            [shapes], 5, CPU, tmp_path / "run", folder=folder, objects=2, settings=SMALL, stop=lambda: True
        )
    assert (tmp_path / "run" / "checkpoint.pt").exists()
    assert read_record(folder / "toy.json").history == ()


def test_what_lacks_most_is_planned(folder: Path, shapes: Path, tmp_path: Path):
    found = plan_next([shapes], 7, CPU, tmp_path, folder=folder, objects=2)
    assert (found.kind, found.config.name, found.config.minutes) == ("images", "sam2_conv_images", 7.0)
    assert "toy: images lack 100% of their target" in found.line(CPU)
    record = read_record(folder / "toy.json")
    good = {"images": {"click1": 60, "click3": 75, "box": 75}, "video": {"jf": 30}}
    write_record(Record(**{**{n: getattr(record, n) for n in record.__slots__}, "scores": good}), folder)
    found = plan_next([shapes], 7, CPU, tmp_path, folder=folder, objects=2)
    assert (found.kind, found.config.name) == ("video", "sam2_conv_clips")


def test_without_a_model_or_facts_it_is_said(folder: Path, shapes: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="No trained model"):
        plan_next([shapes], 1, CPU, tmp_path, folder=tmp_path)
    with pytest.raises(FormatError, match="no facts of a round"):
        take_back(tmp_path, "toy", [shapes], CPU, folder=folder)
    with pytest.raises(InputError, match="no such folder"):
        plan_next([tmp_path / "nowhere"], 1, CPU, tmp_path, folder=folder)


def test_terms_of_broken_indexes_are_not_stated(tmp_path: Path):
    assert stated_terms([tmp_path]) == {}
    (tmp_path / "index.json").write_text("{")
    assert stated_terms([tmp_path]) == {}


def test_a_recipe_is_fitted_to_the_hardware():
    config = TrainConfig(name="x", batch=8, video_share=0.5)
    here = scaled(config, CPU, cores=2, minutes=30)
    assert (here.batch, here.workers, here.minutes, here.optim) == (8, 1, 30.0, config.optim)
    assert here.steps > 10**5, "only the time ends it"
    on = scaled(config, CPU, cores=2, minutes=30, start="a.safetensors")
    assert (on.start, on.image_size, on.optim.lr) == ("a.safetensors", 0, config.optim.lr / 2)
    assert on.optim.warmup < config.optim.warmup
    assert samples_of(here, 10) == 10 * 4 + 10 * 0.5


@pytest.mark.slow
def test_without_data_made_pictures_are_trained_on_and_nothing_is_replaced(folder: Path, tmp_path: Path):
    tried = continue_next([], 0.01, CPU, tmp_path / "run", folder=folder, objects=2, settings=SMALL)
    assert not tried.replaced and "made pictures only" in tried.why
    assert tried.weights.exists() and read_record(folder / "toy.json").history[-1]["replaced"] is False
