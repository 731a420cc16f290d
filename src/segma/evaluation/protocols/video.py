"""Objects through clips from their first frame's mask, or from clicks on it: J and F (SAM 2 section 14).

Clicks are simulated on the frame as an image and then said to the tracker one by one. All objects of a
clip are tracked together, each from the first frame that shows it, and a pixel belongs to one of them at
most, as in DAVIS. `jf` leaves out the first and the last frame, `jf_all` the first one only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from segma.errors import InputError
from segma.evaluation.metrics.jf import FrameScore, frame_score, mean_j_and_f
from segma.evaluation.protocols.asking import Clicked, OnProgress, click_until
from segma.evaluation.report import Case, Column, Report, Row, parts_of
from segma.masks.mask import Mask
from segma.media.picture_source import PictureSource
from segma.media.shots import find_cuts
from segma.media.source import FrameSource, open_source
from segma.models.interfaces import WithMemory
from segma.prompts.types import FramePrompt, Points
from segma.results import TrackFrame
from segma.runtime import Runtime
from segma.samples import TrackSample, VideoSample
from segma.tasks.segment import ImageSession, usual_session
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_recent_keeper import RecentKeeper

COLUMNS = (
    Column(measure="j", heading="J"),
    Column(measure="f", heading="F"),
    Column(measure="jf", heading="J&F", interval=True),
    Column(measure="jf_all", heading="with last"),
    Column(measure="first_iou", heading="first frame"),
    Column(measure="false_absent", heading="lost"),
    Column(measure="false_present", heading="made up"),
)
MODES = ("mask", "click1", "click3", "click5")
"""Ways of prompting: the true mask, or so many clicks."""

TRACKING = TrackConfig(non_overlap=True, state_seconds=1e9)
"""As users track, but a pixel belongs to one object, and a run need not be resumed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoConfig:
    """`modes` are some of `MODES`; `tracking` is how objects are followed.

    `find_cuts`: shot cuts are looked for first, as in the tracker; data sets of cut clips are rare.
    """

    modes: tuple[str, ...] = ("mask", "click1", "click3")
    tracking: TrackConfig = TRACKING
    seed: int = 0
    find_cuts: bool = False

    def __post_init__(self) -> None:
        for mode in self.modes:
            if mode not in MODES:
                raise InputError("input.value", f'There is no mode "{mode}".', f"Modes: {', '.join(MODES)}.")
        if not self.modes:
            raise InputError("input.value", "No mode is named.", f"Modes: {', '.join(MODES)}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Start:
    """Where an object is first to be seen, and what is said of it there."""

    track: TrackSample
    frame: int
    truth: Mask
    clicked: Clicked | None

    @property
    def name(self) -> str:
        return str(self.track.object_id)


@dataclass(slots=True)
class _Followed:
    """What is found of one object, frame by frame."""

    scores: list[FrameScore] = field(default_factory=list[FrameScore])
    absent: list[bool] = field(default_factory=list[bool])
    """By frame that shows it: whether it was not found."""
    present: list[bool] = field(default_factory=list[bool])
    """By frame that does not: whether it was found all the same."""
    worst: tuple[FrameScore, Mask] | None = None


def run(
    network: WithMemory,
    samples: Sequence[VideoSample],
    config: VideoConfig | None = None,
    *,
    runtime: Runtime | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Every object of every clip in every mode. `on_progress(clips done in a mode, all of these)`.

    Raises MemoryLimitError; clips that cannot be used are in `skipped` of the report.
    """
    config, runtime = config or VideoConfig(), runtime or Runtime()
    rows: list[Row] = []
    skipped: list[str] = []
    seconds: list[float] = []
    total = len(samples) * len(config.modes)
    for number, sample in enumerate(samples):
        try:
            source = _source(sample)
            cuts = find_cuts(source) if config.find_cuts else ()
            for at, mode in enumerate(config.modes):
                clip = _Clip(network, sample, source, runtime, config.tracking, cuts)
                rows += clip.rows(mode)
                seconds.append(clip.seconds / max(1, sample.num_frames))
                if on_progress is not None:
                    on_progress(number * len(config.modes) + at + 1, total)
        except InputError as error:
            rows = [row for row in rows if row.group != sample.name]  # a clip counts in all modes or in none
            skipped.append(f"{sample.name}: {error.message}")
    settings = asdict(config) | {"modes": list(config.modes)}
    return Report(
        protocol="video",
        columns=COLUMNS,
        rows=tuple(rows),
        parts=parts_of(_by_mode(rows, config.modes), config.seed),
        settings=settings,
        skipped=tuple(skipped),
        seconds={"frame": statistics.median(seconds)} if seconds else {},
    )


def say_clicks(session: VideoSession, name: str, frame: int, points: Points) -> None:
    """Say clicks on a frame one after the other, so that each corrects the answer to those before."""
    for xy, label in zip(points.xy, points.labels, strict=True):
        session.say(name, frame, FramePrompt(points=Points([xy], [label])))


@dataclass(slots=True)
class _Clip:
    """One clip that is tracked, in one mode after the other."""

    network: WithMemory
    sample: VideoSample
    source: FrameSource
    runtime: Runtime
    tracking: TrackConfig
    cuts: tuple[int, ...]
    seconds: float = 0.0
    """Spent in the tracker by the last mode."""

    def rows(self, mode: str) -> list[Row]:
        """The measures of every object. Raises InputError for a frame that cannot be read."""
        starts = self._starts(0 if mode == "mask" else int(mode.removeprefix("click")))
        if not starts:
            return []
        keeper = RecentKeeper()
        session = VideoSession(
            self.network, self.source, self.tracking, self.runtime, keeper=keeper, cuts=self.cuts
        )
        begin = time.perf_counter()
        for start in starts:
            if start.clicked is None:
                session.say(start.name, start.frame, FramePrompt(mask=start.truth))
            else:
                clicks = start.clicked.clicks
                points = Points([(click.x, click.y) for click in clicks], [click.label for click in clicks])
                say_clicks(session, start.name, start.frame, points)
        self.seconds = time.perf_counter() - begin
        followed = {start.name: _Followed() for start in starts}
        frames = session.run()
        while (frame := self._timed(lambda: next(frames, None))) is not None:
            for start in starts:
                if frame.index > start.frame and frame.index in start.track.masklet.masks:
                    _score(followed[start.name], frame, start)
        return [self._row(start, followed[start.name], mode) for start in starts]

    def _timed(self, step: Callable[[], TrackFrame | None]) -> TrackFrame | None:
        begin = time.perf_counter()
        frame = step()
        self.seconds += time.perf_counter() - begin
        return frame

    def _starts(self, clicks: int) -> list[_Start]:
        """Objects with a frame that shows them; with clicks, those that a person would make there."""
        starts: list[_Start] = []
        images: dict[int, ImageSession] = {}
        for track in self.sample.objects:
            masks = track.masklet.masks
            frame = next((frame for frame in masks if masks[frame].area), None)
            if frame is None:
                continue
            clicked = None
            if clicks:
                if frame not in images:
                    pixels = self.source.read(frame).pixels
                    images[frame] = usual_session(self.network, pixels, self.runtime)
                clicked = click_until(images[frame], masks[frame].dense(), clicks)
            starts.append(_Start(track=track, frame=frame, truth=masks[frame], clicked=clicked))
        return starts

    def _row(self, start: _Start, found: _Followed, mode: str) -> Row:
        last = self.sample.num_frames - 1
        j, f = mean_j_and_f(found.scores, without=(last,))
        j_all, f_all = mean_j_and_f(found.scores)
        values = {"first_iou": start.clicked.curve[-1] if start.clicked else 1.0}
        if found.scores:
            values |= {"j": j, "f": f, "jf": (j + f) / 2, "jf_all": (j_all + f_all) / 2}
        for name, marks in (("false_absent", found.absent), ("false_present", found.present)):
            if marks:
                values[name] = sum(marks) / len(marks)
        return Row(
            key=f"{self.sample.name}_{start.name}",
            group=self.sample.name,
            source=self.sample.source,
            area=start.truth.area / (self.sample.size[0] * self.sample.size[1]),
            values=values,
            mode=mode,
            case=self._case(start, found),
        )

    def _case(self, start: _Start, found: _Followed) -> Case | None:
        """The frame of the lowest score."""
        if found.worst is None or not self.sample.pictures:
            return None
        score, answer = found.worst
        return Case(
            picture=self.sample.pictures[score.frame],
            truth=start.track.masklet.masks[score.frame],
            answer=answer,
            score=score.jf,
        )


def _score(found: _Followed, frame: TrackFrame, start: _Start) -> None:
    """Add what was found on a frame."""
    truth = start.track.masklet.masks[frame.index]
    record = frame.records.get(start.name)  # none of an object that was left behind at a cut
    answer = record.compact if record else Mask.from_dense(np.zeros(truth.size, bool))
    score = frame_score(frame.index, answer.dense(), truth.dense())
    found.scores.append(score)
    (found.absent if truth.area else found.present).append((answer.area > 0) != (truth.area > 0))
    if found.worst is None or score.jf < found.worst[0].jf:
        found.worst = (score, answer)


def _source(sample: VideoSample) -> FrameSource:
    """The frames of a clip. Raises InputError where the data set does not say where they are."""
    file = sample.attributes.get("video")  # of SA-V
    if isinstance(file, str) and not sample.pictures:
        source = open_source(file)
        if source.size != sample.size:
            found, said = f"{source.size[1]}x{source.size[0]}", f"{sample.size[1]}x{sample.size[0]}"
            raise InputError("input.unreadable", f"the video is {found}, its masks {said}.")
        return source
    if len(sample.pictures) != sample.num_frames:
        raise InputError(
            "input.unreadable", f"there are pictures of {len(sample.pictures)} of {sample.num_frames} frames."
        )
    return PictureSource(sample.pictures, sample.size, fps=sample.fps, name=sample.name)


def _by_mode(rows: Sequence[Row], modes: Sequence[str]) -> list[tuple[str, list[Row]]]:
    """The rows of each mode, then, where there are several sources, of each source in it."""
    groups = [(mode, [row for row in rows if row.mode == mode]) for mode in modes]
    sources = sorted({row.source for row in rows})
    if len(sources) > 1:
        groups += [
            (f"{mode} from {source or 'elsewhere'}", [row for row in chosen if row.source == source])
            for mode, chosen in groups
            for source in sources
        ]
    return [(name, chosen) for name, chosen in groups if chosen]
