"""`segma track` on a project: corrections, further objects, going on with a stopped run, exports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli import track_prompts
from segma.cli.compute import LazyModel
from segma.cli.console import Console, say
from segma.cli.exits import DONE
from segma.cli.stopping import Stop
from segma.cli.track_legs import Journey, Leg, read_left
from segma.cli.track_outputs import Target, targets
from segma.cli.track_report import done_line, fixed_line, look_line, object_lines, video_line
from segma.cli.track_video import Wanted, show, span_of, stopped, write_all
from segma.cli.track_view import view
from segma.errors import Cancelled, InputError, PromptError, StoreError

if TYPE_CHECKING:
    from segma.tasks.track_config import TrackConfig
    from segma.tracker import Tracker


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What is done to a project, all of it checked."""

    added: Sequence[track_prompts.Said]
    """Prompts of new objects."""
    fixed: Sequence[track_prompts.Said]
    """Prompts of objects that are there."""
    absences: Sequence[tuple[str, int, int]]
    removed: Sequence[str]
    span: tuple[int, int] | None
    targets: Sequence[Target]
    config: TrackConfig
    model: str
    lost: StoreError | None

    @property
    def is_new_run(self) -> bool:
        """Whether objects are tracked that are no mere corrections."""
        return bool(self.added) or self.span is not None


def go_on(folder: str, wanted: Wanted, stop: Stop) -> int:
    """Work on a project. Raises SegmaError."""
    from segma.api import track

    if wanted.project is not None:
        raise InputError("input.value", f"{folder} is a project already.", "To copy it, use -o other.segma.")
    ranging, console = wanted.ranging, wanted.console
    with view(folder) as seen:
        plan = _plan(folder, seen, wanted)
        has_runs = bool(plan.is_new_run or plan.fixed or ranging.resume or ranging.reverse or ranging.both)
        if not has_runs and not plan.absences and not plan.removed:
            return _export(seen, plan, stop, console)
    if plan.lost is not None and not ranging.resume:
        console.note(f"note: {plan.lost} [{plan.lost.code}]")
    model = LazyModel(replace(wanted.compute, model=plan.model), console).get() if has_runs else None
    if model is None:
        return _say_only(folder, plan, console, stop)
    with track(folder, model=model, config=plan.config) as tracker:
        journey = Journey(tracker, console, stop)
        try:
            return _work(journey, plan, wanted, stop)
        except (Cancelled, KeyboardInterrupt):
            return stopped(journey, Path(folder))
        except BaseException:
            if journey.frames:
                say(f"note: what is done is kept. Continue: segma track {folder} --resume")
            raise


def _plan(folder: str, seen: Tracker, wanted: Wanted) -> _Plan:
    from segma.prompts.parse import object_range

    saying, names = wanted.saying, seen.session.names
    objects = track_prompts.said(saying.object, saying.prompts)
    fixes = track_prompts.said(saying.fix)
    absences = [object_range(spec) for spec in saying.absent or ()]
    mentioned = [each.name for each in fixes] + [name for name, *_ in absences] + list(saying.remove or ())
    for name in mentioned:
        seen.session.track(name)  # complains where there is none
    span = span_of(wanted.ranging, seen.source)
    track_prompts.check([*objects, *fixes], seen.source, names)
    if wanted.ranging.resume and (objects or fixes or absences or saying.remove):
        raise InputError(
            "input.value", "--resume goes on with what was asked before.", "Say new things after it."
        )
    path = Path(folder)
    found = targets(wanted.outputs, wanted.format, path.with_suffix(""), overwrite=wanted.overwrite)
    for target in found:
        target.check(Path(seen.source.name).stem)
    settings = seen.project.settings
    name = wanted.compute.model
    return _Plan(
        added=[each for each in objects if each.name not in names],
        fixed=[*fixes, *(each for each in objects if each.name in names)],
        absences=absences,
        removed=list(saying.remove or ()),
        span=span,
        targets=found,
        config=wanted.manner.config(settings.get("track")),
        model=settings.get("model", name) if name == "default" else name,
        lost=_lost(folder, seen),
    )


def _lost(folder: str, seen: Tracker) -> StoreError | None:
    """What is to be said of a run that ended early, by a signal or with its process."""
    hint = f"Continue: segma track {folder} --resume"
    found = seen.session.keeper.unfinished()
    if found:
        reached = found[-1].reached
        where = "before its first frame" if reached is None else f"at frame {reached}"
        return StoreError("job.lost", f"Tracking stopped {where} (process ended).", hint)
    left = [leg for leg in read_left(seen.project.settings) if set(leg.objects) & set(seen.session.names)]
    if not left:
        return None
    where = "early" if left[0].first is None else f"before frame {left[0].first}"
    where = f"after frame {left[0].last}" if left[0].way == "reverse" and left[0].last is not None else where
    return StoreError("job.lost", f"Tracking stopped {where} (interrupted).", hint)


def _export(seen: Tracker, plan: _Plan, stop: Stop, console: Console) -> int:
    """Write outputs, or tell what a project holds. Raises StoreError `job.lost` of a run that ended early."""
    if plan.lost is not None and not plan.targets:
        raise plan.lost
    if plan.lost is not None:
        console.note(f"note: {plan.lost} [{plan.lost.code}]")
    if plan.targets:
        write_all(seen, plan.targets, plan.span, stop, console)
        return DONE
    _tell(seen, console)
    return DONE


def _tell(tracker: Tracker, console: Console) -> None:
    if console.json:
        for index in range(tracker.num_frames or 0):
            frame = tracker.frame(index)
            if frame.records:
                console.result("", frame.to_dict())
        return
    for line in (video_line(tracker), *object_lines(tracker), look_line(tracker)):
        if line:
            show(console, line)


def _say_only(folder: str, plan: _Plan, console: Console, stop: Stop) -> int:
    """Words of absence and removals: no network is needed for them."""
    with view(folder, write=True) as tracker:
        _apply(tracker, plan)
        write_all(tracker, plan.targets, plan.span, stop, console)
        _tell(tracker, console)
    return DONE


def _apply(tracker: Tracker, plan: _Plan) -> None:
    for name in plan.removed:
        tracker[name].remove()
    for name, first, last in plan.absences:
        tracker[name].absent(first, last)


def _work(journey: Journey, plan: _Plan, wanted: Wanted, stop: Stop) -> int:
    tracker, console, ranging = journey.tracker, wanted.console, wanted.ranging
    _apply(tracker, plan)
    if plan.fixed:
        journey.find_cuts()
        for each in plan.fixed:
            tracker.session.say(each.name, each.frame, each.prompt)
        start = time.monotonic()
        done = journey.fix()
        for each in plan.fixed:
            if done.get(each.name):
                done[each.name] = sorted({*done[each.name], each.frame})
        show(console, fixed_line(tracker, done, time.monotonic() - start))
    if ranging.resume and not journey.left and not tracker.session.keeper.unfinished():
        console.note(f"note: {tracker.project.name} is complete: there is nothing to go on with")
    elif ranging.resume or plan.is_new_run or ranging.reverse or ranging.both:
        _run(journey, plan, wanted)
    write_all(tracker, plan.targets, plan.span, stop, console)
    return DONE


def _run(journey: Journey, plan: _Plan, wanted: Wanted) -> None:
    """New objects, or all of them over the frames asked for; or what an earlier command left."""
    tracker, console = journey.tracker, wanted.console
    if not wanted.ranging.resume:
        for each in plan.added:
            tracker.session.say(each.name, each.frame, each.prompt)
        names = tuple(dict.fromkeys(each.name for each in plan.added)) or tracker.session.names
        if not names:
            raise PromptError("prompt.empty", f"{tracker.project.name} has no objects.", "Add --object.")
        first, last = plan.span or (None, None)
        journey.plan(Leg(objects=names, first=first, last=last, way=wanted.ranging.way))
    journey.find_cuts()
    show(console, video_line(tracker))
    start = time.monotonic()
    if wanted.ranging.resume:
        journey.resume()
    else:
        journey.run(1)
    for line in object_lines(tracker):
        show(console, line)
    show(console, done_line(tracker, journey.frames, time.monotonic() - start))
