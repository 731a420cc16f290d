"""The edge of a mask: boundary pixels, distances, and rings of polygons that lose no pixel.

Rings follow the edges of the pixels, in image pixels where an integer is the middle of a pixel, so that
their corners end in .5. Foreground that touches only at a corner makes two rings.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

Ring = Float[ndarray, "_ 2"]
_Corners = Int[ndarray, "_ 2"]


def distance_inside(
    mask: Bool[ndarray, "height width"], *, beyond_is_background: bool = True
) -> Float[ndarray, "height width"]:
    """For each foreground pixel the distance to the nearest background pixel, middle to middle; else 0.

    `beyond_is_background` says whether the image's own edge counts; a mask that fills an image whose
    edge does not count is at a very large distance everywhere.
    """
    pad = 1 if beyond_is_background else 0
    padded = np.pad(mask.astype(np.uint8), pad)
    if not padded.size:
        return np.zeros(mask.shape, np.float32)
    far = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return far[pad : pad + mask.shape[0], pad : pad + mask.shape[1]].astype(np.float32)


def outline(mask: Bool[ndarray, "height width"], width: float | int = 1) -> Bool[ndarray, "height width"]:
    """The foreground pixels at most `width` pixels from the background; the image's edge counts."""
    return mask & (distance_inside(mask) <= width)


def polygons(mask: Bool[ndarray, "height width"], *, tolerance: float | int = 0) -> list[Ring]:
    """Closed rings (corners of x, y; the last joins the first) around the parts and around their holes.

    Outer rings and holes alternate in no order: a point is inside when an odd number of rings is around
    it. `tolerance` in pixels lets corners go; 0 keeps every pixel. Rings that shrink below three corners
    are left out.
    """
    rings = [corners - 0.5 for corners, _ in _rings(mask)]
    return rings if tolerance <= 0 else _simplified(rings, tolerance)


def bridged_polygons(mask: Bool[ndarray, "height width"], *, tolerance: float | int = 0) -> list[Ring]:
    """One ring for each part, its holes joined to it by a cut without width, for formats without holes.

    Filled by the odd-even rule each ring gives back its part, holes included.
    """
    found = _rings(mask)
    outer = [corners for corners, is_hole in found if not is_hole]
    holes = sorted((corners for corners, is_hole in found if is_hole), key=_top_left)
    for hole in holes:  # from the top, so that what is above a hole is already part of an outer ring
        x, y = _top_left(hole)[::-1]
        above = y - 1
        while above > 0 and mask[above - 1, x]:
            above -= 1
        index, position = _edge_at(outer, x, above)
        outer[index] = _joined(outer[index], position, hole, (x, above))
    rings = [corners - 0.5 for corners in outer]
    return rings if tolerance <= 0 else _simplified(rings, tolerance)


def _simplified(rings: list[Ring], tolerance: float | int) -> list[Ring]:
    """Rings with corners left out where the line moves by no more than `tolerance` pixels."""
    fewer = [cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0] for ring in rings]
    return [ring.astype(np.float64) for ring in fewer if len(ring) >= 3]


def _rings(mask: Bool[ndarray, "height width"]) -> list[tuple[_Corners, bool]]:
    """Every ring as corners on the grid between the pixels, with whether it is a hole."""
    corners, across, along = _linked_corners(mask)
    seen = np.zeros(len(corners), bool)
    rings: list[tuple[_Corners, bool]] = []
    for start in range(len(corners)):  # in rows: the first corner of a ring is its top left one
        if seen[start]:
            continue
        path: list[int] = []
        here = start
        while not seen[here]:
            there = int(across[here])
            seen[here] = seen[there] = True
            path += [here, there]
            here = int(along[there])
        x, y = corners[start]
        rings.append((corners[path], not mask[y, x]))
    return rings


def _linked_corners(mask: Bool[ndarray, "height width"]) -> tuple[_Corners, ndarray, ndarray]:
    """Corners (x, y) in rows, and for each the one its horizontal and its vertical edge leads to.

    A row of the grid holds its edges as pairs of neighbouring corners, a column as well. Where two parts
    touch at a corner it stands twice, and each copy keeps the two edges of one part.
    """
    padded = np.pad(mask, 1)
    top_left, top_right = padded[:-1, :-1], padded[:-1, 1:]
    bottom_left, bottom_right = padded[1:, :-1], padded[1:, 1:]
    odd = top_left ^ top_right ^ bottom_left ^ bottom_right
    saddle = ~odd & (top_left ^ top_right) & (top_left ^ bottom_left)
    y, x = np.nonzero(odd | saddle)
    copies = 1 + saddle[y, x]
    y, x, falling = (np.repeat(values, copies) for values in (y, x, (saddle & top_left)[y, x]))
    first = _first_of(copies)
    # The first copy has the edge to the left; of the vertical edges it has the upper one where the
    # foreground lies at the top left, else the lower one.
    upper = np.where(first, falling, ~falling)
    rows = np.arange(len(x))
    columns = np.lexsort((~upper, y, x))
    across, along = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    for order, partner in ((rows, across), (columns, along)):
        partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
    return np.stack([x, y], 1), across, along


def _first_of(copies: Int[ndarray, " n"]) -> Bool[ndarray, " total"]:
    """True at the first of each run of copies."""
    first = np.zeros(int(copies.sum()), bool)
    first[np.cumsum(copies) - copies] = True
    return first


def _top_left(ring: _Corners) -> tuple[int, int]:
    """The y and x of the highest corner, of those the leftmost."""
    y, x = min((int(y), int(x)) for x, y in ring)
    return y, x


def _edge_at(rings: list[_Corners], x: int, y: int) -> tuple[int, int]:
    """Which ring has a horizontal edge over pixel column x at height y, and after which corner."""
    for index, ring in enumerate(rings):
        after = np.roll(ring, -1, 0)
        low, high = np.minimum(ring[:, 0], after[:, 0]), np.maximum(ring[:, 0], after[:, 0])
        found = np.flatnonzero((ring[:, 1] == y) & (after[:, 1] == y) & (low <= x) & (high > x))
        if found.size:
            return index, int(found[0])
    raise AssertionError("a hole lies inside no ring")


def _joined(ring: _Corners, position: int, hole: _Corners, bridge: tuple[int, int]) -> _Corners:
    """The ring with a way from `bridge`, on its edge after `position`, to the hole, round it, and back."""
    y, x = _top_left(hole)
    start = int(np.flatnonzero((hole[:, 0] == x) & (hole[:, 1] == y))[0])
    round_hole = np.roll(hole, -start, 0)
    way = np.concatenate([[bridge], round_hole, round_hole[:1], [bridge]])
    return np.concatenate([ring[: position + 1], way, ring[position + 1 :]])
