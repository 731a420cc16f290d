"""`segma stream`: objects through a camera, an address or a pipe, frame by frame, without end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segma.cli import track_prompts
from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console, say
from segma.cli.exits import DONE, INTERRUPTED
from segma.cli.output import Overwrite, Place, spaced
from segma.cli.stopping import Stop
from segma.cli.track_options import Manner, Objects, PromptFile
from segma.cli.track_report import size_text, time_text
from segma.errors import FormatError, InputError, PromptError

if TYPE_CHECKING:
    from segma.live_tracker import LiveTracker
    from segma.media.video_write import VideoWriter
    from segma.results import TrackFrame

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """Where frames come from, and how many."""

    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", min=1, help="Stop after so many frames.")
    ] = None
    reconnect: Annotated[
        float, typer.Option("--reconnect", metavar="SECONDS", min=0, help="Try a lost camera again so long.")
    ] = 0.0
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Read video from rtsp, http and https addresses.")
    ] = False


@app.command()
@command
def stream(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="cam:0, an rtsp or http address, - (a video on standard input), a pipe or a file.",
            show_default=False,
        ),
    ],
    flow: Flow,
    manner: Manner,
    compute: Compute,
    console: Console,
    object: Objects = None,
    prompts: PromptFile = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="The video with masks drawn over it, .mp4."),
    ] = None,
    overwrite: Overwrite = False,
) -> int:
    """Objects through a camera, address or pipe, frame by frame.

    Nothing is kept but -o; memory does not grow. Prompts of frame 0 start with the stream, others when their
    frame comes. Standard output gets a line whenever an object appears or goes, or with --json one a frame.
    After a cut objects are looked for again, unless --across-cuts. Ctrl-C ends it with a complete file.
    """
    told = track_prompts.said(object, prompts)
    if not told:
        raise PromptError("prompt.empty", "Nothing says what to follow.", "Add --object NAME@0:point=X,Y.")
    place = _place(output, overwrite)
    if "://" in source and not flow.allow_network:
        raise InputError("input.network", f"{source} is an address.", "Add --allow-network.")
    with Stop(say) as stop, ExitStack() as held:
        live = _open(source, flow, manner, LazyModel(compute, console))
        held.callback(live.close)
        track_prompts.check(told, live.session.source)
        writer = _writer(live, place)
        return _Watch(live, told, console, stop, writer).run(flow.frames)


def _place(output: str | None, overwrite: bool) -> Place | None:
    if output is None:
        return None
    if Path(output).suffix.lower() != ".mp4":
        raise FormatError("format.unknown", f"{output}: a stream is written as .mp4.", "Name it so.")
    place = Place(path=Path(output), kind="overlay", overwrite=overwrite)
    place.check()
    return place


def _open(source: str, flow: Flow, manner: Manner, models: LazyModel) -> LiveTracker:
    from segma.api import stream as open_stream
    from segma.media.source import open_source

    config = manner.config(None if manner.across_cuts else {"cuts": "reidentify"})
    given = sys.stdin.buffer if source == "-" else source
    frames = open_source(given, allow_network=flow.allow_network, reconnect_seconds=flow.reconnect)
    try:
        return open_stream(frames, model=models.get(), config=config)
    except BaseException:
        frames.close()
        raise


def _writer(live: LiveTracker, place: Place | None) -> VideoWriter | None:
    if place is None:
        return None
    from segma.media.video_write import Timing, VideoWriter

    source = live.session.source
    return VideoWriter(place.path, source.size, timing=Timing.of_rate(source.fps), overwrite=place.overwrite)


@dataclass(slots=True)
class _Watch:
    """A stream under way. `present` are the objects that were there on the last frame."""

    live: LiveTracker
    told: Sequence[track_prompts.Said]
    console: Console
    stop: Stop
    writer: VideoWriter | None
    frames: int = 0
    present: set[str] = field(default_factory=set[str])
    colours: dict[str, int] = field(default_factory=dict[str, int])
    """The place of each object in the palette."""
    error: Exception | None = None
    is_stopped: bool = False

    def run(self, most: int | None) -> int:
        """Take frames until the stream ends, somebody stops it, or there are `most`. Raises SegmaError.

        Whatever ends it, the file of what came before is whole.
        """
        start = time.monotonic()
        with ExitStack() as held, self.stop.gently():
            for frame in self._arriving():
                if self.writer is not None and not self.frames:
                    held.enter_context(self.writer)
                self._show(frame)
                if frame.index + 1 == most:
                    break
        seconds = time.monotonic() - start
        self._tell(seconds)
        if self.error is not None:
            raise self.error
        return INTERRUPTED if self.is_stopped else DONE

    def _arriving(self) -> Iterator[TrackFrame]:
        frames = iter(self.live)
        while True:
            try:
                with self.stop.waiting():
                    frame = next(frames, None)
                    frame = None if frame is None else self._prompted(frame)
            except KeyboardInterrupt:
                self.is_stopped = True
                return
            except Exception as error:  # told once the file is closed
                self.error = error
                return
            if frame is None:
                return
            yield frame

    def _prompted(self, frame: TrackFrame) -> TrackFrame:
        """The frame once all is said that is to be said on it."""
        due = [each for each in self.told if each.frame == frame.index]
        for each in due:
            self.live.session.say(each.name, each.frame, each.prompt)
        session = self.live.session
        return session.frame(frame.index, image=session.current) if due else frame

    def _show(self, frame: TrackFrame) -> None:
        if self.writer is not None:
            self._draw(frame, self.writer)
        self.frames += 1
        if self.console.json:
            self.console.result("", frame.to_dict())
            return
        now = {name for name, record in frame.records.items() if record.is_present}
        for name in sorted(now ^ self.present):
            what = "appears" if name in now else "is gone"
            self.console.result(f"{time_text(frame.time)}  frame {spaced(frame.index)}  {name} {what}", {})
        self.present = now

    def _draw(self, frame: TrackFrame, writer: VideoWriter) -> None:
        from segma.tasks.overlay import draw_objects

        assert frame.image is not None
        said = {each.name for each in self.told if each.frame == frame.index}
        writer.write(
            draw_objects(frame.image, frame.masks, self.colours, anchored=said), frame.time, frame.index
        )

    def _tell(self, seconds: float) -> None:
        from segma.evaluation.protocols.speed import peak_memory

        saved = f"saved {self.writer.path}   " if self.writer is not None and self.frames else ""
        most = peak_memory()
        memory = "" if most is None else f", peak memory {size_text(most)}"
        rate = f" ({self.frames / seconds:.1f} fps)" if seconds > 0 else ""
        how = "stopped after " if self.is_stopped else ""
        self.console.note(f"{saved}{how}{spaced(self.frames)} frames, {time_text(seconds)}{rate}{memory}")
