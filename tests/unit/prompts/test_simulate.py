"""Simulated clicks and boxes: by hand, and equal to the judge of the real photos on any masks."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray
from stubs.promptbench import load_judge

from segma.errors import InputError
from segma.masks.mask import Mask
from segma.prompts.simulate import (
    Click,
    box_prompt,
    deepest_point,
    first_click,
    jittered_box,
    key_generator,
    next_click,
    points_of,
)


@pytest.fixture(scope="module")
def judge(shared: Path) -> ModuleType:
    return load_judge(shared)


def rectangle(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (20, 30)) -> ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


@st.composite
def masks(draw: st.DrawFn) -> tuple[ndarray, ndarray]:
    """Two masks of one size: noise, blots or rectangles, sometimes empty or full."""
    size = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    pair: list[ndarray] = []
    for _ in range(2):
        kind = draw(st.sampled_from(["noise", "rough", "rectangle", "empty", "full"]))
        if kind == "noise":
            pair.append(rng.random(size) < rng.random())
        elif kind == "rough":
            coarse = rng.random((size[0] // 6 + 1, size[1] // 6 + 1)) < 0.5
            pair.append(np.kron(coarse, np.ones((6, 6), bool))[: size[0], : size[1]])
        elif kind == "rectangle":
            (y0, y1), (x0, x1) = (sorted(rng.integers(0, side + 1, 2)) for side in size)
            pair.append(rectangle(x0, y0, x1, y1, size))
        else:
            pair.append(np.full(size, kind == "full"))
    return pair[0], pair[1]


def test_the_deepest_point_is_the_first_in_the_middle() -> None:
    assert deepest_point(rectangle(4, 5, 11, 10)) == (6, 7)  # depth 3 from x = 6 to 8
    assert deepest_point(np.ones((5, 5), bool)) == (2, 2)  # the image's edge is an edge
    assert first_click(rectangle(3, 3, 4, 4)) == Click(3, 3, 1)


def test_nothing_has_no_deepest_point() -> None:
    for empty in (np.zeros((4, 4), bool), np.zeros((0, 0), bool)):
        with pytest.raises(InputError, match="empty"):
            deepest_point(empty)


def test_a_click_corrects_the_larger_error() -> None:
    truth, predicted = rectangle(0, 0, 9, 9), rectangle(0, 0, 9, 5) | rectangle(20, 10, 30, 20)
    assert next_click(predicted, truth) == Click(24, 14, 0)  # 100 pixels too many, 36 too few
    assert next_click(rectangle(0, 0, 9, 5), truth) == Click(1, 6, 1)
    assert next_click(truth, truth) is None


def test_what_is_missed_goes_first_where_both_are_equal() -> None:
    missed, false = rectangle(0, 0, 5, 5), rectangle(10, 10, 15, 15)
    assert next_click(false, missed) == Click(2, 2, 1)
    assert next_click(false, missed, rule="depth") == Click(2, 2, 1)


def test_the_rules_differ_between_long_and_thick() -> None:
    long, thick = rectangle(0, 0, 30, 2), rectangle(5, 8, 12, 15)  # 60 pixels; 49, but deeper
    found = next_click(long, thick)
    assert found is not None and found.label == 0
    assert next_click(long, thick, rule="depth") == Click(8, 11, 1)


def test_a_pixel_that_was_clicked_is_no_error_again() -> None:
    truth, nothing = rectangle(4, 4, 5, 5), np.zeros((20, 30), bool)
    assert next_click(nothing, truth) == Click(4, 4, 1)
    assert next_click(nothing, truth, [(4, 4)]) is None
    assert not nothing.any() and truth.sum() == 1, "the masks are not changed"


def test_a_box_without_jitter_is_the_tight_one() -> None:
    mask = rectangle(3, 4, 10, 12)
    edges = jittered_box(mask, np.random.default_rng(0), 0)
    assert edges == (3, 4, 10, 12)
    assert box_prompt(edges).xyxy == Mask.from_dense(mask).box == (3, 4, 9, 11)


def test_a_box_thinner_than_a_pixel_is_the_tight_one() -> None:
    one = rectangle(29, 19, 30, 20)
    found = {jittered_box(one, np.random.default_rng(seed), 0.3) for seed in range(50)}
    assert (29, 19, 30, 20) in found and len(found) < 50
    assert all(box_prompt(edges).x1 >= box_prompt(edges).x0 for edges in found)


def test_a_key_is_a_seed() -> None:
    draws = [key_generator(key).random() for key in ("a_0", "a_0", "a_1")]
    assert draws[0] == draws[1] != draws[2]


def test_clicks_are_points() -> None:
    points = points_of([Click(3, 4, 1), Click(0, 9, 0)])
    assert points.xy == ((3, 4), (0, 9)) and points.labels == (1, 0)


@given(pair=masks(), amount=st.integers(0, 30).map(lambda percent: percent / 100))
@settings(max_examples=50, deadline=None)
def test_boxes_stay_inside_and_near(pair: tuple[ndarray, ndarray], amount: float) -> None:
    mask = pair[0]
    if not mask.any():
        return
    tight = jittered_box(mask, np.random.default_rng(0), 0)
    box = jittered_box(mask, np.random.default_rng(1), amount)
    height, width = mask.shape
    assert 0 <= box[0] <= box[2] - 1 and 0 <= box[1] <= box[3] - 1 and box[2] <= width and box[3] <= height
    for index, extent in enumerate([tight[2] - tight[0], tight[3] - tight[1]] * 2):
        assert abs(box[index] - tight[index]) <= amount * extent + 1e-9


@given(pair=masks(), clicks=st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_clicks_and_boxes_are_those_of_the_judge(
    judge: ModuleType, pair: tuple[ndarray, ndarray], clicks: int
) -> None:
    predicted, truth = pair
    for mask in pair:
        if mask.any():
            assert deepest_point(mask) == judge.deepest_point(mask)[0]
            ours = jittered_box(mask, key_generator("p_1"), 0.07)
            assert ours == judge.jittered_box(mask, "p_1", 0.07)
    for rule in ("area", "depth"):
        used: list[tuple[int, int]] = []
        for _ in range(clicks + 1):
            ours = next_click(predicted, truth, used, rule)
            theirs = judge.next_click(predicted, truth, used, rule)
            assert (ours and ((ours.x, ours.y), ours.label)) == theirs
            if ours is None:
                break
            used.append((ours.x, ours.y))
