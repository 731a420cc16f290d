"""What becomes of every object on a tracked frame: which candidate mask, on which memory path. Pure.

By default the mask of highest predicted IoU, as SAM 2 does. Otherwise every row has the decoder's three
masks as candidates: motion votes (SAMURAI), paths branch (SAM2Long), look-alikes share out, and a mask after
a long absence is doubted. A path that is decided on gets what it holds of the frame in `track_run`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from segma.models.interfaces import Decoded, WithMemory
from segma.tasks.choice import first_candidate
from segma.tasks.reidentify import agrees, refused
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_distractors import has_distractor
from segma.tasks.track_exclusive import Claim, assign, mask_overlap
from segma.tasks.track_motion import BoxMotion, box_of
from segma.tasks.track_state import FrameMemory, ObjectTrack, Path
from segma.tasks.track_steps import memories_of

_SAME = 0.95
"""Two hypotheses whose masks have this IoU are one."""
_LEAST = 1e-6  # of a quality whose logarithm is taken


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch: a memory path of an object. `searched`: it is looked for in a new shot."""

    track: ObjectTrack
    path: Path
    searched: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A path that goes on, and what is decided of the frame; `enters`: it may be remembered."""

    track: ObjectTrack
    path: Path
    memory: FrameMemory
    enters: bool = True
    searched: bool = False


@dataclass(slots=True)
class _Candidate:
    """A mask that may be chosen. `vote` is its quality in 0..1, `score` the path's after it.

    `others` are the row's other candidates; `mask` is None where no option looks at masks.
    """

    row: Row
    memory: FrameMemory
    mask: Bool[ndarray, "side side"] | None
    vote: float
    motion: BoxMotion | None
    agreement: float | None
    others: list[_Candidate]
    score: float = 0.0
    enters: bool = True


def weighs_candidates(config: TrackConfig) -> bool:
    """Whether all three masks are wanted; else the one of highest predicted IoU is all there is."""
    return (
        config.motion_weight > 0 or config.hypotheses > 1 or config.exclusive or config.memory == "distractor"
    )


def candidates(
    model: WithMemory, decoded: Decoded, best: Int[Tensor, " batch"], config: TrackConfig
) -> list[list[FrameMemory]]:
    """The masks to choose from for every row, in the decoder's order; spatial memories still to come."""
    if not weighs_candidates(config):
        return [[memory] for memory in memories_of(model, decoded, best, best)]
    numbers = range(first_candidate(model.input_spec), decoded.predicted_iou.shape[1])
    each = [torch.full_like(best, number) for number in numbers]
    drawn = [memories_of(model, decoded, number, number) for number in each]
    return [list(row) for row in zip(*drawn, strict=True)]


def decide(
    rows: Sequence[Row],
    options: Sequence[Sequence[FrameMemory]],
    frame: int,
    *,
    reverse: bool,
    config: TrackConfig,
    fixed: Sequence[Float[Tensor, "side side"]] = (),
) -> list[Outcome]:
    """The paths that go on, each object's best first, with what they hold of this frame.

    `options` are each row's candidates, `fixed` the logits of objects whose mask on this frame stands
    (prompted ones); both of the whole frame, so that batching changes nothing.

    With hypotheses, each path branches by its candidates and the best distinct ones are kept (SAM2Long). The
    mask of the path that is best by now is given at once: masks of frames before are never rewritten, where
    SAM2Long gives those of the path that is best at the end of the video.
    """
    objects: dict[int, list[_Candidate]] = {}
    for row, few in zip(rows, options, strict=True):
        objects.setdefault(row.track.object_id, []).extend(_weighed(row, few, frame, config))
    for key, several in objects.items():
        ranked = sorted(several, key=lambda each: -each.score)
        objects[key] = _distinct(ranked) if config.hypotheses > 1 else ranked
    if config.exclusive:
        _share_out(objects, fixed)
    outcomes: list[Outcome] = []
    for several in objects.values():
        kept = several[: config.hypotheses]
        outcomes += [_outcome(each, frame, reverse=reverse, config=config) for each in kept]
    return outcomes


def _weighed(row: Row, options: Sequence[FrameMemory], frame: int, config: TrackConfig) -> list[_Candidate]:
    """The candidates of a row with their votes; an absent object has one, for all of them are empty."""
    motion = row.path.motion.predicted(frame) if row.path.motion is not None else None
    votes = motion is not None and config.motion_weight > 0 and motion.votes and not row.searched
    found: list[_Candidate] = []
    looks = weighs_candidates(config) or config.memory != "recent"
    for memory in options:
        mask = (memory.low_res_logits > 0).cpu().numpy() if looks else None
        vote, agreement = memory.predicted_iou, None
        if votes and motion is not None and mask is not None:
            agreement = motion.score(box_of(mask))
            vote = (1 - config.motion_weight) * vote + config.motion_weight * agreement
        found.append(_Candidate(row, memory, mask, vote, motion, agreement, []))
    best = max(found, key=lambda each: each.vote)
    for each in found:
        each.others = [other for other in found if other is not each]
        _judge(each, config)
    if not options[0].is_present:
        return [best]
    return [each for each in found if each.memory.is_present] or [best]


def _judge(each: _Candidate, config: TrackConfig) -> None:
    """Say whether a candidate is reliable, doubt it after a long absence, and add to the path's score."""
    memory, row = each.memory, each.row
    is_empty = each.mask is not None and not each.mask.any()
    memory.is_reliable = (
        memory.predicted_iou >= config.min_predicted_iou
        and memory.object_score > config.min_object_score
        and not is_empty
        and (each.agreement is None or each.agreement >= config.min_motion)
    )
    is_doubted = config.redetect and row.path.absent_for >= config.redetect_after
    if row.searched or (is_doubted and memory.is_present):
        motion = None if row.searched else each.motion
        if not agrees(memory, row.track.anchors.values(), motion, config):
            each.memory, each.enters = refused(memory), False
            each.mask = None if each.mask is None else each.mask & False
    if each.memory.is_present:
        quality = each.vote
    else:  # how sure the absence is, for a predicted IoU means nothing there
        quality = 1 / (1 + math.exp(max(-50.0, min(50.0, each.memory.object_score))))
    each.score = row.path.score + math.log(max(quality, _LEAST))


def _distinct(ranked: Sequence[_Candidate]) -> list[_Candidate]:
    """Candidates whose masks differ from all better ones."""
    kept: list[_Candidate] = []
    for each in ranked:
        if all(_differ(each, other) for other in kept):
            kept.append(each)
    return kept


def _differ(one: _Candidate, other: _Candidate) -> bool:
    assert one.mask is not None and other.mask is not None
    if not one.mask.any() and not other.mask.any():
        return False
    return mask_overlap(one.mask, other.mask) < _SAME


def _share_out(objects: dict[int, list[_Candidate]], fixed: Sequence[Tensor]) -> None:
    """Put the candidate that each object gets, chosen together with the others, first."""
    present = {key: several for key, several in objects.items() if several[0].memory.is_present}
    claims = [
        [Claim(each.mask, each.vote) for each in several if each.mask is not None]
        for several in present.values()
    ]
    standing = [(logits > 0).cpu().numpy() for logits in fixed]
    for (key, several), number in zip(present.items(), assign(claims, standing), strict=True):
        objects[key] = [several[number], *several[:number], *several[number + 1 :]]


def _outcome(each: _Candidate, frame: int, *, reverse: bool, config: TrackConfig) -> Outcome:
    """The path after this candidate."""
    before, memory = each.row.path, each.memory
    if config.memory == "distractor" and each.enters and each.mask is not None:
        masks = [(other.mask, other.memory.predicted_iou) for other in each.others if other.mask is not None]
        memory.has_distractor = has_distractor(
            memory, each.mask, masks, before.recent, frame, reverse=reverse
        )
    path = before if config.hypotheses == 1 else replace(before, recent=dict(before.recent))
    path.score = each.score
    path.absent_for = 0 if memory.is_present else before.absent_for + 1
    if config.motion_weight > 0:
        path.motion = _moved(each, frame)
    return Outcome(each.row.track, path, memory, each.enters, each.row.searched)


def _moved(each: _Candidate, frame: int) -> BoxMotion | None:
    """The filter after this frame: it learns of reliable masks only, and else expects."""
    box = box_of(each.mask) if each.mask is not None and each.memory.is_reliable else None
    if box is None:
        return each.motion
    if each.motion is None or each.row.searched:
        return BoxMotion.start(frame, box)
    return each.motion.updated(box)
