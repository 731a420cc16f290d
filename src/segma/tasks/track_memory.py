"""Which memories a frame attends to (SAM 2 section 4, "Memory bank"; section 7 of the specification). Pure.

Frames are tracked in a direction of travel: forward, or in reverse. "Behind" is where tracking comes from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from segma.models.interfaces import MemorySpec
from segma.tasks.track_config import TrackConfig

_SPARSE, _NUM_SPARSE, _NUM_DISTRACTORS = 5, 3, 3  # DAM4SAM: distance and number of recent frames, slots


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Frames in the order of attention, with the temporal row of each map and the distance of each pointer.

    Conditioning frames, then distractors, then recent frames from the oldest to the newest.
    """

    maps: tuple[tuple[int, int], ...]
    pointers: tuple[tuple[int, float], ...]


def select(
    frame: int,
    *,
    reverse: bool,
    anchors: Collection[int],
    recent: Mapping[int, bool],
    distractors: Collection[int] = (),
    spec: MemorySpec,
    config: TrackConfig,
    num_frames: int | None,
    shot: tuple[int, int | None] = (0, None),
) -> Selection:
    """What an object attends to on a frame.

    `anchors` are its conditioning frames in the order in which they were prompted; `recent` its tracked
    frames and whether each is reliable. Frames outside `shot` (first, last) serve as anchors only.
    `num_frames` None: no end.
    """
    way = -1 if reverse else 1
    chosen = nearest_anchors(frame, anchors, config.max_conditioning)
    usable = {
        other: reliable
        for other, reliable in {**recent, **{a: True for a in anchors if a not in chosen}}.items()
        if shot[0] <= other and (shot[1] is None or other <= shot[1])
    }
    behind = _behind(frame, way, usable, spec.num_recent, config)
    maps = [(other, spec.num_recent) for other in chosen]
    taken = {other for other, _ in behind} | set(chosen)
    apart = _last_distractors(frame, way, [other for other in distractors if other in usable], config)
    maps += [(other, -1) for other in reversed(apart) if other not in taken]
    maps += [(other, row) for other, row in reversed(behind)]
    horizon = spec.num_pointers if num_frames is None else min(num_frames, spec.num_pointers)
    longest = max(1, horizon - 1)
    pointers = [(other, (frame - other) * way / longest) for other in chosen if (frame - other) * way >= 0]
    for distance in range(1, horizon):
        other = frame - way * distance
        if usable.get(other, False) or (config.memory == "recent" and other in usable):
            pointers.append((other, distance / longest))
    return Selection(maps=tuple(maps), pointers=tuple(pointers))


def outliving(
    frame: int,
    *,
    reverse: bool,
    recent: Mapping[int, bool],
    distractors: Collection[int],
    spec: MemorySpec,
    config: TrackConfig,
) -> frozenset[int]:
    """Frames whose memories are held however far they are left behind, when `frame` is done: a few.

    Reliable frames and distractors may be long ago; the last frames, SAM 2's own choice, never are.
    """
    if config.memory == "recent":
        return frozenset()
    way = -1 if reverse else 1
    kept = [other for other, _ in _behind(frame + way, way, recent, spec.num_recent, config)]
    return frozenset([*kept, *_last_distractors(frame + way, way, distractors, config)])


def nearest_anchors(frame: int, anchors: Collection[int], most: int | None) -> tuple[int, ...]:
    """The conditioning frames to attend to, in their own order.

    Where there are more than `most`: the nearest before, the nearest from here on, then by distance.
    """
    if most is None or len(anchors) <= most:
        return tuple(anchors)
    before = max((other for other in anchors if other < frame), default=None)
    after = min((other for other in anchors if other >= frame), default=None)
    first = [other for other in (before, after) if other is not None][:most]
    rest = sorted((other for other in anchors if other not in first), key=lambda other: abs(other - frame))
    kept = {*first, *rest[: most - len(first)]}
    return tuple(other for other in anchors if other in kept)


def _last_distractors(frame: int, way: int, distractors: Collection[int], config: TrackConfig) -> list[int]:
    """The last three behind, the newest first, where they are kept at all."""
    if config.memory != "distractor":
        return []
    behind = [other for other in distractors if (frame - other) * way > 0]
    return sorted(behind, key=lambda other: abs(frame - other))[:_NUM_DISTRACTORS]


def _behind(
    frame: int, way: int, usable: Mapping[int, bool], count: int, config: TrackConfig
) -> list[tuple[int, int]]:
    """(frame, row) of up to `count` recent frames, from the newest to the oldest."""
    if config.memory == "recent":
        places = [recent_place(frame, way, number, config.stride) for number in range(1, count + 1)]
        return [(place, row) for row, place in enumerate(places) if place in usable]
    near = [other for other in usable if usable[other] and (frame - other) * way > 0]
    near.sort(key=lambda other: abs(frame - other))
    if config.memory == "distractor":  # the last frame, and every fifth before it (DAM4SAM)
        near = near[:1] + [other for other in near[1:] if other % _SPARSE == 0]
        count = min(count, _NUM_SPARSE)
    return [(other, row) for row, other in enumerate(near[:count])]


def recent_place(frame: int, way: int, number: int, stride: int) -> int:
    """The frame of the `number`-th recent memory (1 is the last frame), at a stride.

    >>> [recent_place(20, 1, number, 4) for number in (1, 2, 3)]
    [19, 16, 12]
    """
    if number == 1 or stride == 1:
        return frame - way * number
    if way > 0:
        return (frame - 2) // stride * stride - (number - 2) * stride
    return -(-(frame + 2) // stride) * stride + (number - 2) * stride
