from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as pycocotools

from segma.masks.boundary import Ring, bridged_polygons, distance_inside, outline, polygons

coco: Any = pycocotools  # its stubs are wrong about what it takes and gives

# the decoder of pycocotools, the foreign reader here, is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def disc(side: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return x**2 + y**2 <= radius**2


def inside_rings(rings: list[Ring], size: tuple[int, int]) -> np.ndarray:
    """Pixels whose middle has an odd number of ring edges to its left, by the definition."""
    middles_y, middles_x = np.mgrid[: size[0], : size[1]]
    odd = np.zeros(size, bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0), strict=True):
            if y0 != y1:
                slope = (x1 - x0) / (y1 - y0)
                crosses = (min(y0, y1) <= middles_y) & (middles_y < max(y0, y1))
                odd ^= crosses & (x0 + slope * (middles_y - y0) < middles_x)
    return odd


def test_a_square_has_four_corners_between_the_pixels():
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:5] = True
    (ring,) = polygons(mask)
    assert sorted(map(tuple, ring.tolist())) == [(1.5, 0.5), (1.5, 2.5), (4.5, 0.5), (4.5, 2.5)]


def test_parts_that_touch_at_a_corner_are_two_rings():
    assert [len(ring) for ring in polygons(np.eye(2, dtype=bool))] == [4, 4]
    assert len(polygons(~np.eye(2, dtype=bool))) == 2


def test_a_hole_is_a_ring_of_its_own_or_bridged():
    mask = disc(21, 9) & ~disc(21, 4)
    assert len(polygons(mask)) == 2
    assert len(bridged_polygons(mask)) == 1


@given(st.integers(0, 9999), st.integers(1, 14), st.integers(1, 14), st.floats(0, 1))
def test_rings_lose_no_pixel(seed: int, height: int, width: int, density: float):
    mask = np.random.default_rng(seed).random((height, width)) < density
    assert np.array_equal(inside_rings(polygons(mask), mask.shape), mask)
    rings = [(ring + 0.5).reshape(-1).tolist() for ring in bridged_polygons(mask)]
    if rings:
        foreign = coco.decode(coco.merge(coco.frPyObjects(rings, height, width)))
        assert np.array_equal(foreign.astype(bool), mask)
    else:
        assert not mask.any()


def test_nothing_has_no_rings():
    assert polygons(np.zeros((4, 4), bool)) == bridged_polygons(np.zeros((4, 4), bool)) == []


def test_tolerance_saves_corners_and_keeps_nearly_all_pixels():
    mask = disc(201, 80)
    (exact,), (rough,) = polygons(mask), polygons(mask, tolerance=1)
    assert len(rough) * 5 < len(exact)
    found = inside_rings([rough], mask.shape)
    assert (found & mask).sum() / (found | mask).sum() > 0.97
    assert len(bridged_polygons(mask, tolerance=1)[0]) == len(rough)


def test_distance_is_from_middle_to_middle():
    mask = np.ones((1, 5), bool)
    assert distance_inside(mask).tolist() == [[1, 1, 1, 1, 1]]
    mask[0, 0] = False
    assert distance_inside(mask, beyond_is_background=False).tolist() == [[0, 1, 2, 3, 4]]
    assert distance_inside(np.zeros((0, 3), bool)).shape == (0, 3)


@pytest.mark.parametrize("width", [1, 2.5])
def test_outline(width: float):
    mask = disc(41, 15)
    ring = outline(mask, width)
    assert ring.any() and not (ring & ~mask).any()
    y, x = np.nonzero(ring)
    assert (np.hypot(x - 20, y - 20) > 15 - width - 1).all()
    assert outline(np.ones((3, 3), bool)).tolist() == [[True] * 3, [True, False, True], [True] * 3]
