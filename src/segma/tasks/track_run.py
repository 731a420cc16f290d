"""One propagation: frame by frame through the stretches of a plan, all objects of a frame together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from segma.errors import Cancelled
from segma.keeping import Run, RunState
from segma.masks.mask import mask_iou
from segma.media.source import Frame
from segma.models.interfaces import MemoryBank
from segma.results import TrackFrame, TrackRecord
from segma.runtime import memory_errors
from segma.tasks import track_memory, track_paths, track_steps
from segma.tasks.reidentify import is_searched, is_tried
from segma.tasks.second_look import Window
from segma.tasks.track_choice import Outcome, Row, candidates, decide
from segma.tasks.track_frame import (
    Sight,
    absence,
    as_records,
    bank_of,
    encoded,
    ensure_anchors,
    ensure_memories,
    placed,
    sight_of,
    steadied,
)
from segma.tasks.track_plan import Stretch, shot_at
from segma.tasks.track_state import EncodedFrame, FrameMemory, ObjectTrack, Path

if TYPE_CHECKING:
    from segma.tasks.track import VideoSession

OnProgress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Propagation:
    """A run under way. `alike` holds, by object, frames that say nothing new and are not written yet.

    `silent_until`: frames up to this one are computed again and not written (a run that is resumed).
    """

    session: VideoSession
    plan: Sequence[Stretch]
    run: Run
    reverse: bool
    may_stop: bool = False
    silent_until: int | None = None
    alike: dict[int, list[tuple[int, TrackRecord]]] = field(
        default_factory=dict[int, list[tuple[int, TrackRecord]]]
    )
    worse: dict[int, int] = field(default_factory=dict[int, int])
    """By object, frames on end of which an earlier prompt's run was surer."""
    stopped: set[int] = field(default_factory=set[int])
    fresh: dict[int, TrackRecord] = field(default_factory=dict[int, TrackRecord])
    """By object, what was written of the frame at hand."""
    candidates: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    """By object, frames of a new shot in which it was found, not written yet as such."""

    def frames(
        self, on_progress: OnProgress | None = None, cancel: threading.Event | None = None
    ) -> Iterator[TrackFrame]:
        """Every frame of the plan, as it is done. Raises Cancelled; the run is closed whatever happens."""
        session, state = self.session, "stopped"
        first = min(stretch.first for stretch in self.plan)
        ends = [stretch.last for stretch in self.plan if stretch.last is not None]
        last = max(ends) if len(ends) == len(self.plan) else None
        total = None if last is None else last - first + 1
        saved = time.monotonic()
        try:
            with session.lock, memory_errors(), torch.inference_mode():
                keys = dict.fromkeys(stretch.object_id for stretch in self.plan)
                ensure_anchors(session, [session.tracks[key] for key in keys])
                session.save_state(self.run, None)  # whatever happens, the prompts' memories are there
            for done, frame in enumerate(session.source.frames(first, last, reverse=self.reverse), 1):
                if cancel is not None and cancel.is_set():
                    raise Cancelled
                if self._is_over(frame.index) or self._is_stuck(frame.index):
                    break
                found = self.step(frame)
                if time.monotonic() - saved > session.config.state_seconds:
                    saved = time.monotonic()
                    self._write_candidates(*self.candidates)
                    session.save_state(self.run, frame.index)
                yield found
                if on_progress is not None:
                    on_progress(done, total)
            state = "done"
        finally:
            self.close("done" if state == "done" else "stopped")

    def step(self, frame: Frame) -> TrackFrame:
        """One frame of all objects that can be followed to it."""
        session = self.session
        session.current = frame
        with session.lock, memory_errors(), torch.inference_mode():
            active = self._active(frame.index)
            self.fresh.clear()
            self._advance(frame, active)
            names = tuple(track.name for track in active)
            return session.frame(frame.index, image=frame, tracked=names, known=self.fresh)

    def close(self, state: RunState) -> None:
        """Write what waits, and end the run."""
        for object_id in list(self.alike):
            self._flush(object_id)
        self._write_candidates(*self.candidates)
        self.session.keeper.end(self.run, state)
        self.session.save_state(self.run, None)

    def _is_over(self, frame: int) -> bool:
        """Whether every stretch lies behind or has stopped."""
        return all(
            stretch.object_id in self.stopped
            or (frame < stretch.first if self.reverse else stretch.last is not None and frame > stretch.last)
            for stretch in self.plan
        )

    def _is_stuck(self, frame: int) -> bool:
        """Whether nobody can be followed to this frame or any after it: the last prompted shot has ended."""
        session = self.session
        if session.config.cuts != "stop" or not session.cuts or self._active(frame):
            return False
        said = [
            other
            for stretch in self.plan
            if stretch.object_id in session.tracks
            for track in (session.tracks[stretch.object_id],)
            for other in (*track.prompts, *(edge for absence in track.absences for edge in absence))
        ]
        return not any(other <= frame if self.reverse else other >= frame for other in said)

    def _active(self, frame: int) -> list[ObjectTrack]:
        """The objects to work on."""
        wanted = {s.object_id for s in self.plan if s.holds(frame) and s.object_id not in self.stopped}
        tracks = [self.session.tracks[key] for key in sorted(wanted) if key in self.session.tracks]
        return [track for track in tracks if self._reaches(track, frame)]

    def _reaches(self, track: ObjectTrack, frame: int) -> bool:
        """Whether an object can be followed to a frame: from a prompt behind, in the same shot."""
        config, cuts = self.session.config, self.session.cuts
        if frame in track.anchors or track.is_absent(frame):
            return True
        if not track.anchors:
            return False
        if self._searched(track, frame):
            return is_tried(frame, track.anchors, cuts, reverse=self.reverse)
        first, last = (0, None) if config.cuts == "ignore" else shot_at(frame, cuts)
        near = [a for a in track.anchors if first <= a and (last is None or a <= last)]
        if not near:
            return config.cuts == "reidentify"  # found again in this shot
        if config.before_first_prompt or track.direction(frame) is not None:
            return True
        return frame < max(near) if self.reverse else frame > min(near)

    def _searched(self, track: ObjectTrack, frame: int) -> bool:
        session = self.session
        return is_searched(track, frame, session.cuts, session.config, reverse=self.reverse)

    def _advance(self, frame: Frame, active: Sequence[ObjectTrack]) -> None:
        """One frame of all active objects: prompted, said to be absent, or tracked."""
        session = self.session
        following: list[ObjectTrack] = []
        for track in active:
            if frame.index in track.anchors:
                track_paths.settle(track, frame.index, session.config, reverse=self.reverse)
                track.passed(frame.index, reverse=self.reverse)
                track.outdated.discard((frame.index, self.reverse))
                self._forget_far(track, frame.index)
            elif track.is_absent(frame.index):
                track_paths.wait(track, frame.index, session.config, reverse=self.reverse)
                self._put(track, frame.index, absence(session))
            else:
                following.append(track)
        if not following:
            return
        ensure_memories(session, following)
        rows = [row for track in following for row in self._rows(track, frame.index)]
        options, views = self._options(frame, rows, active)
        fixed = [t.anchors[frame.index].low_res_logits for t in active if frame.index in t.anchors]
        config, reverse = session.config, self.reverse
        outcomes = decide(rows, options, frame.index, reverse=reverse, config=config, fixed=fixed)
        self._keep(frame.index, views, [each for each in outcomes if each.enters or not each.searched])

    def _options(
        self, frame: Frame, rows: Sequence[Row], active: Sequence[ObjectTrack]
    ) -> tuple[list[list[FrameMemory]], dict[Window | None, EncodedFrame]]:
        """The masks that each row may take, and the frame, or the parts of it, that were looked at."""
        session, index = self.session, frame.index
        before = index + (1 if self.reverse else -1)
        if session.model.memory_spec.follows_masks:
            session.motions.see(index, frame.pixels)
        sights = [
            sight_of(session, row.path.recent.get(before) or row.track.anchors.get(before), index, before)
            for row in rows
        ]
        views: dict[Window | None, EncodedFrame] = {}
        options: dict[int, list[FrameMemory]] = {}
        step = session.runtime.prompts_at_once
        size, side = session.source.size, session.model.input_spec.mask_size
        for window in dict.fromkeys(sight.window for sight in sights):
            numbers = [number for number, sight in enumerate(sights) if sight.window == window]
            seen = views[window] = encoded(session, index, frame, window)
            for start in range(0, len(numbers), step):
                few = numbers[start : start + step]
                banks = [self._bank(rows[number], sights[number], index, active) for number in few]
                decoded, best = track_steps.tracked(session.model, seen, banks)
                found = candidates(session.model, decoded, best, session.config)
                for number, masks in zip(few, found, strict=True):
                    steady = [steadied(memory, sights[number], session.config) for memory in masks]
                    options[number] = [placed(memory, window, size, side) for memory in steady]
        return [options[number] for number in range(len(rows))], views

    def _bank(self, row: Row, sight: Sight, frame: int, active: Sequence[ObjectTrack]) -> MemoryBank:
        return bank_of(
            self.session,
            row.track,
            (row.track.anchors, row.path.recent),
            frame,
            reverse=self.reverse,
            others=active,
            previous=sight.previous,
        )

    def _rows(self, track: ObjectTrack, frame: int) -> list[Row]:
        """An object's paths; where it is looked for, one that knows conditioning memories only."""
        if self._searched(track, frame):
            return [Row(track, Path(), searched=True)]
        track_paths.begin(track, frame, self.session.config, reverse=self.reverse)
        return [Row(track, path) for path in track.paths]

    def _keep(
        self, frame: int, views: Mapping[Window | None, EncodedFrame], outcomes: Sequence[Outcome]
    ) -> None:
        """Remember what was decided, and write each object's record."""
        session = self.session
        step = session.runtime.prompts_at_once
        for window, seen in views.items():
            entering = [each.memory for each in outcomes if each.enters and each.memory.window == window]
            for start in range(0, len(entering), step):
                track_steps.remember(session.model, seen, entering[start : start + step], binarize=False)
        several: dict[int, list[Outcome]] = {}
        for each in outcomes:
            each.path.recent.pop(frame, None)
            if each.enters:
                each.path.recent[frame] = each.memory
            several.setdefault(each.track.object_id, []).append(each)
            track_steps.fill_holes(each.memory, session.config.fill_hole_area)
        tracks = [few[0].track for few in several.values()]
        best = [few[0].memory for few in several.values()]
        for track, few in zip(tracks, several.values(), strict=True):
            track.paths = [each.path for each in few]
            track.passed(frame, reverse=self.reverse)
            self._forget_far(track, frame)
            self._note_candidate(track, frame, found=few[0].searched)
        for track, record in zip(tracks, as_records(session, tracks, best, frame), strict=True):
            self._put(track, frame, record)

    def _note_candidate(self, track: ObjectTrack, frame: int, *, found: bool) -> None:
        """Note frames of a shot in which nobody has said that it is this object."""
        first, last = shot_at(frame, self.session.cuts)
        is_told = any(first <= a and (last is None or a <= last) for a in track.anchors)
        if self.session.config.cuts != "reidentify" or is_told:
            return
        start, end = self.candidates.get(track.object_id, (frame, frame))
        if start < first or not start - 1 <= frame <= end + 1 or (last is not None and end > last):
            self._write_candidates(track.object_id)
            start, end = frame, frame
        self.candidates[track.object_id] = (min(start, frame), max(end, frame))
        if found:
            self.session.keeper.set_presence(track.object_id, frame, frame, "candidate")

    def _write_candidates(self, *keys: int) -> None:
        for key in keys:
            first, last = self.candidates.pop(key)
            if key in self.session.tracks:
                self.session.keeper.set_presence(key, first, last, "candidate")

    def _forget_far(self, track: ObjectTrack, frame: int) -> None:
        session, config = self.session, self.session.config
        for path in track.paths:
            keep = track_memory.outliving(
                frame,
                reverse=self.reverse,
                recent={other: memory.is_reliable for other, memory in path.recent.items()},
                distractors=[other for other, memory in path.recent.items() if memory.has_distractor],
                spec=session.model.memory_spec,
                config=config,
            )
            path.forget_far(frame, config.window, keep)

    def _put(self, track: ObjectTrack, frame: int, record: TrackRecord) -> None:
        """Write a record, unless it says nothing new: then it waits for its like, and may stop."""
        if self.silent_until is not None:
            if (frame <= self.silent_until) != self.reverse or frame == self.silent_until:
                return
            self.silent_until = None
        session, key = self.session, track.object_id
        kept = session.keeper.get(key, frame) if self.may_stop or record.source == "person" else None
        if kept == record and record.source == "person":
            return
        if kept is not None and record.source == "model":
            self.worse[key] = self.worse.get(key, 0) + 1 if self._is_worse(key, frame, kept, record) else 0
            if self.worse[key] or mask_iou(kept.compact, record.compact) > session.config.same_iou:
                waiting = self.alike.setdefault(key, [])
                waiting.append((frame, record))
                is_enough = len(waiting) >= session.config.same_frames
                if is_enough or self.worse[key] >= session.config.worse_frames:
                    self.stopped.add(key)
                    del self.alike[key]
                return
            self._flush(key)
        session.keeper.put(self.run, key, frame, record)
        self.fresh[key] = record

    def _is_worse(self, key: int, frame: int, kept: TrackRecord, record: TrackRecord) -> bool:
        """Whether a run back to an earlier prompt is less sure of a frame than what was found from there."""
        is_lost = kept.is_present and not record.is_present
        if not self.reverse or not (is_lost or record.predicted_iou < kept.predicted_iou):
            return False
        first = next(s.first for s in self.plan if s.object_id == key and s.holds(frame))
        return first - 1 in self.session.tracks[key].anchors

    def _flush(self, key: int) -> None:
        for frame, record in self.alike.pop(key, []):
            self.session.keeper.put(self.run, key, frame, record)
