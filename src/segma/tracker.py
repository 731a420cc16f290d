"""A video that is being tracked, as a user holds it: a session, its project, and what comes out."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from jaxtyping import Bool
from numpy import ndarray

from segma.formats.catalog import writer
from segma.formats.loss import LossReport
from segma.masks.mask import Mask
from segma.media.provenance import Mark
from segma.media.shots import find_cuts, shots_of
from segma.media.source import FrameSource
from segma.prompts.types import Box, FramePrompt, Points
from segma.results import TrackFrame, TrackRecord
from segma.samples import VideoSample
from segma.store.assets import Asset
from segma.store.project import Project
from segma.tasks.cutout import write_cutout
from segma.tasks.overlay import write_overlay
from segma.tasks.suggest import Suggestion, TrackSummary, suggest, summary_of
from segma.tasks.track import VideoSession
from segma.tasks.track_run import OnProgress
from segma.tasks.track_sample import kept_masklet, kept_sample


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """One object of a video, by name."""

    name: str
    session: VideoSession = field(repr=False)

    def fix(
        self,
        frame: int,
        *,
        points: Sequence[Sequence[float | int]] | ndarray | None = None,
        labels: Sequence[int] | ndarray | None = None,
        box: Sequence[float | int] | ndarray | None = None,
        mask: Bool[ndarray, "height width"] | None = None,
        clear: bool = False,
    ) -> TrackRecord:
        """Correct the object on a frame, or prompt it there; `run_stale` then tracks again what that changed.

        `points` (n, 2) and `box` (4) are pixels of the video, x first; `labels` 1 (include) or 0. They add to
        what was said of the frame before, unless `clear`. A `mask` of the frame stands as it is. Raises
        PromptError, InputError.
        """
        return self.session.say(self.name, frame, frame_prompt(points, labels, box, mask), clear=clear)

    def absent(self, first: int, last: int | None = None) -> None:
        """Say that the object is not there on frames `first` to `last` (inclusive; None: that one alone)."""
        self.session.absent(self.name, first, first if last is None else last)

    def present(self, first: int, last: int | None = None) -> None:
        """Take words of absence back on these frames; track them again for masks."""
        self.session.present(self.name, first, first if last is None else last)

    def clear(self, frame: int) -> None:
        """Forget what was said of the object on a frame."""
        self.session.clear(self.name, frame)

    def remove(self) -> None:
        """Remove the object; the others stay as they are."""
        self.session.remove(self.name)

    def record(self, frame: int) -> TrackRecord | None:
        """Its mask and qualities on a frame, None where it was not tracked."""
        return self.session.record(self.name, frame)

    @property
    def masks(self) -> Mapping[int, Mask]:
        """Its masks by frame, read as they are asked for."""
        return kept_masklet(self.session, self.name).masks

    @property
    def summary(self) -> TrackSummary:
        """On how many frames it is there or not, and where it is worst."""
        return summary_of(self.session, self.name)


@dataclass(slots=True, repr=False)
class Tracker:
    """A video with objects in it. Use as a context, or call `close`.

    Masks are kept in the project's folder as they are made; a temporary project goes unless `save` keeps it.
    """

    session: VideoSession
    project: Project
    asset: Asset
    temporary: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)
    looked_for_cuts: bool = False

    def __repr__(self) -> str:
        height, width = self.size
        frames = "live" if self.num_frames is None else f"{self.num_frames} frames"
        names = ", ".join(self.session.names) or "no objects"
        return f"Tracker({self.source.name}, {width}x{height}, {frames}, {names})"

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the video and the project; a temporary project is deleted."""
        self.session.source.close()
        self.project.close()
        if self.temporary is not None:
            self.temporary.cleanup()

    # what it is

    @property
    def source(self) -> FrameSource:
        """The video."""
        return self.session.source

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.session.source.size

    @property
    def num_frames(self) -> int | None:
        """How many frames, None for a live source."""
        return self.session.source.num_frames

    @property
    def mark(self) -> Mark:
        """What a file made from this says of itself: the model is the one that the project was begun with."""
        model = str(self.project.settings.get("model") or "")
        return Mark(action="edited", model=Path(model).name)  # of a file its name, not where it lies

    @property
    def objects(self) -> tuple[TrackedObject, ...]:
        """The objects, in the order in which they were added."""
        return tuple(TrackedObject(name, self.session) for name in self.session.names)

    def __getitem__(self, name: str) -> TrackedObject:
        """An object by name. Raises PromptError `prompt.object`."""
        return TrackedObject(self.session.track(name).name, self.session)

    def cuts(
        self, *, on_progress: OnProgress | None = None, cancel: threading.Event | None = None
    ) -> tuple[int, ...]:
        """The first frames of new shots: looked for once, in a quick pass over the video, and kept."""
        known = self.project.shots(self.asset)
        if known:
            self.session.cuts = tuple(first for first, _ in known[1:])
        elif not self.looked_for_cuts and self.source.can_seek and self.num_frames:
            found = find_cuts(self.source, on_progress=on_progress, cancel=cancel)
            self.set_cuts(found, by_person=False)
        self.looked_for_cuts = True
        return self.session.cuts

    def set_cuts(self, cuts: Sequence[int], *, by_person: bool = True) -> None:
        """Say where shots begin."""
        self.session.cuts = tuple(sorted(set(cuts)))
        if self.num_frames:
            shots = shots_of(self.session.cuts, self.num_frames)
            self.project.set_shots(self.asset, shots, source="person" if by_person else "auto")

    # saying

    def add(
        self,
        name: str,
        *,
        frame: int = 0,
        points: Sequence[Sequence[float | int]] | ndarray | None = None,
        labels: Sequence[int] | ndarray | None = None,
        box: Sequence[float | int] | ndarray | None = None,
        mask: Bool[ndarray, "height width"] | None = None,
    ) -> TrackedObject:
        """A new object, or another prompt of one that is there; the arguments are those of `fix`."""
        self.session.say(name, frame, frame_prompt(points, labels, box, mask))
        return TrackedObject(name, self.session)

    # runs

    def run(
        self,
        first: int | None = None,
        last: int | None = None,
        *,
        reverse: bool = False,
        objects: Sequence[str] | None = None,
        on_progress: OnProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> Iterator[TrackFrame]:
        """Track, and give each frame as it is done; the arguments are those of `VideoSession.run`.

        The caller may stop between any two frames; what is done is kept.
        """
        self._find_cuts(cancel)
        yield from self.session.run(
            first, last, reverse=reverse, objects=objects, on_progress=on_progress, cancel=cancel
        )

    def run_stale(
        self, *, on_progress: OnProgress | None = None, cancel: threading.Event | None = None
    ) -> dict[str, list[int]]:
        """Track again what corrections have outdated, and nothing else: the frames done, by object."""
        self._find_cuts(cancel)
        done: dict[str, set[int]] = {name: set() for name in self.session.names}
        for frame in self.session.run_stale(on_progress=on_progress, cancel=cancel):
            for name in frame.tracked:
                done[name].add(frame.index)
        return {name: sorted(frames) for name, frames in done.items() if frames}

    def resume(
        self, *, on_progress: OnProgress | None = None, cancel: threading.Event | None = None
    ) -> Iterator[TrackFrame]:
        """Go on with what the end of a process has cut short."""
        self._find_cuts(cancel)
        yield from self.session.resume(on_progress=on_progress, cancel=cancel)

    def suggest(self, count: int = 5) -> list[Suggestion]:
        """Frames that are worth a person's look, best first."""
        return suggest(self.session, count)

    # results

    def frame(self, index: int, *, image: bool = False) -> TrackFrame:
        """All masks of a frame; with `image` the picture too, for `plot`."""
        return self.session.frame(index, image=self.source.read(index) if image else None)

    def sample(self) -> VideoSample:
        """The tracks as annotations, which is what formats write. Masks are read as they are asked for."""
        return kept_sample(self.session)

    def export(self, format: str, path: str | Path, *, overwrite: bool = False, **options: Any) -> LossReport:
        """Write annotations: "davis", "sav", "sav-png", "ytvos", "ytvis", "coco", "csv" or "png".

        Options are the format's own. Raises FormatError, InputError, StoreError.
        """
        write = cast("Callable[..., LossReport]", writer(format, "videos"))
        return write([self.sample()], Path(path), overwrite=overwrite, **options)

    def overlay(self, path: str | Path, **options: Any) -> Path:  # write_overlay's own options
        """Write the video with coloured masks; options are those of `tasks.overlay.write_overlay`."""
        anchors = {track.name: set(track.prompts) for track in self.session.tracks.values()}
        return write_overlay(
            self.source, self._masks_of, path, names=self.session.names, anchors=anchors, **options
        )

    def cutout(
        self,
        path: str | Path,
        *,
        objects: Sequence[str] | None = None,
        format: str = "prores4444",
        mark: bool = True,
        **options: Any,  # write_cutout's own options
    ) -> Path:
        """Write objects alone, with alpha or another background; see `tasks.cutout.write_cutout`.

        With `mark` the file says that it was edited, and by which model.
        """
        names = self.session.names if objects is None else tuple(self[name].name for name in objects)

        def united(index: int) -> Mask | None:
            masks = [mask for name, mask in self._masks_of(index).items() if name in names]
            return Mask.union(masks) if masks else None

        made = self.mark if mark else None
        return write_cutout(self.source, united, path, format=format, mark=made, **options)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Keep the project in a folder that ends in .segma. Raises InputError `input.exists`, StoreError."""
        from segma.store.copying import copy_project

        return copy_project(self.project, Path(folder), overwrite=overwrite)

    def _masks_of(self, index: int) -> dict[str, Mask]:
        return self.session.frame(index).masks

    def _find_cuts(self, cancel: threading.Event | None) -> None:
        if self.session.config.cuts != "ignore" and not self.looked_for_cuts:
            self.cuts(cancel=cancel)


def frame_prompt(
    points: Sequence[Sequence[float | int]] | ndarray | None,
    labels: Sequence[int] | ndarray | None,
    box: Sequence[float | int] | ndarray | None,
    mask: Bool[ndarray, "height width"] | None,
) -> FramePrompt:
    """A prompt of plain arguments. Raises PromptError."""
    return FramePrompt(
        points=None if points is None else Points(points, labels),
        box=None if box is None else Box.of(box),
        mask=None if mask is None else Mask.from_dense(mask),
    )
