"""Light squares on grey that move as they are told, and sessions over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy import ndarray
from stubs.chooser import Chooser, numbered
from stubs.follower import Follower

from segma.media.source import ArraySource
from segma.models.interfaces import WithMemory
from segma.prompts.types import FramePrompt, Points
from segma.results import TrackRecord
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_memory_keeper import MemoryKeeper

LIGHT, MIDDLE = 240, 130
Place = tuple[int, int] | None  # left, top of a square of 16 pixels (4 cells) in a picture of 128


def scene(length: int, *squares: Callable[[int], Place]) -> ndarray:
    """Light squares on grey, drawn in the order given, with each frame's number in its corner."""
    frames = np.full((length, 128, 128, 3), MIDDLE, np.uint8)
    for index in range(length):
        for square in squares:
            at = square(index)
            if at is not None:
                frames[index, at[1] : at[1] + 16, at[0] : at[0] + 16] = LIGHT
    return numbered(frames)


def walk(index: int) -> Place:
    return (4 + 3 * index, 20)


def stand(index: int) -> Place:
    return (100, 60)


class Recording(MemoryKeeper):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[int, int, int, str]] = []

    def set_presence(self, object_id: int, first: int, last: int, state: Any) -> None:
        self.said.append((object_id, first, last, state))
        super().set_presence(object_id, first, last, state)


def session(frames: ndarray, model: Follower | None = None, **options: Any) -> VideoSession:
    keeper, cuts = options.pop("keeper", None) or Recording(), options.pop("cuts_at", ())
    stub = model or Chooser()
    assert isinstance(stub, WithMemory)
    source, config = ArraySource(frames), TrackConfig(**options)
    return VideoSession(stub, source, config, keeper=keeper, cuts=cuts, identity="c")


def click(x: float, y: float) -> FramePrompt:
    return FramePrompt(points=Points([(x, y)], [1]))


def kept(video: VideoSession, name: str = "a") -> dict[int, TrackRecord]:
    return dict(video.keeper.records(video.track(name).object_id, 0, None))


def everything(video: VideoSession) -> dict[str, dict[int, TrackRecord]]:
    return {name: kept(video, name) for name in video.names}


def tracked(video: VideoSession, at: tuple[float, float] = (12, 28), **where: Any) -> dict[int, TrackRecord]:
    video.say("a", 0, click(*at))
    list(video.run(**where))
    return kept(video)


def unbroken_and_resumed(
    prepared: Callable[..., VideoSession], stop: int
) -> tuple[VideoSession, VideoSession]:
    """Two objects of `busy` or its like followed in one go, and from what was kept after frame `stop`.

    Their records are the same. `prepared(**options)` makes the sessions.
    """

    def asked(**options: Any) -> VideoSession:
        video = prepared(**options)
        video.say("a", 0, click(12, 28))
        video.say("b", 0, click(108, 28))
        return video

    whole = asked()
    list(whole.run())
    broken, keeper = asked(keeper=MemoryKeeper(), state_seconds=0.0), MemoryKeeper()
    for frame in broken.run():
        if frame.index == stop:
            keeper = cast(MemoryKeeper, broken.keeper).reopened()
    again = prepared(keeper=keeper)
    list(again.resume())
    assert everything(again) == everything(whole)
    return whole, again


def left(record: TrackRecord) -> float:
    return float(record.compact.box[0])


def stands_at(record: TrackRecord, x: float) -> bool:
    return record.is_present and abs(left(record) - x) < 5
