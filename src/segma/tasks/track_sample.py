"""The tracks of a session as annotations, read from its keeper frame by frame, never all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from segma.keeping import TrackKeeper
from segma.masks.mask import Mask, Masklet
from segma.media.source import FolderSource
from segma.results import TrackRecord
from segma.samples import TrackSample, VideoSample
from segma.tasks.track import VideoSession

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Kept(Mapping[int, T]):
    """Something of every kept record of an object, by frame; asked of the keeper each time."""

    keeper: TrackKeeper
    object_id: int
    part: Callable[[TrackRecord], T]

    def __getitem__(self, frame: int) -> T:
        record = self.keeper.get(self.object_id, frame)
        if record is None:
            raise KeyError(frame)
        return self.part(record)

    def __iter__(self) -> Iterator[int]:
        return (frame for frame, _ in self.keeper.records(self.object_id, 0, None))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def kept_masklet(session: VideoSession, name: str) -> Masklet:
    """One object's masks."""
    return Masklet(size=session.source.size, masks=Kept(session.keeper, session.track(name).object_id, _mask))


def kept_sample(session: VideoSession) -> VideoSample:
    """All objects of a session, in the order of their ids."""
    source = session.source
    count = source.num_frames if source.num_frames is not None else _seen(session)
    objects = tuple(
        TrackSample(
            object_id=key,
            masklet=kept_masklet(session, session.tracks[key].name),
            label=session.tracks[key].name,
            predicted_iou=Kept(session.keeper, key, _quality),
            anchors=tuple(sorted(session.tracks[key].prompts)),
        )
        for key in sorted(session.tracks)
    )
    return VideoSample(
        name=Path(source.name).stem,
        size=source.size,
        num_frames=count,
        fps=source.fps,
        times=tuple(source.time_of(index) for index in range(count)),
        frame_names=source.frame_names if isinstance(source, FolderSource) else None,
        objects=objects,
    )


def _mask(record: TrackRecord) -> Mask:
    return record.compact


def _quality(record: TrackRecord) -> float:
    return record.predicted_iou


def _seen(session: VideoSession) -> int:
    """How far a live source has come."""
    return 0 if session.current is None else session.current.index + 1
