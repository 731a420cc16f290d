from __future__ import annotations

import resource
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segma.errors import ModelError, StoreError
from segma.training.config import ClipConfig, OptimConfig, TrainConfig
from segma.training.saving import NAME, Saved, as_json, load, save

CONFIG = TrainConfig(name="mine", data=("here",))


def saved(step: int, config: TrainConfig = CONFIG) -> Saved:
    states = {"model": {"weight": torch.full((300, 300), float(step))}}
    return Saved(step, 1.5, states, as_json(config), [{"step": step, "box": 50.0}])


@contextmanager
def no_file_larger_than(size: int) -> Generator[None, None, None]:
    """The system refuses to write more, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save(tmp_path, saved(7))
    found = load(tmp_path, CONFIG)
    assert found is not None
    assert (found.step, found.seconds, found.scores) == (7, 1.5, [{"step": 7, "box": 50.0}])
    assert torch.equal(found.states["model"]["weight"], torch.full((300, 300), 7.0))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_folder_without_a_checkpoint_begins_anew(tmp_path: Path) -> None:
    assert load(tmp_path, CONFIG) is None
    assert load(tmp_path / "not" / "there", CONFIG) is None


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, saved(1))
    with no_file_larger_than(100_000), pytest.raises(StoreError, match="last good one is still") as error:
        save(tmp_path, saved(2))
    assert error.value.code == "disk.full"
    found = load(tmp_path, CONFIG)
    assert found is not None
    assert found.step == 1
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_folder_that_is_gone_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        save(tmp_path / "gone", saved(1))
    assert error.value.code == "disk.unwritable"


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, keep: float) -> None:
    path = save(tmp_path, saved(1))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(ModelError, match="Delete it to start anew") as error:
        load(tmp_path, CONFIG)
    assert error.value.code == "model.unreadable"


def test_a_file_of_something_else_is_refused_and_no_code_is_run(tmp_path: Path) -> None:
    torch.save({"step": 1, "run": Path}, tmp_path / NAME)
    with pytest.raises(ModelError) as error:
        load(tmp_path, CONFIG)
    assert error.value.code == "model.unreadable"
    torch.save({"weight": torch.zeros(3)}, tmp_path / NAME)
    with pytest.raises(ModelError, match="no checkpoint of a run"):
        load(tmp_path, CONFIG)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    save(tmp_path, saved(1))
    with pytest.raises(ModelError, match=r"different: name, optim") as error:
        load(tmp_path, replace(CONFIG, name="other", optim=OptimConfig(lr=1.0)))
    assert error.value.code == "model.mismatch"


def test_how_long_and_how_often_may_change(tmp_path: Path) -> None:
    save(tmp_path, saved(1))
    later = replace(CONFIG, minutes=9.0, workers=3, save_minutes=1.0, validate_minutes=2.0, data=("there",))
    assert load(tmp_path, later) is not None


def test_settings_of_clips_matter_to_runs_on_clips_only(tmp_path: Path) -> None:
    save(tmp_path, saved(1))
    assert load(tmp_path, replace(CONFIG, clips=ClipConfig(frames=9))) is not None
    with_clips = replace(CONFIG, video_share=0.5)
    save(tmp_path, saved(1, with_clips))
    with pytest.raises(ModelError, match=r"different: clips"):
        load(tmp_path, replace(with_clips, clips=ClipConfig(frames=9)))


def test_a_field_newer_than_the_checkpoint_had_its_usual_value(tmp_path: Path) -> None:
    old = saved(1)
    del old.config["blend"], old.config["optim"]["ema"]
    save(tmp_path, old)
    assert load(tmp_path, CONFIG) is not None
    with pytest.raises(ModelError, match=r"different: blend"):
        load(tmp_path, replace(CONFIG, blend=0.5))
