"""Where an object's memory paths begin, meet and wait. Pure.

A path goes on from frame to frame of one run, and of a run that takes up where another ended. Everywhere
else it begins anew: with a filter that knows the frame before, and without a score.
"""

from __future__ import annotations

from segma.tasks.track_config import TrackConfig
from segma.tasks.track_motion import Box, BoxMotion, box_of
from segma.tasks.track_state import FrameMemory, ObjectTrack


def begin(track: ObjectTrack, frame: int, config: TrackConfig, *, reverse: bool) -> None:
    """Make an object's paths ready for a frame; where they do not go on to it, only the best stays."""
    if track.follows_on(frame, config.window, reverse=reverse):
        return
    path = track.paths[0]
    track.paths = [path]
    path.score, path.absent_for, path.motion = 0.0, 0, None
    before = frame + (1 if reverse else -1)
    box = _box(track.memory(before)) if config.motion_weight > 0 else None
    if box is not None:
        path.motion = BoxMotion.start(before, box)


def settle(track: ObjectTrack, frame: int, config: TrackConfig, *, reverse: bool) -> None:
    """A prompted frame: what a person said is certain, so the best path alone goes on from it."""
    begin(track, frame, config, reverse=reverse)
    path, memory = track.paths[0], track.anchors[frame]
    track.paths = [path]
    path.score = 0.0
    path.absent_for = 0 if memory.is_present else path.absent_for + 1
    box = _box(memory) if config.motion_weight > 0 else None
    if box is not None:
        seen = BoxMotion.start(frame, box)
        path.motion = seen if path.motion is None else path.motion.predicted(frame).updated(box)


def wait(track: ObjectTrack, frame: int, config: TrackConfig, *, reverse: bool) -> None:
    """A frame on which a person said that the object is not there: the paths stand at it."""
    begin(track, frame, config, reverse=reverse)
    for path in track.paths:
        path.absent_for += 1
    track.at, track.at_reverse = frame, reverse


def _box(memory: FrameMemory | None) -> Box | None:
    if memory is None or not memory.is_present:
        return None
    return box_of((memory.low_res_logits > 0).cpu().numpy())
