from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from segma.errors import Cancelled, ModelError, StoreError
from segma.runtime import Runtime
from segma.training import saving
from segma.training.config import TrainConfig
from segma.training.data import read_samples
from segma.training.kinds import batches_of, step_of
from segma.training.loop import Progress, Run
from segma.training.network import build
from segma.training.saving import NAME
from segma.training.steps.result import StepResult

STEPS = 5


class Kept:
    """Batches and steps as they are, with the loss of each step kept."""

    def __init__(self, config: TrainConfig) -> None:
        self.losses: list[float] = []
        self._step = step_of(config, Runtime(device="cpu", precision="fp32"))

    def __call__(self, module: nn.Module, batch: Any, generator: torch.Generator) -> StepResult:
        result = self._step(module, batch, generator)
        self.losses.append(float(result.loss.detach()))
        return result


@pytest.fixture
def config(tiny_run: TrainConfig) -> TrainConfig:
    return replace(tiny_run, image_size=64, steps=STEPS, drop_path=0.2)


def run_of(config: TrainConfig, folder: Path, step: Any, **more: Any) -> Run:
    samples = read_samples(Path(config.data[0]))
    return Run(config, build(config).module, step, batches_of(samples, config), folder, **more)


def tensors(folder: Path, config: TrainConfig, which: str) -> dict[str, torch.Tensor]:
    found = saving.load(folder, config)
    assert found is not None
    return found.states[which]


def test_a_run_that_was_killed_goes_on_with_the_same_curve(tmp_path: Path, config: TrainConfig) -> None:
    whole = Kept(config)
    run_of(config, tmp_path / "whole", whole).train()

    first, calls = Kept(config), count(1)
    with pytest.raises(Cancelled, match="Stopped after step 2"):
        run_of(config, tmp_path / "parts", first, stop=lambda: next(calls) == 2).train()
    assert saving.load(tmp_path / "parts", config)
    second = Kept(config)
    run = run_of(config, tmp_path / "parts", second)
    run.train()

    assert first.losses + second.losses == whole.losses
    assert run.done == STEPS
    for which in ("model", "mean"):
        one, other = (tensors(tmp_path / name, config, which) for name in ("whole", "parts"))
        assert all(torch.equal(one[name], other[name]) for name in one)


class Simple:
    """A step with a loss of its own making: `values` are multiplied with a weight of the module."""

    def __init__(self, *values: float) -> None:
        self._values: Iterator[float] = iter(values)

    def __call__(self, module: nn.Module, batch: Any, generator: torch.Generator) -> StepResult:
        assert isinstance(module, nn.Linear)
        return StepResult(module.weight.square().sum() * next(self._values), {"seen": 1.0})


class Batch:
    pixels = torch.zeros(2, 3, 4, 4)
    unreadable = 1

    def to(self, _: torch.device) -> Batch:
        return self


def simple_run(folder: Path, *values: float, **more: Any) -> Run:
    config = TrainConfig(name="simple", steps=len(values), save_minutes=0.0)
    torch.manual_seed(0)
    return Run(
        config, nn.Linear(3, 3), Simple(*values), lambda first: (Batch() for _ in count()), folder, **more
    )


def test_lines_of_steps_that_a_killed_run_does_again_are_left_out(tmp_path: Path) -> None:
    simple_run(tmp_path, 1.0, 1.0).train()
    log = tmp_path / "log.jsonl"
    before = log.read_text()
    ahead = [{"step": 3, "loss": 0.0}, {"validation": {"step": 3}}]
    log.write_text(before + "".join(json.dumps(row) + "\n" for row in ahead) + '{"step": 1')
    simple_run(tmp_path, 1.0, 1.0).train()
    assert before
    assert log.read_text() == before


def test_steps_without_a_finite_loss_are_left_out(tmp_path: Path) -> None:
    run = simple_run(tmp_path / "bad", 1.0, math.nan, math.inf, 1.0)
    run.train()
    assert (run.left_out, run.done, run.mean.updates) == (2, 4, 2)
    assert all(bool(value.isfinite().all()) for value in run.module.state_dict().values())
    good = saving.load(tmp_path / "bad", run.config)
    assert good is not None
    assert good.states["updates"] == 2


def test_a_loss_that_is_lost_for_good_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Lower optim"):
        simple_run(tmp_path, *[1.0] * 3, *[math.nan] * 30).train()
    assert (tmp_path / NAME).exists()


def test_unreadable_pictures_are_counted_and_told(tmp_path: Path) -> None:
    told: list[Progress] = []
    run = simple_run(tmp_path, 1.0, 1.0, on_progress=told.append)
    run.train()
    assert run.unreadable == told[-1].unreadable == 2
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["unreadable"] == 2


def test_a_checkpoint_that_cannot_be_written_ends_the_run_and_the_last_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple_run(tmp_path, 1.0).train()
    before = (tmp_path / NAME).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    longer = simple_run(tmp_path, 1.0)
    with pytest.raises(StoreError) as error:
        longer.train()
    assert error.value.code == "disk.full"
    assert (tmp_path / NAME).read_bytes() == before


def test_validation_measures_the_mean_and_leaves_the_module_alone(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []

    def validate(module: nn.Module) -> dict[str, float]:
        assert isinstance(module, nn.Linear)
        seen.append(module.weight.detach().clone())
        return {"box": 1.0}

    run = simple_run(tmp_path, *[1.0] * 5, validate=validate)
    mean = run.train()
    assert run.scores[-1]["box"] == 1.0
    assert torch.equal(seen[-1], mean.state["weight"])
    assert not torch.equal(run.module.state_dict()["weight"], mean.state["weight"])
