"""Whether a mask is the object again: after a long absence, and in a new shot. Pure.

The rule is this library's own (no paper's): the mask must be reliable, look like what a person pointed at,
and lie where the object can have moved to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from segma.tasks.track_config import TrackConfig
from segma.tasks.track_motion import BoxMotion, box_of
from segma.tasks.track_plan import shot_at
from segma.tasks.track_state import ABSENT_LOGIT, FrameMemory, ObjectTrack

_FIRST_TRIES = 5  # frames of a new shot on which an object is looked for, one after the other
_LATER_TRIES = 10  # then every so many frames
_REFUSED_SCORE = -1.0  # a logit: taken to be absent, but not surely


def agrees(
    memory: FrameMemory, anchors: Iterable[FrameMemory], motion: BoxMotion | None, config: TrackConfig
) -> bool:
    """Whether a mask may count as the object that was away.

    Its predicted IoU and object score pass the thresholds of memory; its pointer looks like one of the
    conditioning memories' (cosine of at least `min_appearance`); and the middle of its box is where the
    filter can expect it, where one runs.
    """
    if memory.predicted_iou < config.min_predicted_iou or memory.object_score <= config.min_object_score:
        return False
    box = box_of((memory.low_res_logits > 0).cpu().numpy())
    if box is None or not memory.is_present:
        return False
    if motion is not None and not motion.reaches(box):
        return False
    likeness = appearance(memory, anchors)
    return likeness is None or likeness >= config.min_appearance


def appearance(memory: FrameMemory, anchors: Iterable[FrameMemory]) -> float | None:
    """The highest cosine of a pointer with those of conditioning memories; None without any."""
    known = [anchor.pointer.float() for anchor in anchors if anchor.is_present]
    if not known:
        return None
    return float(F.cosine_similarity(torch.stack(known), memory.pointer.float()[None], dim=1).max())


def refused(memory: FrameMemory) -> FrameMemory:
    """The same frame with the object absent."""
    empty = torch.full_like(memory.low_res_logits, ABSENT_LOGIT)
    score = min(memory.object_score, _REFUSED_SCORE)
    return replace(
        memory, low_res_logits=empty, object_score=score, is_reliable=False, has_distractor=False, close=None
    )


def is_searched(
    track: ObjectTrack, frame: int, cuts: Sequence[int], config: TrackConfig, *, reverse: bool
) -> bool:
    """Whether an object must be found again before it can be followed on a frame.

    So where cuts say "reidentify", nothing was said of it in this shot, and it was not followed to here.
    """
    if config.cuts != "reidentify":
        return False
    first, last = shot_at(frame, cuts)
    if any(_inside(anchor, first, last) for anchor in track.anchors):
        return False
    return not (track.follows_on(frame, config.window, reverse=reverse) and _inside(track.at, first, last))


def is_tried(frame: int, anchors: Collection[int], cuts: Sequence[int], *, reverse: bool) -> bool:
    """Whether to look for an object on a frame of a new shot: on the first five, then on every tenth.

    Only where a person has pointed at it in a shot that lies behind.

    >>> [frame for frame in range(20, 50) if is_tried(frame, [3], [20], reverse=False)]
    [20, 21, 22, 23, 24, 30, 40]
    """
    first, last = shot_at(frame, cuts)
    if reverse:
        entered = last
        is_behind = any(anchor > frame for anchor in anchors)
    else:
        entered = first
        is_behind = any(anchor < frame for anchor in anchors)
    if entered is None or not is_behind:
        return False
    passed = abs(frame - entered)
    return passed < _FIRST_TRIES or passed % _LATER_TRIES == 0


def _inside(frame: int | None, first: int, last: int | None) -> bool:
    return frame is not None and first <= frame and (last is None or frame <= last)
