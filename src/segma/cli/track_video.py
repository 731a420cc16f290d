"""`segma track` on a video that nobody tracked yet: checks, a new project, the run, and what comes out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli import track_prompts
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console, say
from segma.cli.exits import DONE, INTERRUPTED
from segma.cli.stopping import Stop
from segma.cli.track_legs import Journey, Leg
from segma.cli.track_options import Manner, Range, Saying
from segma.cli.track_outputs import PROJECT, Target, targets
from segma.cli.track_report import done_line, object_lines, video_line
from segma.errors import Cancelled, InputError, PromptError, SegmaError

if TYPE_CHECKING:
    from segma.media.source import FrameSource
    from segma.tracker import Tracker


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the command line asked for."""

    saying: Saying
    ranging: Range
    manner: Manner
    compute: Compute
    console: Console
    outputs: tuple[str, ...]
    format: str | None
    project: Path | None
    overwrite: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """A new track, all of it checked: no file was written, no model loaded."""

    source: FrameSource
    said: Sequence[track_prompts.Said]
    absences: Sequence[tuple[str, int, int]]
    span: tuple[int, int] | None
    targets: Sequence[Target]
    folder: Path | None
    """Where the project is kept; None: nowhere, once all is written."""
    rescue: Path
    """Where it goes if the run ends early and it would be kept nowhere."""


def begin(source: str, wanted: Wanted, stop: Stop) -> int:
    """Track a video. Raises SegmaError."""
    from segma.api import track

    plan = _plan(source, wanted)
    console = wanted.console
    try:
        config = wanted.manner.config()
        model = LazyModel(wanted.compute, console).get()
        tracker = track(
            plan.source, model=model, project=plan.folder, config=config, overwrite=wanted.overwrite
        )
        with tracker:
            journey = Journey(tracker, console, stop)
            try:
                return _track(journey, plan, wanted, stop)
            except (Cancelled, KeyboardInterrupt):
                return stopped(journey, kept(tracker, plan.folder, plan.rescue))
            except BaseException:
                _tell_rest(journey, plan)
                raise
    finally:
        plan.source.close()


def open_video(source: str) -> FrameSource:
    """A source whose frames can be asked for in any order. Raises InputError."""
    from segma.media.source import open_source

    if source == "-" or "://" in source or source.startswith(("cam:", "/dev/video")):
        raise InputError(
            "input.value",
            f"{source} gives each frame once, and cannot be wound back.",
            'Use "segma stream", or write it to a file first.',
        )
    opened = open_source(source)
    if not opened.can_seek:
        opened.close()
        raise InputError("input.value", f"{source} cannot be wound back.", 'Use "segma stream".')
    try:
        if not opened.num_frames:
            raise InputError("input.no_video", f"{opened.name} has no frames. Nothing to segment.")
    except BaseException:
        opened.close()
        raise
    return opened


def span_of(ranging: Range, source: FrameSource) -> tuple[int, int] | None:
    """The frames that --frames names. Raises InputError `input.frame_range`."""
    from segma.media.source import check_range

    frames = ranging.check()
    for frame in frames or ():
        check_range(source.name, frame, source.num_frames or 0)
    return frames


def beside(source: str) -> Path:
    """The path of a source without its suffix; of a glob, its folder's."""
    from glob import has_magic

    path = Path(source)
    if has_magic(source) and not path.exists():
        return path.parent.resolve()
    if path.is_dir() and path.suffix != ".segma":
        return path if path.name else path.resolve()
    return path.with_suffix("")


def write_all(
    tracker: Tracker,
    found: Sequence[Target],
    frames: tuple[int, int] | None,
    stop: Stop,
    console: Console,
) -> None:
    """Write all outputs, and note each. Raises SegmaError."""
    for target in found:
        lost = target.write(tracker, frames, stop, quiet=console.quiet)
        console.note(f"saved {target.path}" + (f"   {lost}" if lost else ""))


def stopped(journey: Journey, place: Path | None) -> int:
    """Say how far a run came that was interrupted, and how to go on."""
    reached = journey.reached
    where = "before its first frame" if reached is None else f"at frame {reached}"
    text = f"interrupted: Tracking stopped {where}"
    if place is None:
        say(f"{text}; nothing is kept, as no project was named. [cancelled]")
    elif journey.left or reached is None:
        say(f"{text}; what is done is kept. Continue: segma track {place} --resume [cancelled]")
    else:
        say(f"interrupted: All is tracked and kept in {place}; what was to be written is not. [cancelled]")
    return INTERRUPTED


def _plan(source: str, wanted: Wanted) -> _Plan:
    from segma.prompts.parse import object_range

    saying = wanted.saying
    for name, value in (
        ("--fix", saying.fix),
        ("--remove", saying.remove),
        ("--resume", wanted.ranging.resume),
    ):
        if value:
            raise InputError(
                "input.value", f"{name} works on a project, and {source} is none.", "Name a folder x.segma."
            )
    told = track_prompts.said(saying.object, saying.prompts)
    if not told:
        raise PromptError(
            "prompt.empty", "Nothing says what to follow.", "Add --object NAME@FRAME:point=X,Y or --prompts."
        )
    absences = [object_range(spec) for spec in saying.absent or ()]
    strangers = [name for name, *_ in absences if name not in {each.name for each in told}]
    if strangers:
        raise PromptError("prompt.object", f'There is no object "{strangers[0]}" to be absent.')
    found, folder = _places(source, wanted)
    opened = open_video(source)
    try:
        track_prompts.check(told, opened)
        span = span_of(wanted.ranging, opened)
        for target in found:
            target.check(Path(opened.name).stem)
    except BaseException:
        opened.close()
        raise
    home = found[0].path.absolute().parent if found else Path.cwd()
    return _Plan(
        source=opened,
        said=told,
        absences=absences,
        span=span,
        targets=found,
        folder=folder,
        rescue=home / f"{beside(source).name}.segma",
    )


def _places(source: str, wanted: Wanted) -> tuple[list[Target], Path | None]:
    """The outputs but the project, and the project's folder. Raises InputError, FormatError."""
    stem = beside(source)
    found = targets(wanted.outputs, wanted.format, stem, overwrite=wanted.overwrite)
    projects = [target.path for target in found if target.kind == PROJECT]
    projects += [wanted.project] if wanted.project is not None else []
    if len(projects) > 1:
        raise InputError("input.value", f"{projects[0]} and {projects[1]}: one project is kept.", "Name one.")
    if not found and not projects and not wanted.console.json:
        projects = [stem.with_name(f"{stem.name}.segma")]
    folder = projects[0] if projects else None
    if folder is not None and folder.suffix != ".segma":
        raise InputError("input.value", f"{folder}: the name of a project ends in .segma.")
    if folder is not None and folder.exists() and not wanted.overwrite:
        raise InputError(
            "input.exists",
            f"{folder.name} exists in {folder.parent.resolve()}.",
            f"Go on with it (segma track {folder} --resume, --object or --fix), or use --overwrite.",
        )
    return [target for target in found if target.kind != PROJECT], folder


def _track(journey: Journey, plan: _Plan, wanted: Wanted, stop: Stop) -> int:
    tracker, console = journey.tracker, wanted.console
    for each in plan.said:
        tracker.session.say(each.name, each.frame, each.prompt)
    for name, first, last in plan.absences:
        tracker[name].absent(first, last)
    first, last = plan.span or (None, None)
    journey.plan(Leg(objects=tracker.session.names, first=first, last=last, way=wanted.ranging.way))
    journey.find_cuts()
    show(console, video_line(tracker))
    start = time.monotonic()
    journey.run(1)
    for line in object_lines(tracker):
        show(console, line)
    show(console, done_line(tracker, journey.frames, time.monotonic() - start))
    write_all(tracker, plan.targets, plan.span, stop, console)
    if plan.folder is not None:
        console.note(f"saved {plan.folder}")
    return DONE


def show(console: Console, line: str) -> None:
    """A line of the report; with --json, standard output is for frames alone."""
    if not console.json:
        console.result(line, {})


def kept(tracker: Tracker, folder: Path | None, rescue: Path) -> Path | None:
    """Where the project is kept; a temporary one is saved to `rescue` if there is anything in it."""
    if folder is not None:
        return folder
    if not any(each.summary.present + each.summary.absent for each in tracker.objects) or rescue.exists():
        return None
    return tracker.save(rescue)


def _tell_rest(journey: Journey, plan: _Plan) -> None:
    """After an error: keep what is done and say where, or leave nothing where nothing is done."""
    if not journey.frames:
        if plan.folder is not None:
            journey.tracker.close()
            shutil.rmtree(plan.folder, ignore_errors=True)
        return
    with suppress(SegmaError):
        place = kept(journey.tracker, plan.folder, plan.rescue)
        if place is not None and journey.left:
            say(f"note: what is done is kept. Continue: segma track {place} --resume")
        elif place is not None:
            say(f"note: the tracks are kept in {place}")
