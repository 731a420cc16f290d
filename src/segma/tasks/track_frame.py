"""What a tracking session does on one frame: encode, answer a prompt, gather memories, make masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from segma.masks.mask import Mask
from segma.media.source import Frame
from segma.models.interfaces import MemoryBank
from segma.prompts.types import FramePrompt
from segma.results import TrackRecord
from segma.tasks import track_memory, track_steps
from segma.tasks.preprocess import frame_to_model
from segma.tasks.track_plan import shot_at
from segma.tasks.track_state import EncodedFrame, FrameMemory, ObjectTrack, joined

if TYPE_CHECKING:
    from segma.tasks.track import VideoSession

CERTAIN_SCORE = 10.0
"""The object score, a logit, of what a person said."""


def encoded(session: VideoSession, index: int, frame: Frame | None = None) -> EncodedFrame:
    """A frame as the network sees it, from the cache if it is there."""

    def encode() -> EncodedFrame:
        given = frame or session.source.read(index)
        pixels, transform = frame_to_model(
            given.pixels, session.model.input_spec, session.runtime.torch_device
        )
        features = session.model.encode_frame(pixels)
        return EncodedFrame(index=index, features=features, transform=transform)

    return session.features.get(index, encode)


def ensure_anchors(session: VideoSession, tracks: Sequence[ObjectTrack]) -> None:
    """Make conditioning memories anew that were lost with their process."""
    for track in tracks:
        for frame in track.prompts:
            if frame not in track.anchors and track.direction(frame) is None:
                track.anchors[frame] = _again(session, track, frame)


def ensure_memories(session: VideoSession, tracks: Sequence[ObjectTrack]) -> None:
    """Make the spatial part of memories where it is still to be made."""
    for track in tracks:
        wanting = {**track.recent, **track.anchors}
        for frame, memory in wanting.items():
            if memory.spatial is None:
                track_steps.remember(
                    session.model,
                    encoded(session, frame),
                    [memory],
                    binarize=session.config.binarize_prompted,
                )


def bank_of(
    session: VideoSession,
    track: ObjectTrack,
    memories: tuple[Mapping[int, FrameMemory], Mapping[int, FrameMemory]],
    frame: int,
    *,
    reverse: bool,
    others: Sequence[ObjectTrack] = (),
) -> MemoryBank:
    """What an object attends to on a frame, of its conditioning and recent `memories`.

    `others` are the objects of the run.
    """
    anchors, recent = memories
    held = {**recent, **anchors}
    shot = (0, None) if session.config.cuts == "ignore" else shot_at(frame, session.cuts)
    chosen = track_memory.select(
        frame,
        reverse=reverse,
        anchors=anchors,
        recent={other: memory.is_reliable for other, memory in recent.items()},
        distractors=[other for other, memory in recent.items() if memory.has_distractor],
        spec=session.model.memory_spec,
        config=session.config,
        num_frames=session.source.num_frames,
        shot=shot,
    )
    return MemoryBank(
        maps=tuple(track_steps.pooled(held[other], session.config.pool) for other, _ in chosen.maps),
        rows=tuple(row for _, row in chosen.maps),
        pointers=tuple(held[other].pointer for other, _ in chosen.pointers),
        distances=tuple(distance for _, distance in chosen.pointers),
        others=_other_pointers(track, others, frame + (1 if reverse else -1), shot)
        if session.config.attend_others
        else (),
        previous=_mask_before(held.get(frame + (1 if reverse else -1)))
        if session.model.memory_spec.follows_masks
        else None,
    )


def _mask_before(memory: FrameMemory | None) -> torch.Tensor | None:
    return memory.low_res_logits if memory is not None and memory.is_present else None


def _other_pointers(
    track: ObjectTrack, others: Sequence[ObjectTrack], before: int, shot: tuple[int, int | None]
) -> tuple[torch.Tensor, ...]:
    """Pointers of the other objects where they are on the frame before, in the order given."""
    if before < shot[0] or (shot[1] is not None and before > shot[1]):
        return ()
    memories = [each.memory(before) for each in others if each is not track]
    return tuple(memory.pointer for memory in memories if memory is not None and memory.is_present)


def as_records(
    session: VideoSession,
    tracks: Sequence[ObjectTrack],
    memories: Sequence[FrameMemory],
    seen: EncodedFrame,
) -> list[TrackRecord]:
    """The masks of objects on a frame, at the size of the video."""
    logits = [track_steps.image_logits(memory, seen) for memory in memories]
    masks = [each > session.model.mask_threshold for each in logits]
    if session.config.non_overlap and masks:
        keys = {track.object_id for track in tracks}
        kept = [session.keeper.get(key, seen.index) for key in session.tracks if key not in keys]
        winner = np.argmax(logits, 0)
        free = ~np.any([np.zeros(session.source.size, bool), *(r.compact.dense() for r in kept if r)], 0)
        masks = [mask & free & (winner == number) for number, mask in enumerate(masks)]
    return [
        TrackRecord(
            compact=Mask.from_dense(mask),
            predicted_iou=memory.predicted_iou,
            object_score=memory.object_score,
            is_anchor=seen.index in track.anchors,
        )
        for track, memory, mask in zip(tracks, memories, masks, strict=True)
    ]


def absence(session: VideoSession) -> TrackRecord:
    """The record of an object that a person says is not there."""
    empty = Mask(size=session.source.size, offset=(0, 0), crop_size=(0, 0), counts=b"")
    return TrackRecord(compact=empty, predicted_iou=1.0, object_score=-CERTAIN_SCORE, source="person")


def previous_logits(session: VideoSession, track: ObjectTrack, frame: int) -> torch.Tensor | None:
    """The logits that a correction starts from."""
    memory = track.memory(frame)
    if memory is not None:
        return memory.low_res_logits
    record = session.keeper.get(track.object_id, frame) if track.object_id else None
    if record is None or not record.is_present:
        return None
    return track_steps.logits_of(record.compact, session.model.input_spec.mask_size)


def answer(session: VideoSession, track: ObjectTrack, seen: EncodedFrame, prompt: FramePrompt) -> FrameMemory:
    """What the network makes of all that was said on a frame."""
    if prompt.mask is not None:
        return track_steps.masked(session.model, seen, prompt.mask)
    way = track.direction(seen.index)
    features = session.model.condition_first(seen.features)
    if way is not None:  # it was tracked: memory helps to correct it
        ensure_anchors(session, [track])
        ensure_memories(session, [track])
        bank = bank_of(session, track, track.at_last_run(), seen.index, reverse=way)
        if bank.maps:
            features = session.model.condition(seen.features, [bank])
    previous = previous_logits(session, track, seen.index)
    memory = track_steps.prompted(session.model, seen, features, prompt, previous)
    track_steps.fill_holes(memory, session.config.fill_hole_area)
    return memory


def _again(session: VideoSession, track: ObjectTrack, frame: int) -> FrameMemory:
    """The memory of a prompted frame that was lost: from its mask as it is kept, else from its prompts."""
    record = session.keeper.get(track.object_id, frame)
    seen = encoded(session, frame)
    if record is not None and record.is_anchor:
        return track_steps.masked(session.model, seen, record.compact)
    return answer(session, track, seen, joined(track.prompts[frame]))
