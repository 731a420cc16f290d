"""Between image pixels and model pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segma.geometry.transforms import Transform

SIDES = st.integers(1, 5000)


@given(height=SIDES, width=SIDES, xy=st.tuples(st.floats(-10, 5000), st.floats(-10, 5000)))
def test_there_and_back_is_the_same_place(height: int, width: int, xy: tuple[float, float]) -> None:
    for transform in (Transform.pad((height, width), 1024), Transform.stretch((height, width), 1024)):
        place = np.array([xy, (0.0, 0.0)])
        np.testing.assert_allclose(
            transform.to_image(transform.to_model(place)), place, rtol=1e-12, atol=1e-9
        )


@given(height=SIDES, width=SIDES)
def test_the_longest_side_fills_the_square(height: int, width: int) -> None:
    transform = Transform.pad((height, width), 1024)
    assert max(transform.input_size) == 1024 and min(transform.input_size) >= 1
    far = transform.to_model(np.array([width, height], float))
    np.testing.assert_allclose(far, transform.input_size[::-1])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1200, 1800), (683, 1024)),  # 682.67 is rounded
        ((700, 500), (1024, 731)),
        ((1, 1), (1024, 1024)),
        ((2000, 1), (1024, 1)),  # half a pixel is not none
        ((1, 5000), (1, 1024)),
    ],
)
def test_sizes_are_rounded_half_up(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert Transform.pad(size, 1024).input_size == expected


def test_x_and_y_have_their_own_rounded_ratios() -> None:
    transform = Transform.pad((1200, 1800), 1024)
    np.testing.assert_array_equal(transform.scale, [1024 / 1800, 683 / 1200])
    stretched = Transform.stretch((1200, 1800), 1024)
    assert stretched.stretched and stretched.input_size == (1024, 1024)
    np.testing.assert_array_equal(stretched.to_model(np.array([[1800.0, 1200.0]])), [[1024, 1024]])
