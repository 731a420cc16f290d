"""Where a run goes: shots, and the stretches that a correction has outdated. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from segma.tasks.track_state import ObjectTrack


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames `first` to `last` (inclusive; None: no end) of one object."""

    object_id: int
    first: int
    last: int | None

    def holds(self, frame: int) -> bool:
        """Whether a frame is in it."""
        return self.first <= frame and (self.last is None or frame <= self.last)


def shot_at(frame: int, cuts: Sequence[int]) -> tuple[int, int | None]:
    """First and last frame of the shot of a frame; None where it has no known end.

    >>> shot_at(7, (5, 9)), shot_at(2, (5, 9)), shot_at(9, (5, 9))
    ((5, 8), (0, 4), (9, None))
    """
    place = bisect_right(cuts, frame)
    return (cuts[place - 1] if place else 0), (cuts[place] - 1 if place < len(cuts) else None)


def stale_stretches(
    track: ObjectTrack, cuts: Sequence[int], last_frame: int | None, *, reverse: bool
) -> list[Stretch]:
    """What prompts of an object have outdated in one direction.

    From each prompted frame to the next one, an absence or a cut.
    """
    stretches: list[Stretch] = []
    for frame in sorted(frame for frame, way in track.outdated if way == reverse):
        first_of_shot, last_of_shot = shot_at(frame, cuts)
        if reverse:
            stops = [other for other in track.anchors if other < frame]
            stops += [last for _, last in track.absences if last < frame]
            low = max([first_of_shot, *(stop + 1 for stop in stops)])
            found = Stretch(track.object_id, low, frame - 1)
        else:
            stops = [other for other in track.anchors if other > frame]
            stops += [first for first, _ in track.absences if first > frame]
            ends = [end for end in (last_of_shot, last_frame) if end is not None]
            high = min([*ends, *(stop - 1 for stop in stops)], default=None)
            found = Stretch(track.object_id, frame + 1, high)
        if found.last is None or found.first <= found.last:
            stretches.append(found)
    return stretches
