from __future__ import annotations

from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segma.masks.components import remove_small_regions


def picture(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


def unchanged(mask: np.ndarray, limit: int, mode: Literal["holes", "islands"]) -> bool:
    after, changed = remove_small_regions(mask, limit, mode)
    return not changed and np.array_equal(after, mask)


def test_holes_smaller_than_the_limit_are_filled():
    mask = picture("#####", "#.#.#", "#.###", "#####")
    filled, changed = remove_small_regions(mask, 2, "holes")
    assert changed and filled.tolist() == picture("#####", "#.###", "#.###", "#####").tolist()
    assert remove_small_regions(mask, 3, "holes")[0].all()


def test_background_at_the_edge_counts_as_a_hole():
    filled, changed = remove_small_regions(picture("##.", "###"), 2, "holes")
    assert changed and filled.all()


def test_diagonal_neighbours_belong_together():
    mask = picture("#..", ".#.", "..#")
    assert unchanged(mask, 3, "islands")
    alone, changed = remove_small_regions(picture("#..#", "#..."), 2, "islands")
    assert changed and alone.tolist() == picture("#...", "#...").tolist()
    holes = picture("####", "#.##", "##.#", "####")
    assert not remove_small_regions(holes, 2, "holes")[1]


def test_the_largest_island_stays_where_all_are_small():
    kept, changed = remove_small_regions(picture("#.##", "...."), 10, "islands")
    assert changed and kept.tolist() == picture("..##", "....").tolist()


def test_a_region_of_exactly_the_limit_stays():
    mask = picture("##..#")
    assert unchanged(mask, 1, "islands")
    assert remove_small_regions(mask, 2, "islands")[0].tolist() == picture("##...").tolist()


def test_empty_and_full_masks_have_nothing_to_remove():
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert unchanged(empty, 100, "islands") and unchanged(full, 100, "holes")


@given(st.integers(0, 9999), st.integers(0, 20))
def test_twice_is_once_and_the_mask_is_not_touched(seed: int, limit: int):
    mask = np.random.default_rng(seed).random((12, 13)) < 0.5
    before = mask.copy()
    islands, changed = remove_small_regions(mask, limit, "islands")
    holes, _ = remove_small_regions(mask, limit, "holes")
    assert np.array_equal(mask, before)
    assert not (islands & ~mask).any() and not (mask & ~holes).any()
    assert changed or np.array_equal(islands, mask)
    assert not remove_small_regions(holes, limit, "holes")[1]
