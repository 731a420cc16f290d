"""A run from beginning to end: config -> network, data, loop -> weights and a report in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import segma
from segma.checkpoints.origin import file_hashes
from segma.checkpoints.save import save
from segma.errors import InputError, ModelError
from segma.evaluation.origin import commit_of
from segma.evaluation.protocols.speed import machine_facts
from segma.media.files import write_text
from segma.runtime import Runtime, keep_freed_memory
from segma.training import saving
from segma.training.config import TrainConfig
from segma.training.course import Course, Exam, Network, course_of
from segma.training.data import Parts, read_parts, read_samples
from segma.training.distributed import KINDS, Team
from segma.training.loop import Progress, Run
from segma.training.network import blend
from segma.training.optim import KINDS as OPTIMIZERS

WEIGHTS = "weights.safetensors"
REPORT = "report.json"
NOT_MEASURED = "not measured"

Scores = dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a run left: its folder, the weights in it, and the report (also in `report.json`).

    The report has `recipe`, `start`, `steps`, `seconds`, `data` (how much was read, kept and skipped),
    `held_out` and `elsewhere` (scores `before` and `after`, or "not measured"), `scores` (those on the way),
    and what made it.
    """

    folder: Path
    weights: Path
    report: Mapping[str, Any]  # JSON


def start(
    config: TrainConfig,
    folder: Path,
    runtime: Runtime | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    check: Sequence[Path] = (),
    stop: Callable[[], bool] | None = None,
    team: Team | None = None,
) -> Outcome:
    """Train, or go on where the run in `folder` was, and write the weights and the report there.

    `check` are other data to measure before and after. `stop` is asked after each step. Of a `team` (which
    must be entered) every process calls this; its device is the team's, and process 0 alone writes: the
    report of the others is empty. Raises InputError for settings that make no sense and data without objects,
    FormatError, ModelError for weights or a checkpoint that do not fit, StoreError where nothing can be
    written or the team fell apart, Cancelled after `stop`.
    """
    runtime = Runtime() if runtime is None else runtime
    team = team or Team.alone(runtime.torch_device)
    runtime = replace(runtime, device=str(team.device))
    course = course_of(config)
    _check(config, course, runtime, check)
    config = replace(config, optim=replace(config.optim, accumulate=config.optim.accumulate * team.size))
    parts, network = _parts(config, course), course.build(config)
    config = course.settled(config, network)
    elsewhere = _elsewhere(check, config, course)
    if team.leads:
        saving.load(folder, config)  # a checkpoint that does not fit is told before anything long
    student = _prepared(course.student(network, parts.train, config), runtime)
    kept = course.exam(parts.kept, config)
    measured = {"held_out": kept, **elsewhere} if team.leads else {}
    before = _measured(network.module, measured, runtime) if network.original is not None else None
    run = Run(
        config,
        student,
        course.step(config, runtime),
        course.batches(parts.train, config, team),
        folder,
        validate=(lambda _: kept.scores(network.module, runtime)) if kept else None,
        on_progress=on_progress,
        device=runtime.torch_device,
        stop=stop,
        team=team,
        beside=course.rates(config),
    )
    run.train().copy_to(student)
    if not team.leads:
        return Outcome(folder=folder, weights=folder / WEIGHTS, report={})
    return _finish(course, network, config, folder, runtime, run, parts, measured, before)


def _finish(
    course: Course,
    network: Network,
    config: TrainConfig,
    folder: Path,
    runtime: Runtime,
    run: Run,
    parts: Parts,
    exams: Mapping[str, Exam],
    before: Mapping[str, Scores] | None,
) -> Outcome:
    """Blend, measure, and write the weights and the report."""
    if network.original is not None and config.blend < 1:
        blend(network.module, network.original, config.blend)
    network.module.eval()
    fitted = course.finish(network, parts.train, config, runtime)
    network.module.half().float()  # what is measured is what will be in the file
    after = _measured(network.module, exams, runtime)
    weights = _save(network, config, folder, run.done)
    report = {
        **_facts(config, runtime, run),
        "data": _told(parts, run),
        "weights": {"file": weights.name, "sha256": file_hashes(weights, ["sha256"])["sha256"]},
        **({"fitted": fitted} if fitted else {}),
        **_compared(before, after),
        "scores": run.scores,
    }
    write_text(folder / REPORT, json.dumps(report, indent=1) + "\n", overwrite=True)
    return Outcome(folder=folder, weights=weights, report=report)


def _check(config: TrainConfig, course: Course, runtime: Runtime, check: Sequence[Path]) -> None:
    """Raises InputError for settings that make no sense, ModelError for a precision without training."""
    makes_its_own = course.makes_its_own(config)
    if (config.data or check) and makes_its_own:
        hint = "Leave --data and --check out."
        raise InputError("input.value", f"{config.name} makes what it learns from and is measured on.", hint)
    if not config.data and not makes_its_own:
        raise InputError("input.value", f"{config.name} needs data.", "Name a folder with --data FOLDER.")
    least = {"batch": config.batch, "steps": config.steps, "optim.accumulate": config.optim.accumulate}
    for name, value in least.items():
        if value < 1:
            raise InputError("input.value", f"{name} is {value}, expected 1 or more.")
    named = {"parallel": (config.parallel, KINDS), "optim.kind": (config.optim.kind, OPTIMIZERS)}
    for name, (value, known) in named.items():
        if value not in known:
            raise InputError("input.value", f'{name} is "{value}", expected {" or ".join(known)}.')
    shares = {
        "blend": config.blend,
        "crop.mosaic": config.crop.mosaic,
        "crop.paste": config.crop.paste,
        "prompts.box and prompts.mask together": config.prompts.box + config.prompts.mask,
    }
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise InputError("input.value", f"{name} is {value}, expected 0 to 1.")
    if config.blend < 1 and not config.start:
        raise InputError("input.value", "blend needs weights to start from.", "Name them with --model.")
    if runtime.dtype == torch.float16:
        raise ModelError("model.device", "Training in fp16 is not stable.", "Use --precision bf16 or fp32.")


def _prepared(module: nn.Module, runtime: Runtime) -> nn.Module:
    """The module on the device; `Runtime.place` would also make the weights bfloat16."""
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    if runtime.torch_device.type == "cpu":
        keep_freed_memory()
    return module.to(runtime.torch_device)


def _parts(config: TrainConfig, course: Course) -> Parts:
    folders = [Path(name) for name in config.data]
    return read_parts(folders, config.part, config.held_out, labelled=course.labelled)


def _elsewhere(check: Sequence[Path], config: TrainConfig, course: Course) -> dict[str, Exam]:
    """What to measure on other data, by the folder's name; on what those keep for tuning, if they do."""
    found: dict[str, Exam] = {}
    for path in check:
        parts = (read_samples(path, part, labelled=course.labelled) for part in ("tune", "all"))
        exam = next((each for part in parts if (each := course.exam(part, config))), None)
        if exam is None:
            raise InputError("input.not_found", f"{path}: there is nothing to measure on in it.")
        found[path.resolve().name] = exam
    return found


def _measured(module: nn.Module, exams: Mapping[str, Exam], runtime: Runtime) -> dict[str, Scores]:
    return {name: exam.scores(module, runtime) for name, exam in exams.items()}


def _compared(before: Mapping[str, Scores] | None, after: Mapping[str, Scores]) -> dict[str, Any]:  # JSON
    """Scores before and after, on what was held out and elsewhere; words where nothing was measured."""
    rows = {
        name: {"before": (before or {}).get(name) or NOT_MEASURED, "after": scores}
        if scores
        else NOT_MEASURED
        for name, scores in after.items()
    }
    held_out = rows.pop("held_out")
    return {"held_out": held_out, "elsewhere": rows or NOT_MEASURED}


def _save(network: Network, config: TrainConfig, folder: Path, steps: int) -> Path:
    """The weights as float16, with where they come from."""
    names = ", ".join(Path(name).resolve().name for name in config.data) or "worlds"
    origin = f"segma train {config.name}, {steps} steps on {names}; segma {segma.__version__}"
    commit = _commit()
    origin += f", commit {commit[:12]}" if commit else ""
    if config.start:
        origin += f"; started from {Path(config.start).name}"
    network.module.half()
    try:
        return save(network.module, network.config, folder / WEIGHTS, origin=origin, licence=network.licence)
    finally:
        network.module.float()


def _facts(config: TrainConfig, runtime: Runtime, run: Run) -> dict[str, Any]:  # JSON
    """What was run, how long, and by what."""
    return {
        "recipe": config.name,
        "start": Path(config.start).name or "random weights",
        "blend": config.blend,
        "steps": run.done,
        "seconds": round(run.seconds, 1),
        "steps_left_out": run.left_out,
        "segma": segma.__version__,
        "commit": _commit(),
        "runtime": runtime.describe(),
        "machine": machine_facts(("torch", "numpy", "opencv-python-headless")),
        "config": saving.as_json(replace(config, data=tuple(Path(name).name for name in config.data))),
    }


def _commit() -> str | None:
    return commit_of(Path(segma.__file__).resolve().parents[2])


def _told(parts: Parts, run: Run) -> dict[str, Any]:  # JSON
    """How much there was to learn from, and what could not be used."""
    report = parts.train.report
    return {
        "pictures": len(parts.train.pictures),
        "clips": len(parts.train.clips),
        "held_out_pictures": len(parts.kept.pictures),
        "held_out_clips": len(parts.kept.clips),
        "skipped": dict(report.counts),
        "skipped_summary": report.summary() if report.skipped else "",
        "unreadable_met": run.unreadable,
    }
