"""Sessions with a model that follows shades, on clips of squares."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy import ndarray
from stubs.follower import Follower

from segma.media.source import ArraySource
from segma.prompts.types import FramePrompt, Points
from segma.results import TrackFrame, TrackRecord
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_memory_keeper import MemoryKeeper

LIGHT, DARK, MIDDLE = 240, 20, 130


def clip(length: int = 24) -> ndarray:
    """A light square that moves right, a dark one that moves down, on middle grey."""
    frames = np.full((length, 96, 128, 3), MIDDLE, np.uint8)
    for index in range(length):
        x = 8 + 3 * index
        frames[index, 10:40, x : x + 24] = LIGHT
        y = 8 + 2 * index
        frames[index, y : y + 24, 90:120] = DARK
    return frames


def session(frames: ndarray | None = None, **options: object) -> VideoSession:
    keeper = options.pop("keeper", None) or MemoryKeeper()
    cuts = options.pop("cuts", ())
    source = ArraySource(clip() if frames is None else frames)
    config = TrackConfig(**options)  # type: ignore[arg-type]
    return VideoSession(Follower(), source, config, keeper=keeper, cuts=cuts, identity="f")  # type: ignore[arg-type]


def click(x: float, y: float, *others: tuple[float, float, int]) -> FramePrompt:
    xy = [(x, y), *((a, b) for a, b, _ in others)]
    return FramePrompt(points=Points(xy, [1, *(label for *_, label in others)]))


def kept(each: VideoSession, name: str) -> dict[int, TrackRecord]:
    key = each.track(name).object_id
    return dict(each.keeper.records(key, 0, None))


def everything(each: VideoSession) -> dict[str, dict[int, TrackRecord]]:
    return {name: kept(each, name) for name in each.names}


def follower(each: VideoSession) -> Follower:
    assert isinstance(each.model, Follower)
    return each.model


def drain(frames: Iterator[TrackFrame]) -> list[int]:
    return [frame.index for frame in frames]
