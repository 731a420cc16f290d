"""A keeper for streams without end: it holds the last frames only."""

from __future__ import annotations

from segma.keeping import Run
from segma.results import TrackRecord
from segma.tasks.track_memory_keeper import MemoryKeeper


class RecentKeeper(MemoryKeeper):
    """Records of the last `num_frames` frames of every object; what is older is forgotten."""

    def __init__(self, num_frames: int = 64) -> None:
        super().__init__()
        self.num_frames = num_frames

    def put(self, run: Run, object_id: int, frame: int, record: TrackRecord) -> None:
        """A frame of the run's version; those too far back go."""
        super().put(run, object_id, frame, record)
        self.forget(frame - self.num_frames)

    def save_state(self, name: str, data: bytes) -> None:
        """Nothing: a stream cannot be resumed."""
