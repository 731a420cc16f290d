from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segma.training.config import PromptConfig
from segma.training.prompting import chosen_objects, compared_places, first_click, jittered, moved


def disc(radius: int, side: int = 64) -> np.ndarray:
    return cv2.circle(np.zeros((side, side), np.uint8), (side // 3, side // 2), radius, 1, -1)


@pytest.mark.parametrize("radius", [3, 9, 18])
def test_weighted_places_estimate_areas_without_bias(radius: int) -> None:
    mask, random = disc(radius), np.random.default_rng(0)
    areas: list[float] = []
    wholes: list[float] = []
    for _ in range(200):
        _, inside, weights, _ = compared_places(mask, 256, random)
        areas.append(float(weights[inside].sum()))
        wholes.append(float(weights.sum()))
    for found, truth in ((areas, mask.sum()), (wholes, mask.size)):
        error = np.std(found) / len(found) ** 0.5
        assert abs(np.mean(found) - truth) < 4 * error + 1e-3 * truth


def test_places_lie_in_the_picture_and_know_what_is_there() -> None:
    mask, random = disc(9), np.random.default_rng(1)
    places, inside, weights, edge = compared_places(mask, 512, random)
    cells = np.floor(places + 0.5).astype(int)
    assert places.min() >= -0.5
    assert places.max() <= 63.5
    assert np.array_equal(mask[cells[:, 1].clip(0, 63), cells[:, 0].clip(0, 63)] > 0, inside)
    assert (weights > 0).all()
    middle = np.hypot(*(places - (21, 32)).T)
    assert edge[np.abs(middle - 9) < 1].all()
    assert not edge[np.abs(middle - 9) > 4].any()
    assert inside.mean() > 2 * mask.mean()  # more places in the object than it has of the picture


@settings(max_examples=30)
@given(st.integers(0, 2**31 - 1), st.integers(1, 20), st.booleans())
def test_a_first_click_is_on_the_object(seed: int, radius: int, inner: bool) -> None:
    mask = disc(radius)
    x, y = first_click(mask, float(inner), np.random.default_rng(seed))
    assert mask[y, x]
    if inner:
        assert np.hypot(x - 21, y - 32) <= 0.5 * radius + 2


@settings(max_examples=30)
@given(st.integers(0, 2**31 - 1), st.floats(0, 0.5))
def test_a_jittered_box_is_near_the_tight_one(seed: int, jitter: float) -> None:
    x0, y0, x1, y1 = jittered(disc(10), jitter, np.random.default_rng(seed))
    tight = np.array([10.5, 21.5, 31.5, 42.5])
    assert np.abs(np.array([x0, y0, x1, y1]) - tight).max() <= jitter * 21 + 1e-6
    assert x0 < x1
    assert y0 < y1


def test_objects_that_fill_the_picture_are_not_asked_about_and_few_are_asked_again() -> None:
    random = np.random.default_rng(0)
    full, small = np.ones((64, 64), np.uint8), disc(5)
    config = PromptConfig(objects=4, least=3)
    assert chosen_objects([full], config, random) == []
    assert chosen_objects([], config, random) == []
    assert chosen_objects([full, small], config, random) == [1, 1, 1]
    assert sorted(chosen_objects([small] * 4, config, random)) == [0, 1, 2, 3]


def test_a_moved_mask_is_near_where_it_was() -> None:
    mask, random = disc(9), np.random.default_rng(2)
    found = [moved(mask, random) for _ in range(200)]
    overlaps = np.array([np.count_nonzero(each & mask) / np.count_nonzero(each | mask) for each in found])
    areas = np.array([np.count_nonzero(each) for each in found]) / np.count_nonzero(mask)
    assert 0.55 < np.mean(overlaps) < 0.9
    assert (overlaps < 0.999).mean() > 0.9
    assert 0.85 < np.median(areas) < 1.15
    assert areas.min() < 0.8
    assert areas.max() > 1.2
    middles = np.array([np.argwhere(each).mean(0) for each in found])
    assert np.abs(middles.mean(0) - np.argwhere(mask).mean(0)).max() < 0.5


def test_a_mask_that_would_be_gone_stays() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[5, 7] = 1
    random = np.random.default_rng(0)
    assert all(moved(mask, random).any() for _ in range(50))
