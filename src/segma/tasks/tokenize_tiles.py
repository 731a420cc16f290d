"""How a large picture is cut into tiles for a tokenizer, whose cost grows with the square of the pixels.

A tile is encoded, and decoded, together with a margin around it that is thrown away afterwards, so that codes
beside a border know what lies beyond it. The tiles of decoding need not be those of encoding, and a file of
codes knows nothing of them. Everything is counted in cells of the grid of codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """Rows and columns to keep (`core`), and those to look at (`seen`), as (first, after the last)."""

    core_rows: tuple[int, int]
    core_columns: tuple[int, int]
    seen_rows: tuple[int, int]
    seen_columns: tuple[int, int]

    @property
    def core(self) -> tuple[slice, slice]:
        """What is kept, in the whole grid."""
        return slice(*self.core_rows), slice(*self.core_columns)

    @property
    def inner(self) -> tuple[slice, slice]:
        """What is kept, in what is seen."""
        (top, left), (rows, columns) = (self.seen_rows[0], self.seen_columns[0]), self.core
        return slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)

    @property
    def seen(self) -> tuple[slice, slice]:
        """What is looked at, in the whole grid."""
        return slice(*self.seen_rows), slice(*self.seen_columns)


def tiles_of(grid: tuple[int, int], *, side: int, margin: int, step: int) -> tuple[Tile, ...]:
    """Tiles of at most `side` cells square (the margin not counted) that cover a grid, row by row.

    All borders are multiples of `step` cells (the windows of the model), as are the sides of the grid.

    >>> [tile.core_columns for tile in tiles_of((8, 24), side=16, margin=4, step=4)]
    [(0, 12), (12, 24)]
    >>> tiles_of((8, 24), side=16, margin=4, step=4)[0].seen_columns
    (0, 16)
    """
    rows, columns = (_stretches(cells, side, margin, step) for cells in grid)
    return tuple(
        Tile(core_rows=top, seen_rows=seen_top, core_columns=left, seen_columns=seen_left)
        for (top, seen_top), (left, seen_left) in product(rows, columns)
    )


_Stretch = tuple[int, int]


def _stretches(cells: int, side: int, margin: int, step: int) -> list[tuple[_Stretch, _Stretch]]:
    """Along one axis: even stretches, each alone and with its margin."""
    steps = cells // step
    count = -(-cells // max(side // step * step, step))
    margin = -(-margin // step) * step
    borders = [index * steps // count * step for index in range(count + 1)]
    return [
        ((first, after), (max(0, first - margin), min(cells, after + margin)))
        for first, after in pairwise(borders)
    ]
