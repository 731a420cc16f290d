"""`segma cutout` on a video or a project: objects alone through its frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli import track_prompts
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console, say
from segma.cli.exits import DONE
from segma.cli.inputs import is_video_file
from segma.cli.output import Place, is_folder, spaced
from segma.cli.progress import Bar
from segma.cli.prompting import Prompting
from segma.cli.stopping import Stop
from segma.cli.track_legs import Journey, Leg
from segma.cli.track_options import Range
from segma.cli.track_video import beside, kept, open_video, span_of, stopped
from segma.cli.track_view import is_project, view
from segma.errors import Cancelled, FormatError, InputError, PromptError

if TYPE_CHECKING:
    from segma.cli.cutout import Edge, OfVideo
    from segma.media.credentials import Signing
    from segma.tracker import Tracker


@dataclass(frozen=True, slots=True)
class VideoCut:
    """What the command line asked for."""

    of_video: OfVideo
    prompting: Prompting
    edge: Edge
    compute: Compute
    console: Console
    output: str | None
    format: str | None
    overwrite: bool
    no_mark: bool
    signing: Signing | None

    @property
    def objects(self) -> Sequence[str]:
        """Names of objects, or prompts of them."""
        return self.of_video.object or ()

    @property
    def background(self) -> str:
        """What lies behind: --background, or a --format that says so (blur:12, image:bg.png)."""
        return self.format if self.format is not None and ":" in self.format else self.edge.background


def is_video(sources: Sequence[str], asked: OfVideo) -> bool:
    """Whether sources are to be taken as a video: by what they are, or by options that only a video has."""
    if asked.object or asked.frames:
        return True
    return any(is_video_file(each) or is_project(each) for each in sources)


def cut_video(sources: Sequence[str], cut: VideoCut) -> int:
    """Write objects of one video alone. Raises SegmaError."""
    from segma.tasks.cutout import background_of

    if len(sources) != 1:
        raise InputError("input.value", f"{len(sources)} sources, and one video was expected.", "Name one.")
    source = sources[0]
    background_of(cut.background)
    path, kind = output_of(cut, beside(source))
    with Stop(say) as stop:
        if is_project(source):
            return _of_project(source, path, kind, cut, stop)
        return _of_video(source, path, kind, cut, stop)


def output_of(cut: VideoCut, stem: Path) -> tuple[Path, str]:
    """Where it goes, and as which kind of video. Raises FormatError, InputError."""
    from segma.media.video_kinds import KINDS, kind_of

    name = None if cut.format is not None and ":" in cut.format else cut.format
    usual = "prores4444" if cut.background == "none" else "h264"
    if cut.output is None or is_folder(cut.output):
        kind = kind_of(name or (usual if cut.output is None else "png"))
        if cut.output is not None and not kind.suffix:
            return Path(cut.output), kind.name
        file_name = f"{stem.name}.cutout{kind.suffix}"
        path = stem.with_name(file_name) if cut.output is None else Path(cut.output) / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path, kind.name
    path = Path(cut.output)
    found = [kind.name for kind in KINDS if kind.suffix and kind.suffix == path.suffix.lower()]
    if name is None and not found:
        known = ", ".join(sorted({kind.suffix for kind in KINDS if kind.suffix}))
        raise FormatError(
            "format.unknown", f"{path}: the name does not say what to write.", f"Use {known}, or a folder."
        )
    if name is not None and kind_of(name).suffix != path.suffix.lower():
        raise InputError("input.value", f"-o {path} and --format {name} contradict each other.")
    return path, name or found[0]


def _of_project(folder: str, path: Path, kind: str, cut: VideoCut, stop: Stop) -> int:
    given = cut.prompting
    pointed = [each for each in cut.objects if re.search(r"@\d+:", each)]
    if pointed or any(part is not None for part in (given.point, given.box, given.mask, given.prompts)):
        raise PromptError(
            "prompt.object",
            f"{folder} is tracked already.",
            f"Name its objects with --object; add others with segma track {folder} --object ...",
        )
    with view(folder) as seen:
        try:
            return _write(seen, folder, path, kind, cut, stop)
        except (Cancelled, KeyboardInterrupt):
            raise Cancelled("Interrupted: nothing was written.") from None


def _of_video(source: str, path: Path, kind: str, cut: VideoCut, stop: Stop) -> int:
    """Track first, in a project that is kept only if this is interrupted."""
    from segma.api import track

    told = _said(cut)
    opened = open_video(source)
    try:
        track_prompts.check(told, opened)
        span = span_of(Range(frames=cut.of_video.frames), opened)
        _check(path, kind, cut)
        model = LazyModel(cut.compute, cut.console).get()
        with track(opened, model=model) as tracker:
            for each in told:
                tracker.session.say(each.name, each.frame, each.prompt)
            journey = Journey(tracker, cut.console, stop, is_told=False)
            try:
                frames = [each.frame for each in told]
                hull = (min(*frames, span[0]), max(*frames, span[1])) if span else (None, None)
                journey.plan(Leg(objects=tracker.session.names, first=hull[0], last=hull[1], way="both"))
                journey.find_cuts()
                journey.run(1)
                return _write(tracker, source, path, kind, cut, stop, everything=True)
            except (Cancelled, KeyboardInterrupt):
                return stopped(journey, kept(tracker, None, path.with_name(f"{beside(source).name}.segma")))
    finally:
        opened.close()


def _said(cut: VideoCut) -> list[track_prompts.Said]:
    """The prompts: of --object and --prompts, or of --point, --box and --mask on frame 0."""
    given = cut.prompting
    if given.text is not None:
        hint = "Sentences come with the find model; point at the object."
        raise PromptError("prompt.unsupported", f'"{given.text}" is a sentence.', hint)
    if given.normalized:
        raise InputError("input.value", "--normalized is for pictures.", "Of a video, give pixels.")
    nameless = [each for each in cut.objects if not re.search(r"@\d+:", each)]
    if nameless:
        raise PromptError(
            "prompt.object",
            f'There is no object "{nameless[0]}": the video is not tracked yet.',
            f"Say where it is: --object {nameless[0]}@0:point=X,Y, or name a project.",
        )
    parts = [f"point={each}" for each in given.point or ()]
    parts += [] if given.box is None else [f"box={given.box}"]
    parts += [] if given.mask is None else [f"mask={given.mask}"]
    specs = [*cut.objects, *([f"object@0:{';'.join(parts)}"] if parts else [])]
    told = track_prompts.said(specs, given.prompts)
    if not told:
        raise PromptError(
            "prompt.empty", "Nothing says what to cut out.", "Add --object NAME@FRAME:point=X,Y or --point."
        )
    return told


def _check(path: Path, kind: str, cut: VideoCut) -> None:
    """Raises what would keep the output from being written, before any work is done."""
    if kind != "png":
        Place(path=path, kind=kind, overwrite=cut.overwrite).check()
    elif not cut.overwrite and path.is_dir() and any(path.iterdir()):
        raise InputError("input.exists", f"{path} exists and is not empty.", "Use --overwrite to replace it.")


def _write(
    tracker: Tracker,
    source: str,
    path: Path,
    kind: str,
    cut: VideoCut,
    stop: Stop,
    *,
    everything: bool = False,
) -> int:
    """Write the file and tell of it."""
    from segma.media.credentials import sign

    names = tracker.session.names if everything or not cut.objects else tuple(dict.fromkeys(cut.objects))
    objects = [tracker[name] for name in names]  # complains where there is none
    if not objects:
        raise PromptError("prompt.empty", f"{source} has no objects.", "Add some with segma track.")
    span = span_of(Range(frames=cut.of_video.frames), tracker.source) or (0, (tracker.num_frames or 1) - 1)
    _check(path, kind, cut)
    with Bar("cutting out", quiet=cut.console.quiet, memory=True) as bar, stop.gently() as event:
        tracker.cutout(
            path,
            objects=names,
            format=kind,
            background=cut.background,
            feather=cut.edge.feather,
            grow=cut.edge.grow,
            first=span[0],
            last=span[1],
            overwrite=cut.overwrite,
            mark=not cut.no_mark,
            on_progress=bar.update,
            cancel=event,
        )
    sign(path, tracker.mark, cut.signing)
    count = span[1] - span[0] + 1
    present = sum(
        any((record := each.record(index)) is not None and record.is_present for each in objects)
        for index in range(span[0], span[1] + 1)
    )
    data = {"source": source, "output": str(path), "format": kind, "objects": list(names)}
    data |= {"first": span[0], "last": span[1], "frames": count, "present": present}
    text = f"{tracker.source.name}  cut out {', '.join(names)}  {spaced(present)} of {spaced(count)} frames"
    cut.console.result(text, data)
    cut.console.note(f"saved {path}   ({kind})")
    return DONE
