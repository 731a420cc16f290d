from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from stubs import team_run

from segma.errors import InputError, ModelError, StoreError
from segma.training import saving
from segma.training.distributed import Team

Start = Callable[..., subprocess.CompletedProcess[str]]
CPU = torch.device("cpu")


@pytest.fixture
def start(repository: Path, tmp_path: Path) -> Start:
    """Runs these plans in two processes."""

    def run(*plans: dict[str, Any], code: int = 0) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "plan.json"
        path.write_text(json.dumps(plans))
        script = str(repository / "tests/stubs/team_run.py")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        done = subprocess.run(
            [*command, script, str(path)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository / "tests")},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert (done.returncode != 0) == bool(code), done.stderr
        return done

    return run


@pytest.fixture
def plan(tmp_path: Path, shapes: Path, tiny: Path) -> Callable[..., dict[str, Any]]:
    """One run of four steps, two batches each."""

    def make(name: str, **changes: Any) -> dict[str, Any]:
        usual = {"parallel": "ddp", "video_share": 0.0, "batches": 2, "steps": 4, "stop": 0, "die": 0}
        places = {"folder": str(tmp_path / name), "data": str(shapes), "start": str(tiny)}
        return {**usual, **places, **changes}

    return make


def alone(plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The same batches in one process."""
    monkeypatch.setattr("segma.training.loop._LOG_SECONDS", 0.0)
    plan = {**plan, "folder": plan["folder"] + "-alone", "stop": 0}
    team_run.train(plan, Team.alone())
    return plan


def rows(plan: dict[str, Any]) -> list[dict[str, Any]]:  # JSON
    return [json.loads(line) for line in (Path(plan["folder"]) / "log.jsonl").read_text().splitlines()]


def assert_equal(one: dict[str, Any], other: dict[str, Any], *, loss: float, weight: float) -> None:
    """Two runs logged the same losses and gradients, and left the same weights.

    The bias of keys is left out: softmax takes it away, so its gradient is rounding, and Adam steps by that.
    """
    for name in ("loss", "gradient", "lr"):
        curves = [[row[name] for row in rows(plan) if name in row] for plan in (one, other)]
        assert len(curves[0]) == one["steps"]
        assert curves[0] == pytest.approx(curves[1], rel=loss)
    saved = [saving.load(Path(plan["folder"]), team_run.config_of(plan)) for plan in (one, other)]
    assert saved[0] is not None and saved[1] is not None
    for which in ("model", "mean"):
        states = [each.states[which] for each in saved if each]
        assert states[0].keys() == states[1].keys()
        for name, value in states[0].items():
            if name.endswith("k_proj.bias"):
                continue
            assert (value - states[1][name]).abs().max() <= weight, name


def test_two_processes_with_ddp_train_as_one_with_two_batches_a_step(
    plan: Callable[..., dict[str, Any]], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = plan("ddp", steps=2)
    start(team)
    assert_equal(team, alone(team, monkeypatch), loss=1e-4, weight=1e-5)
    assert [row["validation"]["rank"] for row in rows(team) if "validation" in row] == [0.0]


@pytest.mark.slow
def test_fsdp_trains_as_one_process_and_goes_on_as_ddp(
    plan: Callable[..., dict[str, Any]], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a process that was asked to stop stops all; Adam makes steps of rounding where gradients vanish
    whole, parts = plan("fsdp", parallel="fsdp"), plan("parts", parallel="fsdp", batches=4, stop=2)
    start(whole, parts, {**parts, "parallel": "ddp", "stop": 0})
    assert_equal(whole, alone(whole, monkeypatch), loss=1e-3, weight=3e-3)
    assert [row["step"] for row in rows(parts) if "loss" in row] == [1, 2, 3, 4]
    assert_equal(parts, alone(parts, monkeypatch), loss=1e-3, weight=3e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_pictures_and_clips_in_turns_though_they_use_other_weights(
    kind: str, plan: Callable[..., dict[str, Any]], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = plan(kind, parallel=kind, video_share=0.5)
    start(mixed)
    assert_equal(mixed, alone(mixed, monkeypatch), loss=1e-3, weight=3e-3)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_and_the_checkpoint_stays_whole(
    plan: Callable[..., dict[str, Any]], start: Start
) -> None:
    dying = plan("dying", steps=50, die=3)
    done = start(dying, code=1)
    assert "job.lost" in done.stdout + done.stderr or "exitcode" in done.stderr
    saved = saving.load(Path(dying["folder"]), team_run.config_of(dying))
    assert saved is not None
    assert saved.step == 2
    assert all(bool(value.isfinite().all()) for value in saved.states["model"].values())


def test_the_team_is_what_torchrun_says() -> None:
    assert Team.from_environment("cpu", {}) == Team.alone() == Team(device=CPU)
    assert Team.from_environment("cpu", {"RANK": "0", "WORLD_SIZE": "1"}) == Team.alone()
    assert Team.from_environment("cpu", {"RANK": "1", "WORLD_SIZE": "3"}) == Team(rank=1, size=3, device=CPU)


@pytest.mark.parametrize("variables", [{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "x", "WORLD_SIZE": "2"}])
def test_variables_that_make_no_sense_are_told(variables: dict[str, str]) -> None:
    with pytest.raises(InputError, match="RANK is"):
        Team.from_environment("cpu", variables)
    with pytest.raises(ModelError):
        Team.from_environment("cuda:99", {"RANK": "0", "WORLD_SIZE": "2"})


def test_every_number_belongs_to_one_process() -> None:
    shares = [Team(rank=rank, size=3, device=CPU).numbers(4, 15) for rank in range(3)]
    assert sorted(number for share in shares for number in share) == list(range(4, 15))


def test_what_a_lost_process_makes_is_told_and_other_errors_stay() -> None:
    team = Team(rank=1, size=2, device=CPU)
    with pytest.raises(StoreError, match="Process 1 of 2 lost the others") as error, team.explained():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer\nmore")
    assert error.value.code == "job.lost"
    with pytest.raises(RuntimeError, match="shapes"), team.explained():
        raise RuntimeError("shapes do not match")


def test_only_one_file_knows_torch_distributed(repository: Path) -> None:
    sources = (repository / "src").rglob("*.py")
    knowing = [path.name for path in sources if "torch.distributed" in path.read_text(encoding="utf-8")]
    assert [name for name in knowing if name not in ("config.py",)] == ["distributed.py"]
