"""Look-alikes do not take the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stubs.chooser import Chooser
from stubs.scenes import click, kept, scene, session, stand, stands_at

from segma.tasks.track_exclusive import Claim, assign
from segma.tasks.track_motion import Box


def crossing(frame: int, box: Box, nearness: float) -> float:
    """From frame 5 on everybody is told that the square on the left is the best."""
    return 0.9 if frame >= 5 and box[0] < 12 else 0.7 + 0.1 * nearness


@pytest.mark.parametrize("exclusive", [False, True])
def test_look_alikes_do_not_take_the_same_pixels(exclusive: bool) -> None:
    video = session(scene(12, lambda f: (20, 20), stand), Chooser(quality=crossing), exclusive=exclusive)
    video.say("a", 0, click(28, 28))
    video.say("b", 0, click(108, 68))
    list(video.run())
    assert stands_at(kept(video, "a")[11], 20)
    assert stands_at(kept(video, "b")[11], 100 if exclusive else 20)


def test_a_prompted_mask_stands_against_the_others() -> None:
    video = session(scene(12, lambda f: (20, 20), stand), Chooser(quality=crossing), exclusive=True)
    video.say("a", 6, click(28, 28))
    video.say("b", 0, click(108, 68))
    list(video.run(0, 6))
    masks = kept(video, "b")
    assert stands_at(masks[5], 20) and stands_at(masks[6], 100)


def claim(x: int, quality: float, width: int = 4) -> Claim:
    mask = np.zeros((32, 32), bool)
    mask[:, x : x + width] = True
    return Claim(mask, quality)


def test_claims_are_settled_together() -> None:
    assert assign([]) == []
    assert assign([[claim(0, 0.9), claim(8, 0.8)], [claim(16, 0.9)]]) == [0, 0]
    both = [claim(0, 0.9), claim(8, 0.8)]
    assert assign([both, [claim(0, 0.95), claim(16, 0.3)]]) == [1, 0]
    assert assign([both, [claim(0, 0.95), claim(16, 0.9)]]) == [0, 1]
    assert assign([both], [claim(0, 1.0).mask]) == [1]
    assert assign([[claim(0, 0.9)], [claim(0, 0.8)]]) == [0, 0]  # there is nothing else to take
    assert assign([[claim(0, 0.9, 8), claim(20, 0.8)], [claim(7, 0.9, 8), claim(20, 0.8)]]) == [0, 0]


def test_many_look_alikes_are_settled_from_the_best() -> None:
    places = [claim(4 * number, 0.5 + number / 100) for number in range(6)]
    wanted = [[claim(0, 0.9 + number / 100), *places[number:]] for number in range(6)]
    found = [wanted[index][number] for index, number in enumerate(assign(wanted))]
    starts = [int(np.flatnonzero(each.mask.any(0))[0]) for each in found]
    assert len(set(starts)) == 6 and starts[5] == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), min_size=1, max_size=3), max_size=4))
def test_settling_is_never_worse_than_everybody_first(drawn: list[list[tuple[int, float]]]) -> None:
    claims = [[claim(x, float(q)) for x, q in several] for several in drawn]

    def worth(numbers: list[int]) -> float:
        chosen = [several[number] for several, number in zip(claims, numbers, strict=True)]
        shared = 0.0
        for index, one in enumerate(chosen):
            for other in chosen[index + 1 :]:
                shared += (one.mask & other.mask).sum() / (one.mask | other.mask).sum()
        return sum(each.quality for each in chosen) - shared

    assert worth(assign(claims)) >= worth([0] * len(claims)) - 1e-9
