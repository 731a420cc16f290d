"""What clicks change of a mask that was tracked, and what they leave."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from segma.masks.mask import Mask
from segma.prompts.types import Box, Points
from segma.tasks.track_correct import changed_where_clicked, correction

SIDE = 200


def square(x0: int, y0: int, x1: int, y1: int) -> Bool[ndarray, "height width"]:
    """A mask of a box."""
    found = np.zeros((SIDE, SIDE), bool)
    found[y0:y1, x0:x1] = True
    return found


BEFORE = square(50, 50, 150, 150)


def changed(answer: Bool[ndarray, "height width"], points: Points) -> Bool[ndarray, "height width"]:
    """The mask after a correction of `BEFORE`."""
    return changed_where_clicked(Mask.from_dense(BEFORE), Mask.from_dense(answer), points).dense()


def test_a_click_changes_its_place_and_no_other() -> None:
    said, elsewhere = square(150, 80, 180, 120), square(50, 50, 90, 70)
    found = changed((BEFORE | said) & ~elsewhere, Points([(170, 100)]))
    assert (found == BEFORE | said).all()


def test_another_edge_all_around_is_not_taken() -> None:
    found = changed(square(49, 49, 151, 151), Points([(100, 100)]))
    assert (found == BEFORE).all()


def test_an_edge_does_not_join_what_was_said_to_what_was_not() -> None:
    said, elsewhere = square(150, 80, 180, 120), square(20, 80, 50, 120)
    found = changed(square(49, 49, 151, 151) | said | elsewhere, Points([(170, 100)]))
    assert found[said].all()
    assert not found[square(20, 80, 45, 120)].any()


def test_an_exclude_click_takes_away_a_thin_thing() -> None:
    stick = square(50, 99, 150, 101)
    found = changed(BEFORE & ~stick, Points([(100, 100)], [0]))
    assert not found[100, 100]


def test_another_object_is_taken_whole() -> None:
    other = square(0, 0, 60, 60)
    assert (changed(other, Points([(20, 20)])) == other).all()


def test_the_network_is_asked_with_a_box_that_include_clicks_widen() -> None:
    asked = correction(Mask.from_dense(BEFORE), Points([(170, 100), (10, 10)], [1, 0]))
    assert asked.box == Box(50.0, 50.0, 170.0, 150.0)
    assert asked.mask is None
