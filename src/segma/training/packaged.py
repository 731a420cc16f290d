"""One round of training out of a package (`training.package`), on a machine that has little besides torch.

A round trains on all parts that are there by now, goes on where the round before stopped, and leaves the mean
of the weights as float16, with a JSON of what was done. Nothing beyond torch, numpy, safetensors, Pillow and
OpenCV is imported, so nothing is measured here: that is done where the weights are taken back.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from segma.checkpoints.save import save
from segma.errors import Cancelled, FormatError, InputError, SegmaError
from segma.media.files import make_folder, write_text
from segma.runtime import Runtime
from segma.training.catalog import recipe
from segma.training.config import TrainConfig
from segma.training.course import Network, course_of
from segma.training.data import Samples, read_parts
from segma.training.distributed import Team
from segma.training.hardware import samples_of, scaled
from segma.training.loop import Progress, Run
from segma.training.settings import changed

ORDER, START, DATA = "order.json", "start.safetensors", "data"
FIRST_PART = "part-000"
PARTS = "part-*"
_FAILED, _INTERRUPTED = 1, 130
# What is left of a round for saving its checkpoint and its weights.
_SAVING_SECONDS = 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is to be trained, as it stands in the first part of a package.

    `minutes` are those of all rounds together: the learning rate goes by them. `parent` is the sha256 of the
    weights it starts from, "" for random ones; `settings` are those of `segma train --set`.
    """

    name: str
    recipe: str
    minutes: float | int
    parts: int
    parent: str = ""
    settings: tuple[str, ...] = ()
    commit: str | None = None

    def config(self, root: Path, runtime: Runtime, cores: int) -> TrainConfig:
        """The run, fitted to the hardware, on the parts that are there."""
        start = str(root / FIRST_PART / START) if self.parent else ""
        config = scaled(recipe(self.recipe), runtime, cores=cores, minutes=self.minutes, start=start)
        found = tuple(str(path) for path in sorted(root.glob(f"{PARTS}/{DATA}")))
        return changed(_with_data(config, found), self.settings)


def read_order(root: Path) -> Order:
    """The order of a package. Raises FormatError."""
    path = root / FIRST_PART / ORDER
    try:
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))  # JSON
        row["settings"] = tuple(row["settings"])
        return Order(**row)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FormatError("format.bad", f"{path}: no order of a package ({error}).") from error


def order_text(order: Order) -> str:
    """The file of an order."""
    return json.dumps(asdict(order), indent=1) + "\n"


def train_round(
    root: Path,
    out: Path,
    seconds: float | int,
    runtime: Runtime,
    *,
    cores: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:  # JSON
    """Train for so many seconds, loading included, and return what stands in `out` beside the weights.

    The checkpoint is in `run` beside the parts. Raises FormatError for a package without an order, InputError
    without data, ModelError and StoreError.
    """
    end = time.monotonic() + seconds - _SAVING_SECONDS
    order = read_order(root)
    config = order.config(root, runtime, cores)
    course = course_of(config)
    folders = [Path(path) for path in config.data]
    samples = read_parts(folders, config.part, 0.0, labelled=course.labelled).train
    network = course.build(config)
    config = course.settled(config, network)
    team = Team.alone(runtime.torch_device)
    run = Run(
        config,
        course.student(network, samples, config).to(runtime.torch_device),
        course.step(config, runtime),
        course.batches(samples, config, team),
        root / "run",
        on_progress=on_progress,
        device=runtime.torch_device,
        stop=lambda: time.monotonic() >= end,
        team=team,
        beside=course.rates(config),
    )
    is_over = True
    try:
        run.train()
    except Cancelled:
        is_over = False
    facts = _facts(order, config, run, samples, runtime) | {"is_over": is_over}
    _write(network, order, run, make_folder(out), facts)
    return facts


def _facts(order: Order, config: TrainConfig, run: Run, samples: Samples, runtime: Runtime) -> dict[str, Any]:
    """What is told where the weights are taken back; JSON."""
    report = samples.report
    return {
        "name": order.name,
        "recipe": order.recipe,
        "parent": order.parent,
        "commit": order.commit,
        "steps": run.done,
        "samples": samples_of(config, run.done),
        "minutes": round(run.seconds / 60, 2),
        "hardware": hardware_of(runtime),
        "parts": [len(config.data), order.parts],
        "pictures": len(samples.pictures),
        "clips": len(samples.clips),
        "sources": sorted({each.source for each in (*samples.pictures, *samples.clips)}),
        "skipped": report.summary() if report.skipped else "",
        "steps_left_out": run.left_out,
    }


def hardware_of(runtime: Runtime) -> str:
    """The device, by its name where it has one, and the precision."""
    device = runtime.torch_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{name}, {runtime.describe()}"


def _with_data(config: TrainConfig, data: tuple[str, ...]) -> TrainConfig:
    if not data:
        raise InputError("input.not_found", "No part with data is there yet.", f"Wanted: {PARTS}/{DATA}.")
    return replace(config, data=data)


def _write(network: Network, order: Order, run: Run, out: Path, facts: dict[str, Any]) -> None:  # JSON
    """The mean of the weights as float16, and the facts."""
    run.mean.copy_to(run.module)
    network.module.eval().half()
    origin = f"{order.recipe}, {run.done} steps of a package; commit {order.commit}"
    path = out / f"{order.name}.safetensors"
    save(network.module, network.config, path, origin=origin, licence=network.licence)
    write_text(out / f"{order.name}.json", json.dumps(facts, indent=1) + "\n", overwrite=True)


def main(root: Path, arguments: Sequence[str]) -> int:
    """The entry of a package; the exit code."""
    parser = argparse.ArgumentParser(description="Train for a while on all parts that are here.")
    parser.add_argument("--seconds", type=float, default=540.0, help="Of this round (default 540).")
    parser.add_argument("--out", type=Path, default=root / "out", help="Where weights and facts go.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    given = parser.parse_args(arguments)
    try:
        runtime = Runtime(device=given.device, precision=given.precision)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        facts = train_round(root, given.out, given.seconds, runtime, cores=cores, on_progress=_told)
    except SegmaError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())} [{error.code}]\n")
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0


def _told(progress: Progress) -> None:
    shown = "  ".join(f"{name} {value:.3f}" for name, value in progress.numbers.items())
    sys.stdout.write(
        f"step {progress.step}  {progress.seconds:.0f} s  loss {progress.loss:.3f}  "
        f"{progress.samples_per_second:.1f}/s  loading {progress.loading_share:.0%}  {shown}\n"
    )
    sys.stdout.flush()
