"""Grids of clicks and layers of crops against values worked out by hand."""

from __future__ import annotations

import numpy as np

from segma.geometry.grids import crop_boxes, layer_grids, point_grid


def test_a_grid_holds_the_centres_of_its_cells_x_running_fastest() -> None:
    assert point_grid(1).tolist() == [[0.5, 0.5]]
    sixth = 1 / 6
    expected = [[x, y] for y in (sixth, 0.5, 5 * sixth) for x in (sixth, 0.5, 5 * sixth)]
    np.testing.assert_allclose(point_grid(3), expected)


def test_layers_are_thinned_by_the_factor_and_never_empty() -> None:
    assert [len(grid) for grid in layer_grids(8, 2, 2)] == [64, 16, 4]
    assert [len(grid) for grid in layer_grids(7, 1, 2)] == [49, 9]  # 3.5 is cut to 3
    assert [len(grid) for grid in layer_grids(4, 2, 4)] == [16, 1, 1]
    assert [len(grid) for grid in layer_grids(3, 2, 1)] == [9, 9, 9]


def test_without_layers_there_is_the_image_alone() -> None:
    assert crop_boxes((700, 500), 0, 0.5) == [((0, 0, 500, 700), 0)]


def test_crops_of_one_layer() -> None:
    # Overlap: int(512 / 1500 * 500 * 2 / 2) = 170. Widths ceil((170 + 500) / 2) = 335, heights 435.
    expected = [
        ((0, 0, 500, 700), 0),
        ((0, 0, 335, 435), 1),
        ((0, 265, 335, 700), 1),
        ((165, 0, 500, 435), 1),
        ((165, 265, 500, 700), 1),
    ]
    assert crop_boxes((700, 500), 1, 512 / 1500) == expected


def test_the_overlap_halves_from_layer_to_layer_and_crops_end_at_the_image() -> None:
    boxes = crop_boxes((101, 103), 2, 0.2)
    layers = [layer for _, layer in boxes]
    assert layers == [0] + [1] * 4 + [2] * 16
    # Layer 1: overlap int(0.2 * 101) = 20, width ceil(123 / 2) = 62, height ceil(121 / 2) = 61.
    assert boxes[1:5] == [
        ((0, 0, 62, 61), 1),
        ((0, 41, 62, 101), 1),
        ((42, 0, 103, 61), 1),
        ((42, 41, 103, 101), 1),
    ]
    # Layer 2: overlap int(0.2 * 101 / 2) = 10, width ceil((30 + 103) / 4) = 34, height ceil(131 / 4) = 33.
    assert boxes[5][0] == (0, 0, 34, 33)
    assert boxes[6][0] == (0, 23, 34, 56)
    assert boxes[20][0] == (72, 69, 103, 101)


def test_crops_cover_the_image_and_none_is_empty() -> None:
    for size in ((37, 91), (128, 64), (5, 5), (1, 1), (1, 300)):
        covered = np.zeros(size, bool)
        for (x0, y0, x1, y1), layer in crop_boxes(size, 2, 0.3):
            assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
            if layer == 2:
                covered[y0:y1, x0:x1] = True
        assert covered.all()
