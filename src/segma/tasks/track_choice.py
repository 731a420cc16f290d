"""What becomes of every object on a tracked frame: which candidate mask, on which memory path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from segma.models.interfaces import Decoded, WithMemory
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_state import FrameMemory, ObjectTrack, Path
from segma.tasks.track_steps import memories_of


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch: a memory path of an object."""

    track: ObjectTrack
    path: Path


def decide(
    model: WithMemory,
    rows: Sequence[Row],
    decoded: Decoded,
    best: Int[Tensor, " batch"],
    config: TrackConfig,
) -> list[tuple[Row, FrameMemory]]:
    """The paths that go on, each object's best first, with what they hold of this frame."""
    memories = memories_of(model, decoded, best, best)
    for memory in memories:
        memory.is_reliable = (
            memory.predicted_iou >= config.min_predicted_iou and memory.object_score > config.min_object_score
        )
    return list(zip(rows, memories, strict=True))
