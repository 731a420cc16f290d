"""One propagation: frame by frame through the stretches of a plan, all objects of a frame together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from segma.errors import Cancelled
from segma.keeping import Run, RunState
from segma.masks.mask import mask_iou
from segma.media.source import Frame
from segma.results import TrackFrame, TrackRecord
from segma.runtime import memory_errors
from segma.tasks import track_steps
from segma.tasks.track_choice import Row, decide
from segma.tasks.track_frame import (
    absence,
    as_records,
    bank_of,
    encoded,
    ensure_anchors,
    ensure_memories,
)
from segma.tasks.track_plan import Stretch, shot_at
from segma.tasks.track_state import EncodedFrame, FrameMemory, ObjectTrack, Path

if TYPE_CHECKING:
    from segma.tasks.track import VideoSession

OnProgress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Propagation:
    """A run under way. `alike` holds, by object, frames that were as before and are not written yet.

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
    stopped: set[int] = field(default_factory=set[int])
    tracked_frames: dict[int, int] = field(default_factory=dict[int, int])

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
            for done, frame in enumerate(session.source.frames(first, last, reverse=self.reverse), 1):
                if cancel is not None and cancel.is_set():
                    raise Cancelled
                session.current = frame
                active = self._active(frame.index)
                if not active and self._is_over(frame.index):
                    break
                with session.lock, memory_errors(), torch.inference_mode():
                    self._advance(frame, active)
                    found = session.frame(frame.index, image=frame)
                if time.monotonic() - saved > session.config.state_seconds:
                    saved = time.monotonic()
                    session.save_state(self.run, frame.index)
                yield found
                if on_progress is not None:
                    on_progress(done, total)
            state = "done"
        finally:
            self._close("done" if state == "done" else "stopped")

    def _close(self, state: RunState) -> None:
        for object_id in list(self.alike):
            self._flush(object_id)
        self.session.keeper.end(self.run, state)
        self.session.save_state(self.run, None)

    def _is_over(self, frame: int) -> bool:
        """Whether every stretch lies behind or has stopped."""
        return all(
            stretch.object_id in self.stopped
            or (frame < stretch.first if self.reverse else stretch.last is not None and frame > stretch.last)
            for stretch in self.plan
        )

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
        first, last = shot_at(frame, cuts) if config.cuts == "stop" else (0, None)
        near = [a for a in track.anchors if first <= a and (last is None or a <= last)]
        if not near:
            return False
        if config.before_first_prompt or track.direction(frame) is not None:
            return True
        return frame < max(near) if self.reverse else frame > min(near)

    def _advance(self, frame: Frame, active: Sequence[ObjectTrack]) -> None:
        """One frame of all active objects: prompted, said to be absent, or tracked."""
        session = self.session
        following: list[ObjectTrack] = []
        for track in active:
            if frame.index in track.anchors:
                track.passed(frame.index, reverse=self.reverse)
                track.outdated.discard((frame.index, self.reverse))
                self._forget_far(track, frame.index)
            elif track.is_absent(frame.index):
                self._put(track, frame.index, absence(session))
            else:
                following.append(track)
        if not following:
            return
        seen = encoded(session, frame.index, frame)
        ensure_memories(session, following)
        step = session.runtime.prompts_at_once
        rows = [Row(track, path) for track in following for path in track.paths]
        outcome: list[tuple[Row, FrameMemory]] = []
        for start in range(0, len(rows), step):
            few = rows[start : start + step]
            banks = [bank_of(session, row.track, row.path, frame.index, reverse=self.reverse) for row in few]
            decoded, best = track_steps.tracked(session.model, seen, banks)
            outcome += decide(session.model, few, decoded, best, session.config)
        self._keep(seen, following, outcome)

    def _keep(
        self, seen: EncodedFrame, tracks: Sequence[ObjectTrack], outcome: Sequence[tuple[Row, FrameMemory]]
    ) -> None:
        """Remember what was decided, and write each object's record."""
        session = self.session
        step = session.runtime.prompts_at_once
        memories = [memory for _, memory in outcome]
        for start in range(0, len(memories), step):
            track_steps.remember(session.model, seen, memories[start : start + step], binarize=False)
        paths: dict[int, list[Path]] = {}
        for row, memory in outcome:
            row.path.recent[seen.index] = memory
            paths.setdefault(row.track.object_id, []).append(row.path)
        for memory in memories:
            track_steps.fill_holes(memory, session.config.fill_hole_area)
        best: list[FrameMemory] = []
        for track in tracks:
            track.paths = paths[track.object_id]
            track.passed(seen.index, reverse=self.reverse)
            self._forget_far(track, seen.index)
            best.append(track.recent[seen.index])
        for track, record in zip(tracks, as_records(session, tracks, best, seen), strict=True):
            self._put(track, seen.index, record)

    def _forget_far(self, track: ObjectTrack, frame: int) -> None:
        for path in track.paths:
            path.forget_far(frame, self.session.config.window)

    def _put(self, track: ObjectTrack, frame: int, record: TrackRecord) -> None:
        """Write a record, unless the object is as before: then it waits for its like, and may stop."""
        if self.silent_until is not None:
            if (frame <= self.silent_until) != self.reverse or frame == self.silent_until:
                return
            self.silent_until = None
        session, key = self.session, track.object_id
        kept = session.keeper.get(key, frame) if self.may_stop or record.source == "person" else None
        if kept == record and record.source == "person":
            return
        self.tracked_frames[key] = self.tracked_frames.get(key, 0) + 1
        if self.may_stop and record.source == "model":
            if kept is not None and mask_iou(kept.compact, record.compact) > session.config.same_iou:
                self.alike.setdefault(key, []).append((frame, record))
                if len(self.alike[key]) >= session.config.same_frames:
                    self.stopped.add(key)
                    del self.alike[key]
                return
            self._flush(key)
        session.keeper.put(self.run, key, frame, record)

    def _flush(self, key: int) -> None:
        for frame, record in self.alike.pop(key, []):
            self.session.keeper.put(self.run, key, frame, record)
