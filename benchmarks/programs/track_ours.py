"""segma's side of the tracking benchmark: a session whose memory bank is full, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from programs.lively import FIRST_TRACKED, clip, discs, network_of
from programs.turns import Task

from segma.media.source import ArraySource
from segma.models.interfaces import MemoryBank
from segma.models.sam2.model import Sam2
from segma.prompts.types import FramePrompt, Points
from segma.results import TrackFrame
from segma.runtime import Precision
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_frame import ensure_memories


class Watch:
    """Seconds of parts of a frame: `parts` has one entry for each frame begun, by name of the part."""

    def __init__(self) -> None:
        self.parts: list[dict[str, float]] = []
        self.tokens = (0, 0)

    def begin(self) -> None:
        """A frame begins."""
        self.parts.append({"encoder": 0.0, "attention": 0.0})

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, whose seconds count for a part of the frame that was begun last."""

        def wrapped(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            found = call(*arguments, **named)
            if self.parts:
                self.parts[-1][part] += time.perf_counter() - start
            return found

        return wrapped


def tracking(
    variant: str, precision: Precision, pool: int, size: tuple[int, int], objects: Sequence[int], frames: int
) -> dict[str, Task]:
    """For each number of objects a task that tracks the next frame; one session lives at a time."""
    network, runtime = network_of(variant, precision)
    watch = _watched(network)
    # Holes are left as they are, which the other program cannot do otherwise. A clock that waits for the
    # other programs would save the memories on every frame, so that is timed on its own.
    config = TrackConfig(pool=pool, fill_hole_area=0, state_seconds=1e9)
    source = ArraySource(clip(size, FIRST_TRACKED + frames))
    going: dict[int, tuple[VideoSession, Iterator[TrackFrame]]] = {}

    def step(number: int) -> int:
        if number not in going:
            going.clear()
            watch.parts.clear()
            session = VideoSession(network, source, config, runtime=runtime)
            going[number] = session, _full(session, number)
        watch.begin()
        return next(going[number][1]).index

    return {
        f"{number} objects": Task(
            run=lambda number=number: step(number),
            summary=lambda last, number=number: _answer(going[number][0], watch, last),
        )
        for number in objects
    }


def _watched(network: Sam2) -> Watch:
    """The network with its encoder and its memory attention timed, and the tokens counted."""
    watch = Watch()
    condition = watch.timed("attention", network.condition)

    def counted(frame: Any, banks: Sequence[MemoryBank]) -> Any:
        bank = banks[0]
        pointers = sum(len(pointer) for pointer in bank.pointers) // network.config.memory_dim
        watch.tokens = sum(each.shape[0] * each.shape[1] for each in bank.maps), pointers
        return condition(frame, banks)

    network.encode_frame = watch.timed("encoder", network.encode_frame)  # type: ignore[method-assign]
    network.condition = counted  # type: ignore[method-assign]
    return watch


def _full(session: VideoSession, number: int) -> Iterator[TrackFrame]:
    """Frames tracked from `FIRST_TRACKED` on; all before hold copies of what is known of frame 0."""
    for place in discs(session.source.size, 0)[:number]:
        session.say(f"disc {len(session.tracks) + 1}", 0, FramePrompt(points=Points([place])))
    tracks = list(session.tracks.values())
    with torch.inference_mode():
        ensure_memories(session, tracks)
    for track in tracks:
        for frame in range(FIRST_TRACKED):
            track.passed(frame, reverse=False)
            if frame not in track.anchors:
                track.recent[frame] = replace(track.anchors[0])
    return session.run(FIRST_TRACKED)


def _answer(session: VideoSession, watch: Watch, last: int) -> dict[str, Any]:
    """Masks (packed bits) and logits of all tracked frames and objects, parts of the time, token counts."""
    frames = range(FIRST_TRACKED, last + 1)
    tracks = list(session.tracks.values())
    start = time.perf_counter()
    session.save_state(session.keeper.begin((1,), last, last, reverse=False, reason="auto"), last)
    saving = time.perf_counter() - start
    records = [[session.record(track.name, frame) for track in tracks] for frame in frames]
    logits = [[track.recent[frame].low_res_logits.float().numpy() for track in tracks] for frame in frames]
    return {
        "masks": np.packbits([[record.compact.dense() for record in row if record] for row in records]),
        "logits": stacked(logits),
        "present": sum(record.is_present for row in records for record in row if record),
        "parts": watch.parts,
        "tokens": watch.tokens,
        "saving": saving,
    }


def stacked(logits: Sequence[Sequence[ndarray]]) -> ndarray:
    """(frames, objects, side, side)."""
    return np.array(logits, np.float32)
