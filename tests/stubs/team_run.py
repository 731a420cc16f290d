"""What each process of a team does in the tests: runs of a tiny network, one after the other.

`torchrun team_run.py plan.json`: the plan has a list of runs, each with the fields of a config, a folder, and
the step after which to stop, or before which the last process dies (0: it does not).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from segma.errors import Cancelled
from segma.runtime import Runtime
from segma.training import loop
from segma.training.config import ClipConfig, CropConfig, OptimConfig, PromptConfig, TrainConfig
from segma.training.data import read_samples
from segma.training.distributed import Team
from segma.training.kinds import batches_of, step_of
from segma.training.loop import Run
from segma.training.network import build

TINY_RUN = TrainConfig(
    name="team",
    image_size=64,
    batch=2,
    workers=0,
    save_minutes=0.0,
    drop_path=0.2,
    crop=CropConfig(mosaic=0.0),
    prompts=PromptConfig(objects=2, least=2, rounds=2, points=128),
    clips=ClipConfig(frames=3, objects=2),
    optim=OptimConfig(lr=3e-3, warmup=2, ema=0.9),
)


def config_of(plan: dict[str, Any]) -> TrainConfig:
    """The config of a run; `batches` are those of a step of the whole team."""
    config = replace(TINY_RUN, **{name: plan[name] for name in ("start", "parallel", "video_share", "steps")})
    config = replace(config, data=(plan["data"],))
    return replace(config, optim=replace(config.optim, accumulate=plan["batches"]))


def train(plan: dict[str, Any], team: Team) -> dict[str, torch.Tensor]:
    """One run; the mean of its weights, or nothing where it stopped."""
    config = config_of(plan)
    runtime = Runtime(device="cpu", precision="fp32")
    samples = read_samples(Path(plan["data"]))
    steps = 0
    is_last = team.rank == team.size - 1

    def stop() -> bool:  # only one of the processes is asked to
        nonlocal steps
        steps += 1
        if is_last and steps == plan["die"]:
            os._exit(9)  # as a kill: nothing is tidied up
        return steps == plan["stop"] and is_last

    run = Run(
        config,
        build(config).module,
        step_of(config, runtime),
        batches_of(samples, config, team),
        Path(plan["folder"]),
        validate=lambda module: {"rank": float(team.rank)},
        stop=stop,
        team=team,
    )
    try:
        return run.train().state
    except Cancelled:
        return {}


def main(path: str) -> None:
    loop._LOG_SECONDS = 0.0  # every step
    torch.set_num_threads(1)
    with Team.from_environment("cpu") as team:
        for plan in json.loads(Path(path).read_text()):
            state = train(plan, team)
            kept = team.all({name: float(value.double().sum()) for name, value in state.items()})
            assert all(each == kept[0] for each in kept), "every process has the same mean"


if __name__ == "__main__":
    main(sys.argv[1])
