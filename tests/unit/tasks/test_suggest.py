"""Which frames deserve a look, on records that are put into a keeper by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from stubs.follower import Follower

from segma.errors import PromptError
from segma.masks.mask import Mask
from segma.media.source import ArraySource
from segma.prompts.types import FramePrompt, Points
from segma.results import TrackRecord
from segma.tasks.suggest import Suggestion, TrackSummary, suggest, summary_of
from segma.tasks.track import VideoSession
from segma.tasks.track_memory_keeper import MemoryKeeper

LENGTH = 200


def record(
    quality: float = 0.95, score: float = 6.0, x: int = 10, side: int = 20, anchor: bool = False
) -> TrackRecord:
    dense = np.zeros((64, 96), bool)
    if score > 0:
        dense[20 : 20 + side, x : x + side] = True
    return TrackRecord(
        compact=Mask.from_dense(dense), predicted_iou=quality, object_score=score, is_anchor=anchor
    )


def put(
    keeper: MemoryKeeper,
    name: str,
    of: Callable[[int], TrackRecord | None],
    anchors: tuple[int, ...] = (0,),
) -> int:
    key = keeper.add_object(name)
    for frame in anchors:
        keeper.set_prompts(key, frame, (FramePrompt(points=Points([(20, 30)], [1])),))
    run = keeper.begin((key,), 0, LENGTH - 1, reverse=False, reason="new")
    for frame in range(LENGTH):
        found = record(anchor=True) if frame in anchors else of(frame)
        if found is not None:
            keeper.put(run, key, frame, found)
    keeper.end(run, "done")
    return key


def opened(keeper: MemoryKeeper, cuts: tuple[int, ...] = ()) -> VideoSession:
    frames = np.zeros((LENGTH, 64, 96, 3), np.uint8)
    return VideoSession(Follower(), ArraySource(frames), keeper=keeper, cuts=cuts)


def told(found: list[Suggestion]) -> list[tuple[int, str]]:
    return [(each.frame, each.reason) for each in found]


def test_the_worst_stretch_comes_first_at_its_worst_frame() -> None:
    def of(frame: int) -> TrackRecord:
        if 50 <= frame < 60:
            return record(0.3 if frame == 56 else 0.5)
        return record(0.2 if frame == 120 else 0.95)

    keeper = MemoryKeeper()
    put(keeper, "ball", of)
    found = suggest(opened(keeper), 2)
    assert told(found) == [(56, "low quality"), (120, "low quality")]
    assert found[0].gain > found[1].gain > 0 and found[0].name == "ball"
    # Ten frames lose about 0.5 to 0.75 each; a look takes 1 + 1.5 s and ten frames at 24 a second.
    assert 4.5 / (2.5 + 10 / 24) < found[0].gain < 8 / (2.5 + 10 / 24)


@pytest.mark.parametrize(
    ("odd", "frame", "reason"),
    [
        (lambda f: record(side=4 if f >= 90 else 20), 90, "area jump"),
        (lambda f: record(x=70 if f >= 90 else 10), 90, "box jump"),
        (lambda f: record(score=-6.0 if f >= 90 else 6.0), 90, "disappears"),
        (lambda f: record(score=-6.0 if f <= 89 else 6.0), 90, "appears"),
        (lambda f: record(score=0.1 if f == 90 else 6.0), 90, "low quality"),
    ],
)
def test_what_stands_out_is_named(odd: Callable[[int], TrackRecord], frame: int, reason: str) -> None:
    keeper = MemoryKeeper()
    put(keeper, "ball", odd, anchors=(0, 60, 120, 180) if reason != "appears" else (180,))
    assert told(suggest(opened(keeper), 1)) == [(frame, reason)]


def test_far_frames_and_cuts_count_when_nothing_else_does() -> None:
    keeper = MemoryKeeper()
    put(keeper, "ball", lambda f: record(1.0))
    assert told(suggest(opened(keeper), 1)) == [(199, "far from a prompt")]
    assert told(suggest(opened(keeper, cuts=(100,)), 5))[-1] != (100, "cut")
    near = MemoryKeeper()
    put(near, "ball", lambda f: record(1.0), anchors=tuple(range(0, 200, 20)))
    assert told(suggest(opened(near, cuts=(110,)), 1)) == [(110, "cut")]


def test_shots_in_which_nothing_is_kept_are_named_unless_somebody_said_so() -> None:
    keeper = MemoryKeeper()
    key = put(keeper, "ball", lambda f: record() if f < 100 else None)
    cuts = (100, 150)
    assert told(suggest(opened(keeper, cuts), 2)) == [(100, "unknown"), (150, "unknown")]
    assert all(each.reason != "unknown" for each in suggest(opened(keeper), 9))  # not tracked so far
    keeper.set_presence(key, 100, 149, "absent")
    assert told(suggest(opened(keeper, cuts), 1)) == [(150, "unknown")]


def test_suggestions_are_apart_and_skip_what_a_person_did() -> None:
    keeper = MemoryKeeper()
    put(keeper, "ball", lambda f: record(0.2 if f % 8 == 4 else 0.9), anchors=(0, 52))
    found = suggest(opened(keeper), 50)
    frames = sorted(each.frame for each in found)
    assert all(b - a >= 15 for a, b in pairwise(frames)) and len(frames) > 5
    assert not {0, 52} & set(frames)
    assert [each.gain for each in found] == sorted((each.gain for each in found), reverse=True)


def test_objects_are_suggested_together_and_nothing_of_nothing() -> None:
    assert suggest(opened(MemoryKeeper()), 3) == []
    keeper = MemoryKeeper()
    put(keeper, "a", lambda f: record(0.5 if 40 <= f < 44 else 0.95))
    put(keeper, "b", lambda f: record(0.5 if 40 <= f < 60 else 0.95))
    keeper.add_object("c")
    assert [(each.name, each.frame) for each in suggest(opened(keeper), 2)] == [("b", 59), ("a", 43)]
    assert suggest(opened(keeper), 0) == []


def test_long_videos_are_read_as_a_stream() -> None:
    class Endless(MemoryKeeper):
        def records(self, object_id: int, first: int, last: int | None) -> Iterator[tuple[int, TrackRecord]]:
            low, high = record(0.3), record(0.9)
            for frame in range(20000):
                yield frame, low if frame % 50 < 10 else high

    keeper = Endless()
    put(keeper, "ball", lambda f: None)
    found = suggest(opened(keeper), 4)
    assert len(found) == 4 and len({each.frame for each in found}) == 4


def test_a_summary_counts_and_names_the_lowest_frame() -> None:
    keeper = MemoryKeeper()
    put(keeper, "ball", lambda f: record(0.41 if f == 74 else 0.9, score=-3.0 if f >= 184 else 5.0))
    video = opened(keeper)
    assert summary_of(video, "ball") == TrackSummary(
        name="ball", present=184, absent=16, lowest_frame=74, lowest_quality=0.41
    )
    keeper.add_object("new")
    nothing = summary_of(opened(keeper), "new")
    assert (nothing.present, nothing.absent, nothing.lowest_frame) == (0, 0, None)
    with pytest.raises(PromptError, match='no object "hat"'):
        summary_of(video, "hat")
