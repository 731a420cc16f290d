"""Objects through a video: prompt on any frame, run in any direction, correct, run again what changed.

The log of actions is the truth. Masks go to a keeper as they are made; memories stay in a window around the
current frame, so the length of a video does not matter. Invariants: objects not named in an action keep
their masks bit for bit; a run's generator may be stopped between any two frames and nothing is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from segma.errors import InputError, PromptError
from segma.keeping import KeptObject, Presence, Reason, Run, TrackKeeper
from segma.media.source import Frame, FrameSource
from segma.models.interfaces import WithMemory
from segma.prompts.types import FramePrompt
from segma.results import TrackFrame, TrackRecord
from segma.runtime import Runtime, memory_errors
from segma.tasks import track_checkpoint
from segma.tasks.segment import ImageSession
from segma.tasks.track_checkpoint import Saved
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_follow import Motions
from segma.tasks.track_frame import absence, answer, as_records, ensure_memories, previous_logits
from segma.tasks.track_memory_keeper import MemoryKeeper
from segma.tasks.track_plan import Stretch, stale_stretches
from segma.tasks.track_run import OnProgress, Propagation
from segma.tasks.track_state import FeatureCache, FrameMemory, ObjectTrack, joined

_STATE = "memories"


@dataclass(slots=True, repr=False)
class VideoSession:
    """A video with objects in it.

    `cuts` are the first frames of new shots. `keeper` keeps masks, prompts and runs. `identity` names the
    weights, so that memories of others are not taken for theirs. `lock` is held for one frame at a time, so
    that prompts are answered while a run goes on. `source` gives frames in order, and any frame again if it
    can seek.
    """

    model: WithMemory
    source: FrameSource
    config: TrackConfig = field(default_factory=TrackConfig)
    runtime: Runtime = field(default_factory=Runtime)
    keeper: TrackKeeper = field(default_factory=MemoryKeeper)
    cuts: tuple[int, ...] = ()
    identity: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    tracks: dict[int, ObjectTrack] = field(init=False, default_factory=dict[int, ObjectTrack])
    features: FeatureCache = field(init=False, repr=False)
    motions: Motions = field(init=False, repr=False, default_factory=Motions)
    still: tuple[int, ImageSession] | None = field(init=False, repr=False, default=None)
    """The frame that was clicked on last, of weights that answer clicks as on a still."""
    current: Frame | None = field(init=False, default=None, repr=False)
    """The frame that a run gave last: the only one of a live source that can be prompted."""

    def __repr__(self) -> str:
        names = ", ".join(self.names) or "no objects"
        return f"VideoSession({self.source.name}, {names})"

    def __post_init__(self) -> None:
        self.features = FeatureCache(self.config.cached_frames)
        self.reload()

    def reload(self) -> Saved | None:
        """Take objects and prompts from the keeper anew (after an undo, or when a project is opened)."""
        self.tracks = {kept.object_id: _restored(kept) for kept in self.keeper.objects()}
        data = self.keeper.load_state(_STATE) if self.tracks else None
        return None if data is None else track_checkpoint.load(data, self.identity, self.tracks)

    # objects

    @property
    def names(self) -> tuple[str, ...]:
        """The objects' names, in the order of their ids."""
        return tuple(self.tracks[key].name for key in sorted(self.tracks))

    def track(self, name: str) -> ObjectTrack:
        """An object by name. Raises PromptError `prompt.object`."""
        for each in self.tracks.values():
            if each.name == name:
                return each
        known = ", ".join(self.names) or "none yet"
        raise PromptError("prompt.object", f'There is no object "{name}".', f"Objects: {known}.")

    def say(self, name: str, frame: int, prompt: FramePrompt, *, clear: bool = False) -> TrackRecord:
        """Prompt an object, which is new if nobody has this name, and get the record of the frame.

        Points of a frame add to earlier ones unless `clear`; a mask replaces them. On a frame that has a mask
        they correct it. Raises PromptError, InputError.
        """
        with self.lock, memory_errors(), torch.inference_mode():
            prompt.check_inside(self.source.size)
            known = next((each for each in self.tracks.values() if each.name == name), None)
            track = known or ObjectTrack(0, name)
            earlier = () if clear or prompt.mask is not None else track.prompts.get(frame, ())
            prompts = (*earlier, prompt)
            if not any(each.says_where for each in prompts) and previous_logits(self, track, frame) is None:
                raise PromptError(
                    "prompt.empty",
                    f'Object "{name}" has only exclude points on frame {frame}.',
                    "Add one include point or a box.",
                )
            memory = answer(self, track, frame, joined(prompts))
            if known is None:
                track.object_id = self.keeper.add_object(name)
                self.tracks[track.object_id] = track
            track.prompts[frame] = prompts
            self.keeper.set_prompts(track.object_id, frame, prompts)
            self._settle(track, frame, memory)
            if not self.source.can_seek:
                ensure_memories(self, [track])
            record = as_records(self, [track], [memory], frame)[0]
            self._keep_one(track, frame, record, "new" if known is None else "fix")
            return record

    def remove(self, name: str) -> None:
        """Remove an object; the others stay as they are."""
        with self.lock:
            track = self.track(name)
            self.keeper.remove_object(track.object_id)
            del self.tracks[track.object_id]

    def clear(self, name: str, frame: int) -> None:
        """Forget the prompts of an object on a frame. Its mask stays until the frame is tracked again."""
        with self.lock:
            track = self.track(name)
            if frame not in track.prompts:
                raise PromptError("prompt.empty", f'Object "{name}" has no prompts on frame {frame}.')
            self.keeper.set_prompts(track.object_id, frame, ())
            del track.prompts[frame]
            memory = track.anchors.pop(frame, None)
            # What was said since the last run was never tracked from: what was there before stands again.
            earlier, _ = track.fresh.pop(frame, (memory, True))
            track.recent.pop(frame, None)
            if earlier is not None:
                track.recent[frame] = earlier
            track.forget(frame)
            track.at = None
            track.outdated -= {(frame, False), (frame, True)}

    def absent(self, name: str, first: int, last: int) -> None:
        """A person says that the object is not there on frames `first` to `last`: their masks are empty."""
        with self.lock:
            track = self.track(name)
            self.check_range(first, last)
            prompted = [frame for frame in track.prompts if first <= frame <= last]
            if prompted:
                raise PromptError(
                    "prompt.object",
                    f'Object "{name}" has prompts on frame {prompted[0]}, where it is said to be absent.',
                    "Clear them first, or name other frames.",
                )
            self._set_presence(track, first, last, "absent")
            for path in track.paths:
                for frame in [frame for frame in path.recent if first <= frame <= last]:
                    del path.recent[frame]
            run = self.keeper.begin((track.object_id,), first, last, reverse=False, reason="fix")
            for frame in range(first, last + 1):
                self.keeper.put(run, track.object_id, frame, absence(self))
            self.keeper.end(run, "done")

    def present(self, name: str, first: int, last: int) -> None:
        """A person takes words of absence back on frames `first` to `last`; track them again for masks."""
        with self.lock:
            track = self.track(name)
            self.check_range(first, last)
            self._set_presence(track, first, last, "present")

    # masks

    def record(self, name: str, frame: int) -> TrackRecord | None:
        """What is kept of an object on a frame."""
        return self.keeper.get(self.track(name).object_id, frame)

    def frame(
        self,
        index: int,
        *,
        image: Frame | None = None,
        tracked: tuple[str, ...] = (),
        known: Mapping[int, TrackRecord] | None = None,
    ) -> TrackFrame:
        """All that is kept of a frame, with its picture, and who was tracked on it just now.

        Records that are `known` (by object id) are not asked of the keeper.
        """
        records: dict[str, TrackRecord] = {}
        for key in sorted(self.tracks):
            record = known[key] if known and key in known else self.keeper.get(key, index)
            if record is not None:
                records[self.tracks[key].name] = record
        seconds = image.time if image is not None else self.source.time_of(index)
        pixels = None if image is None else image.pixels
        return TrackFrame(
            index=index,
            time=seconds,
            size=self.source.size,
            records=records,
            tracked=tracked,
            image=pixels,
        )

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
        """Track objects over frames `first` to `last` (both inclusive), and give each frame.

        Without `first` from the earliest prompted frame (in reverse: from frame 0); without `last` to the
        end (in reverse: to the latest prompted frame). In reverse they come from `last` down to `first`. At a
        shot cut an object stops, unless `config.cuts` says otherwise. Raises PromptError without objects,
        InputError for frames that are not there, Cancelled.
        """
        tracks = list(self.tracks.values()) if objects is None else [self.track(name) for name in objects]
        anchors = [frame for each in tracks for frame in each.prompts]
        if not anchors:
            raise PromptError("prompt.empty", "No object has a prompt yet.", "Add a point, a box or a mask.")
        low = first if first is not None else (0 if reverse else min(anchors))
        high = last if last is not None else (max(anchors) if reverse else self.last_frame)
        self.check_range(low, high)
        plan = [Stretch(each.object_id, low, high) for each in tracks]
        run = self._begin(plan, reverse=reverse, reason="new")
        yield from Propagation(self, plan, run, reverse).frames(on_progress, cancel)

    def run_stale(
        self, *, on_progress: OnProgress | None = None, cancel: threading.Event | None = None
    ) -> Iterator[TrackFrame]:
        """Track again only what corrections have outdated, forward and then in reverse.

        From every corrected frame to the neighbouring prompted frames, cuts and absences; less where the
        masks are as before for `config.same_frames` frames on end, or, on the way back to an earlier prompt,
        less sure than those from there (`config.worse_frames`). Nothing else is touched.
        """
        cuts = () if self.config.cuts == "ignore" else self.cuts
        tracks = list(self.tracks.values())
        plans = [
            [s for track in tracks for s in stale_stretches(track, cuts, self.last_frame, reverse=reverse)]
            for reverse in (False, True)
        ]
        for track in tracks:
            track.outdated.clear()
        for reverse, plan in zip((False, True), plans, strict=True):
            if plan:
                run = self._begin(plan, reverse=reverse, reason="fix")
                propagation = Propagation(self, plan, run, reverse, may_stop=True)
                yield from propagation.frames(on_progress, cancel)

    def run_live(self, is_cut: Callable[[Frame], bool]) -> Iterator[TrackFrame]:
        """Follow whatever objects there are through a stream, frame by frame; they may come and go meanwhile.

        `is_cut` tells whether a frame begins a new shot. Nothing is read ahead: a prompt is answered on the
        frame that was given last.
        """
        going: Propagation | None = None
        try:
            for frame in self.source.frames():
                self.current = frame
                if is_cut(frame):
                    self.cuts = (*self.cuts[-1:], frame.index)
                keys = sorted(self.tracks)
                if going is None or keys != [stretch.object_id for stretch in going.plan]:
                    if going is not None:
                        going.close("done")
                    plan = [Stretch(key, frame.index, None) for key in keys]
                    going = Propagation(self, plan, self._begin(plan), reverse=False) if plan else None
                yield self.frame(frame.index, image=frame) if going is None else going.step(frame)
        finally:
            if going is not None:
                going.close("stopped")

    def resume(
        self, *, on_progress: OnProgress | None = None, cancel: threading.Event | None = None
    ) -> Iterator[TrackFrame]:
        """Go on with runs that the end of a process has cut short; frames that are done are not given again.

        From the saved memories where they are there, else each run from its beginning.
        """
        saved = self.reload()
        for run in self.keeper.unfinished():
            keys = tuple(key for key in run.object_ids if key in self.tracks)
            self.keeper.end(run, "stopped")
            if not keys:
                continue
            first, last = run.first, run.last
            seen = saved.frame if saved is not None and saved.run_id == run.run_id else None
            if seen is not None:
                first, last = (first, seen - 1) if run.reverse else (seen + 1, last)
            if last is not None and first > last:
                continue
            plan = [Stretch(key, first, last) for key in keys]
            again = self._begin(plan, reverse=run.reverse, reason=run.reason)
            propagation = Propagation(self, plan, again, run.reverse, silent_until=run.reached)
            yield from propagation.frames(on_progress, cancel)

    def save_state(self, run: Run, frame: int | None) -> None:
        """Save the memories; `frame` is the last one of the run that they have seen."""
        saved = Saved(identity=self.identity, run_id=run.run_id, frame=frame)
        self.keeper.save_state(_STATE, track_checkpoint.dump(self.tracks.values(), saved))

    # what a run needs

    @property
    def last_frame(self) -> int | None:
        """The last frame's index, None where there is no end."""
        return None if self.source.num_frames is None else self.source.num_frames - 1

    def check_range(self, first: int, last: int | None) -> None:
        """Raises InputError `input.frame_range` for frames that are not there."""
        end = self.last_frame
        for frame in (first, last):
            if frame is not None and (frame < 0 or (end is not None and frame > end)):
                raise InputError(
                    "input.frame_range",
                    f"Frame {frame} does not exist: {self.source.name} has frames 0 to {end}.",
                )
        if last is not None and first > last:
            raise InputError("input.value", f"Frames {first} to {last}: the first comes after the last.")

    def _begin(self, plan: Sequence[Stretch], *, reverse: bool = False, reason: Reason = "new") -> Run:
        keys = tuple(dict.fromkeys(stretch.object_id for stretch in plan))
        for key in keys:
            self.tracks[key].fresh.clear()
        ends = [stretch.last for stretch in plan if stretch.last is not None]
        last = max(ends) if len(ends) == len(plan) else None
        first = min(stretch.first for stretch in plan)
        return self.keeper.begin(keys, first, last, reverse=reverse, reason=reason)

    def _set_presence(self, track: ObjectTrack, first: int, last: int, state: Presence) -> None:
        self.keeper.set_presence(track.object_id, first, last, state)
        kept = next(each for each in self.keeper.objects() if each.object_id == track.object_id)
        track.absences, track.at = kept.absences, None

    def _settle(self, track: ObjectTrack, frame: int, memory: FrameMemory) -> None:
        """The answer becomes a conditioning memory (or a mere tracked one, if the config wants that)."""
        track.paths, track.at = track.paths[:1], None
        track.fresh.setdefault(frame, (track.memory(frame), frame in track.anchors))
        if track.direction(frame) is None or self.config.corrections_condition or frame in track.anchors:
            track.recent.pop(frame, None)
            track.anchors[frame] = memory
            track.outdated.add((frame, False))
            if track.directions:
                track.outdated.add((frame, True))
        else:
            track.recent[frame] = memory

    def _keep_one(self, track: ObjectTrack, frame: int, record: TrackRecord, reason: Reason) -> None:
        run = self.keeper.begin((track.object_id,), frame, frame, reverse=False, reason=reason)
        self.keeper.put(run, track.object_id, frame, record)
        self.keeper.end(run, "done")


def _restored(kept: KeptObject) -> ObjectTrack:
    return ObjectTrack(kept.object_id, kept.name, prompts=dict(kept.prompts), absences=kept.absences)
