"""The embedded model that is furthest from its targets, trained on for a while, and kept if it got better.

What lasts is small: the weights as float16 and their record (`training.records`). A try replaces both only
where the mean of images and video rises on what the data keep for tuning, and neither falls by more than a
point; a try that failed stays in the record's history.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from segma.checkpoints.load import load
from segma.checkpoints.origin import file_hashes
from segma.errors import FormatError, InputError, ModelError
from segma.evaluation.protocols.speed import text_table
from segma.media.files import make_folder, write_bytes
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.training import saving
from segma.training.catalog import recipe
from segma.training.config import TrainConfig
from segma.training.data import Samples, read_parts
from segma.training.hardware import samples_of, scaled
from segma.training.loop import Progress
from segma.training.packaged import hardware_of
from segma.training.records import (
    IMAGES,
    TARGETS,
    VIDEO,
    Kind,
    Record,
    Scores,
    Source,
    embedded,
    embedded_folder,
    read_record,
    record_path,
    weights_path,
    write_record,
)
from segma.training.settings import changed
from segma.training.start import start
from segma.training.validation import Exam, questions
from segma.worlds.truth import SOURCE

RECIPES: Mapping[Kind, str] = MappingProxyType({IMAGES: "sam2_conv_images", VIDEO: "sam2_conv_clips"})
"""What is trained where a kind is behind."""

MOST_LOST = 1.0
"""Points by which images or video may fall while the mean rises."""

HELD_OUT = 0.1
"""Share of the pictures that is kept for measuring, of data that do not say which to keep."""

MADE = "made"
_MADE_SHARE, _MADE_SEED = 0.2, 1000
_ONLY_MADE = "measured on made pictures only, which says little about photos"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """How a try ended. `record` is the new one; `replaced` says whether the weights are new too."""

    record: Record
    kind: Kind
    recipe: str
    before: Scores
    after: Scores
    replaced: bool
    why: str
    weights: Path
    """Those that were tried."""

    def table(self) -> str:
        """Scores before and after beside the targets, and what came of it."""
        rows: list[list[str]] = []
        for kind, scores in self.after.items():
            for name, value in scores.items():
                target = self.record.targets.get(kind, {}).get(name)
                was = self.before.get(kind, {}).get(name)
                cells = ["" if each is None else f"{each:.1f}" for each in (target, was, value)]
                rows.append([f"{kind} {name}", *cells])
        rows.append(["mean", "", f"{mean_of(self.before):.1f}", f"{mean_of(self.after):.1f}"])
        did = "replaced" if self.replaced else "kept as it was"
        return f"{text_table(['', 'target', 'before', 'after'], rows)}\n{self.record.name} {did}: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is trained next, on what, how."""

    record: Record
    kind: Kind
    config: TrainConfig
    train: Samples
    exam: Exam
    may_replace: bool

    def line(self, runtime: Runtime) -> str:
        """For people."""
        of = f"{len(self.train.pictures)} pictures, {len(self.train.clips)} clips"
        return (
            f"{self.record.name}: {self.kind} lack {self.record.distance:.0%} of their target; "
            f"{self.config.name} for {self.config.minutes:g} min in batches of {self.config.batch} "
            f"on {of} ({runtime.describe()})"
        )


def plan_next(
    data: Sequence[Path],
    minutes: float | int,
    runtime: Runtime,
    work: Path,
    *,
    folder: Path | None = None,
    cores: int = 1,
    objects: int = 600,
    settings: Sequence[str] = (),
) -> Plan:
    """The model furthest from its targets, and a run for what it lacks; nothing is changed.

    Without data, pictures are made for a fifth of the time, and the weights will not be replaced. `objects`
    of the pictures that are kept for tuning are asked about, and all clips. Raises ModelError where no model
    is embedded, InputError, FormatError.
    """
    folder = embedded_folder() if folder is None else folder
    records = embedded(folder)
    if not records:
        raise ModelError("model.unknown", "No trained model is embedded yet.", f"Wanted: {folder}/NAME.json.")
    record = records[0]
    kind = record.behind
    share = 1.0 if data else 1 - _MADE_SHARE
    config = scaled(
        recipe(RECIPES[kind]),
        runtime,
        cores=cores,
        minutes=minutes * share,
        start=str(weights_path(record, folder)),
    )
    if not data:
        data = [_made(record, work, minutes, runtime)]
    # `start` need not measure: that is done here, on pictures and clips
    config = replace(config, data=tuple(str(path) for path in data), validate_objects=0, validate_clips=0)
    config = changed(replace(config, held_out=HELD_OUT), settings)
    parts = read_parts(list(data), config.part, config.held_out)
    exam = Exam(tuple(questions(parts.kept.pictures, objects, config.seed)), parts.kept.clips)
    if not exam:
        raise InputError("input.not_found", "The data keep nothing for measuring.", "Add pictures.")
    made_only = {each.source for each in parts.train.pictures} == {SOURCE}
    return Plan(
        record=record, kind=kind, config=config, train=parts.train, exam=exam, may_replace=not made_only
    )


def _made(record: Record, work: Path, minutes: float | int, runtime: Runtime) -> Path:
    """A folder of made pictures, others for every try."""
    from segma.training.made import make_pictures

    seed = _MADE_SEED + len(record.history)
    make_pictures(work / MADE, seed, 60 * minutes * _MADE_SHARE, device=runtime.torch_device)
    return work / MADE


def continue_next(
    data: Sequence[Path],
    minutes: float | int,
    runtime: Runtime,
    work: Path,
    *,
    folder: Path | None = None,
    cores: int = 1,
    objects: int = 600,
    settings: Sequence[str] = (),
    on_plan: Callable[[Plan], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Tried:
    """Train what `plan_next` says in the folder `work`, and judge it. The same call goes on after a kill.

    Raises its errors, and those of `training.start.start`.
    """
    folder = embedded_folder() if folder is None else folder
    plan = plan_next(
        data, minutes, runtime, work, folder=folder, cores=cores, objects=objects, settings=settings
    )
    if on_plan is not None:
        on_plan(plan)
    config = plan.config
    outcome = start(config, work, runtime, on_progress, stop=stop)
    facts: dict[str, Any] = {
        "recipe": config.name,
        "parent": plan.record.sha256,
        "commit": outcome.report["commit"],
        "steps": outcome.report["steps"],
        "samples": samples_of(config, outcome.report["steps"]),
        "minutes": round(outcome.report["seconds"] / 60, 2),
        "hardware": hardware_of(runtime),
        "sources": _sources(plan.train, with_clips=config.video_share > 0),
    }  # JSON
    tried = judge(
        plan.record,
        outcome.weights,
        facts,
        plan.exam,
        runtime,
        folder=folder,
        data=data,
        may_replace=plan.may_replace,
    )
    (work / saving.NAME).unlink(missing_ok=True)  # else the next try would go on with this one
    return tried


def take_back(
    package_out: Path,
    name: str,
    data: Sequence[Path],
    runtime: Runtime,
    *,
    folder: Path | None = None,
    objects: int = 600,
) -> Tried:
    """Judge the weights that a package's round left in a folder, on what `data` keep for tuning.

    Raises ModelError, FormatError, InputError.
    """
    folder = embedded_folder() if folder is None else folder
    record = read_record(record_path(name, folder))
    path = package_out / f"{name}.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))  # JSON
        wanted = ("recipe", "parent", "commit", "steps", "samples", "minutes", "hardware", "sources")
        facts = {key: facts[key] for key in wanted}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FormatError("format.bad", f"{path}: no facts of a round ({error}).") from error
    kept = read_parts(list(data), "train", HELD_OUT).kept
    exam = Exam(tuple(questions(kept.pictures, objects)), kept.clips)
    if not exam:
        raise InputError("input.not_found", "The data keep nothing for measuring.", "Add pictures.")
    weights = package_out / f"{name}.safetensors"
    return judge(record, weights, facts, exam, runtime, folder=folder, data=data)


def judge(
    record: Record,
    weights: Path,
    facts: Mapping[str, Any],  # JSON
    exam: Exam,
    runtime: Runtime,
    *,
    folder: Path,
    data: Sequence[Path] = (),
    may_replace: bool = True,
) -> Tried:
    """Measure the embedded weights and new ones alike, replace them if these are better, and write it down.

    `facts` are those of a run (recipe, commit, steps, samples, minutes, hardware, sources); `data` are asked
    for the terms of the sources. Raises ModelError for weights of another kind, StoreError.
    """
    before = measure(weights_path(record, folder), exam, runtime)
    after = measure(weights, exam, runtime)
    is_better, why = verdict(before, after)
    if not may_replace:
        is_better, why = False, f"{_ONLY_MADE}; the new weights are {weights}"
    recorded = {key: value for key, value in facts.items() if key != "sources"}
    entry = {**recorded, "before": before, "after": after, "replaced": is_better, "why": why}
    record = replace(record, history=(*record.history, entry))
    if is_better:
        record = replace(
            record,
            sha256=file_hashes(weights, ["sha256"])["sha256"],
            start=f"{record.name} {record.sha256[:12]}",
            recipe=str(facts["recipe"]),
            commit=facts["commit"],
            samples=record.samples + int(facts["samples"]),
            minutes=round(record.minutes + float(facts["minutes"]), 2),
            hardware=str(facts["hardware"]),
            data=_joined(record.data, facts["sources"], stated_terms(data)),
            scores=after,
        )
        write_bytes(weights_path(record, folder), weights.read_bytes(), overwrite=True)
    write_record(record, make_folder(folder))
    kind: Kind = VIDEO if facts["recipe"] == RECIPES[VIDEO] else IMAGES
    return Tried(
        record=record,
        kind=kind,
        recipe=str(facts["recipe"]),
        before=before,
        after=after,
        replaced=is_better,
        why=why,
        weights=weights,
    )


def measure(weights: Path, exam: Exam, runtime: Runtime) -> Scores:
    """Scores by kind of a weights file, used as people use it. Raises ModelError."""
    module = load(weights, runtime).module
    if not isinstance(module, Sam2):
        raise ModelError("model.task", f"{weights.name} is no SAM 2.", "Only SAM 2 can be trained.")
    found = exam.scores(module, runtime)
    by_kind = {kind: {name: found[name] for name in TARGETS[kind] if name in found} for kind in RECIPES}
    return {kind: scores for kind, scores in by_kind.items() if scores}


def mean_of(scores: Scores) -> float:
    """The mean of the kinds' means; 0 where nothing was measured.

    >>> mean_of({"images": {"click1": 40, "box": 60}, "video": {"jf": 60}})
    55.0
    """
    means = [sum(part.values()) / len(part) for part in scores.values() if part]
    return sum(means) / len(means) if means else 0.0


def verdict(before: Scores, after: Scores) -> tuple[bool, str]:
    """Whether the new scores are better, and why or why not.

    >>> verdict({"images": {"box": 50}, "video": {"jf": 50}}, {"images": {"box": 54}, "video": {"jf": 48}})
    (False, 'video fell by 2.0 points')
    """
    if not before or {kind: set(part) for kind, part in before.items()} != {
        kind: set(part) for kind, part in after.items()
    }:
        return False, "not the same could be measured before and after"
    for kind in before:
        lost = mean_of({kind: before[kind]}) - mean_of({kind: after[kind]})
        if lost > MOST_LOST:
            return False, f"{kind} fell by {lost:.1f} points"
    gain = mean_of(after) - mean_of(before)
    return gain > 0, f"the mean {'rose' if gain > 0 else 'did not rise'} ({gain:+.2f} points)"


def stated_terms(folders: Iterable[Path]) -> dict[str, str]:
    """The terms of each source, where an `index.json` in a folder states them."""
    found: dict[str, str] = {}
    for folder in folders:
        path = folder / "index.json"
        try:
            rows: object = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for row in cast("list[object]", rows) if isinstance(rows, list) else []:
            entry = cast("dict[str, object]", row) if isinstance(row, dict) else {}
            if "source" in entry and entry.get("terms"):
                found[str(entry["source"])] = str(entry["terms"])
    return found


def _joined(known: Sequence[Source], names: Iterable[str], terms: Mapping[str, str]) -> tuple[Source, ...]:
    """The sources so far and the new ones, by name."""
    rows = {each.name: each for each in known}
    for name in names:
        rows.setdefault(name, Source(name=name, terms=terms.get(name, "not stated")))
    return tuple(rows[name] for name in sorted(rows))


def _sources(samples: Samples, *, with_clips: bool) -> list[str]:
    used = (*samples.pictures, *(samples.clips if with_clips else ()))
    return sorted({each.source or "unnamed" for each in used})
