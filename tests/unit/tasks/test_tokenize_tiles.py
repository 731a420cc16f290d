"""Tiles cover a grid once, on the borders of windows, with as much margin as there is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from segma.tasks.tokenize_tiles import tiles_of


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    step=st.sampled_from([1, 2, 8]),
    side=st.integers(1, 40),
    margin=st.integers(0, 10),
)
def test_every_cell_is_kept_once(rows: int, columns: int, step: int, side: int, margin: int) -> None:
    grid = (rows * step, columns * step)
    count = np.zeros(grid, int)
    for tile in tiles_of(grid, side=side, margin=margin, step=step):
        count[tile.core] += 1
        assert np.zeros(grid)[tile.seen][tile.inner].shape == count[tile.core].shape
        for (first, after), (low, high), cells in (
            (tile.core_rows, tile.seen_rows, grid[0]),
            (tile.core_columns, tile.seen_columns, grid[1]),
        ):
            assert after - first <= max(side, step)
            assert not any(border % step for border in (first, after, low, high))
            assert low <= max(0, first - margin) and high >= min(cells, after + margin)
    assert (count == 1).all()


def test_a_grid_that_fits_is_one_tile() -> None:
    [tile] = tiles_of((64, 64), side=64, margin=8, step=8)
    assert tile.core == tile.seen == tile.inner == (slice(0, 64), slice(0, 64))
