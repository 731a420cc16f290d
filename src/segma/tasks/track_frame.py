"""What a tracking session does on one frame: encode, answer a prompt, gather memories, make masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from segma.masks.mask import Mask
from segma.media.source import Frame
from segma.models.interfaces import MemoryBank
from segma.prompts.types import FramePrompt, MaskPrompt, PromptSet
from segma.results import TrackRecord
from segma.tasks import track_follow, track_memory, track_steps
from segma.tasks.preprocess import frame_to_model
from segma.tasks.second_look import Window
from segma.tasks.segment import usual_session
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_correct import changed_where_clicked, correction
from segma.tasks.track_plan import shot_at
from segma.tasks.track_state import ABSENT_LOGIT, Close, EncodedFrame, FrameMemory, ObjectTrack, joined

if TYPE_CHECKING:
    from segma.tasks.track import VideoSession

CERTAIN_SCORE = 10.0
"""The object score, a logit, of what a person said."""


def encoded(
    session: VideoSession, index: int, frame: Frame | None = None, window: Window | None = None
) -> EncodedFrame:
    """A frame, or a part of it, as the network sees it; a whole one from the cache if it is there."""

    def encode() -> EncodedFrame:
        given = frame or session.source.read(index)
        x0, y0, x1, y1 = window or (0, 0, *given.pixels.shape[1::-1])
        pixels, transform = frame_to_model(
            given.pixels[y0:y1, x0:x1], session.model.input_spec, session.runtime.torch_device
        )
        features = session.model.encode_frame(pixels)
        return EncodedFrame(index=index, features=features, transform=transform)

    return encode() if window else session.features.get(index, encode)


def masked(session: VideoSession, index: int, mask: Mask) -> FrameMemory:
    """The memory of a mask that is given on a frame, looked at closely by weights that do."""
    side, size = session.model.input_spec.mask_size, session.source.size
    dense, window = mask.dense(), None
    if session.model.memory_spec.follows_masks:
        whole = track_follow.on_raster(track_steps.logits_of(mask, track_follow.RASTER), None, size)
        window = track_follow.window_around(whole, size, session.config.closer)
    seen = encoded(session, index, window=window)
    if window is None:
        return track_steps.masked(session.model, seen, dense)
    x0, y0, x1, y1 = window
    memory = track_steps.masked(session.model, seen, dense[y0:y1, x0:x1])
    return placed(memory, window, size, side)


def placed(memory: FrameMemory, window: Window | None, size: tuple[int, int], side: int) -> FrameMemory:
    """A memory of a part of a frame of `size`, whose logits are given for the whole frame as well."""
    if window is not None:
        memory.close = Close(window, memory.low_res_logits)
        whole = track_follow.on_raster(memory.low_res_logits, window, size)
        memory.low_res_logits = track_follow.of_raster(whole, None, size, side)
        if not memory.is_present:
            memory.low_res_logits = torch.full_like(memory.low_res_logits, ABSENT_LOGIT)
    return memory


@dataclass(frozen=True, slots=True)
class Sight:
    """What weights that follow masks look at: a part of the frame (None: all), and the mask expected."""

    window: Window | None = None
    previous: Float[Tensor, "side side"] | None = None


def sight_of(session: VideoSession, before: FrameMemory | None, frame: int, other: int) -> Sight:
    """Where to look on a frame for what was `before` on an `other` one; everywhere, if nothing was."""
    if not session.model.memory_spec.follows_masks or before is None or not before.is_present:
        return Sight()
    size, config = session.source.size, session.config
    logits = before.low_res_logits if before.close is None else before.close.logits
    whole = track_follow.on_raster(logits, before.window, size)
    whole = track_follow.moved(whole, _motion(session, frame, other) if config.flow else None)
    window = track_follow.window_around(whole, size, config.closer)
    return Sight(window, track_follow.of_raster(whole, window, size, logits.shape[-1]))


def steadied(memory: FrameMemory, sight: Sight, config: TrackConfig) -> FrameMemory:
    """A memory of what was looked at, held back by the mask that was expected."""
    if sight.previous is not None and memory.is_present:
        memory.low_res_logits = track_follow.steadied(memory.low_res_logits, sight.previous, config)
    return memory


def _motion(session: VideoSession, frame: int, other: int) -> Float[Tensor, "side side 2"] | None:
    """The flow between two frames; None where one of them cannot be had any more."""
    for index in (other, frame):
        if index not in session.motions.greys and session.source.can_seek:
            session.motions.see(index, session.source.read(index).pixels)
    motion = session.motions.between(frame, other)
    return None if motion is None else motion.to(session.runtime.torch_device)


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
                    encoded(session, frame, window=memory.window),
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
    previous: Float[Tensor, "side side"] | None = None,
) -> MemoryBank:
    """What an object attends to on a frame, of its conditioning and recent `memories`.

    `others` are the objects of the run, `previous` is the mask that is expected (`Sight`).
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
        previous=previous,
    )


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
    frame: int,
) -> list[TrackRecord]:
    """The masks of objects on a frame, at the size of the video."""
    size, spec = session.source.size, session.model.input_spec
    logits = [track_steps.image_logits(memory, size, spec) for memory in memories]
    masks = [each > session.model.mask_threshold for each in logits]
    if session.config.non_overlap and masks:
        keys = {track.object_id for track in tracks}
        kept = [session.keeper.get(key, frame) for key in session.tracks if key not in keys]
        winner = np.argmax(logits, 0)
        free = ~np.any([np.zeros(session.source.size, bool), *(r.compact.dense() for r in kept if r)], 0)
        masks = [mask & free & (winner == number) for number, mask in enumerate(masks)]
    return [
        TrackRecord(
            compact=Mask.from_dense(mask),
            predicted_iou=memory.predicted_iou,
            object_score=memory.object_score,
            is_anchor=frame in track.anchors,
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


def answer(session: VideoSession, track: ObjectTrack, frame: int, prompt: FramePrompt) -> FrameMemory:
    """What the network makes of all that was said on a frame."""
    if prompt.mask is not None:
        return masked(session, frame, prompt.mask)
    previous = previous_logits(session, track, frame)
    if session.model.memory_spec.follows_masks and session.model.input_spec.looks_twice:
        return _looked(session, track, frame, prompt, previous)
    seen = encoded(session, frame)
    way = track.direction(frame)
    features = session.model.condition_first(seen.features)
    if way is not None:  # it was tracked: memory helps to correct it
        ensure_anchors(session, [track])
        ensure_memories(session, [track])
        bank = bank_of(session, track, track.at_last_run(), frame, reverse=way)
        if bank.maps:
            features = session.model.condition(seen.features, [bank])
    memory = track_steps.prompted(session.model, seen, features, prompt, previous)
    track_steps.fill_holes(memory, session.config.fill_hole_area)
    return memory


def _looked(
    session: VideoSession,
    track: ObjectTrack,
    frame: int,
    prompt: FramePrompt,
    previous: torch.Tensor | None,
) -> FrameMemory:
    """Clicks and boxes answered as on a still, with its looks at parts of it; the mask is remembered.

    Of an object that is told on another frame, clicks correct the mask of this one.
    """
    if session.still is None or session.still[0] != frame:
        pixels = session.source.read(frame).pixels
        session.still = frame, usual_session(session.model, pixels, session.runtime)
    still = session.still[1]
    before = session.keeper.get(track.object_id, frame) if set(track.prompts) - {frame} else None
    if prompt.points and not prompt.box and before is not None and before.compact.area:
        record = still.predict([correction(before.compact, prompt.points)]).records[0]
        mask = changed_where_clicked(before.compact, record.compact, prompt.points)
    else:
        given = None if previous is None else MaskPrompt(previous.float().cpu().numpy())
        record = still.predict([PromptSet(points=prompt.points, box=prompt.box, mask=given)]).records[0]
        mask = record.compact
    memory = masked(session, frame, mask)
    memory.predicted_iou = record.predicted_iou
    return memory


def _again(session: VideoSession, track: ObjectTrack, frame: int) -> FrameMemory:
    """The memory of a prompted frame that was lost: from its mask as it is kept, else from its prompts."""
    record = session.keeper.get(track.object_id, frame)
    if record is not None and record.is_anchor:
        return masked(session, frame, record.compact)
    return answer(session, track, frame, joined(track.prompts[frame]))
