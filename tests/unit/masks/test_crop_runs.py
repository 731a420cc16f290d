from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segma.masks import rle
from segma.masks.mask import Mask


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Masks of few pixels, most of them with an empty margin, some of them full columns."""
    size = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    mask = np.zeros(size, bool)
    top, left = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
    bottom, right = draw(st.integers(top, size[0])), draw(st.integers(left, size[1]))
    seed, share = draw(st.integers(0, 10**6)), draw(st.sampled_from([0.3, 0.7, 1.0]))
    inside = np.random.default_rng(seed).random((bottom - top, right - left)) < share
    mask[top:bottom, left:right] = inside
    return mask


@given(masks(), st.lists(st.integers(0, 60), max_size=3))
def test_a_mask_of_runs_equals_that_of_its_pixels(mask: np.ndarray, places: list[int]):
    runs = rle.runs(rle.encode(mask)).tolist()
    for place in places:  # empty runs, which COCO allows anywhere
        place = min(place, len(runs))
        runs[place:place] = [0, 0]
    found = Mask.from_coco({"size": list(mask.shape), "counts": runs})
    assert found == Mask.from_dense(mask)
    assert found == Mask.from_coco({"size": list(mask.shape), "counts": rle.encode(mask)})


@given(masks())
def test_crop_runs_undoes_shift_runs(mask: np.ndarray):
    runs = rle.runs(rle.encode(mask))
    cropped, offset, size = rle.crop_runs(runs, mask.shape)
    if mask.any():
        assert (rle.shift_runs(cropped, size, offset, mask.shape) == runs).all()
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert offset == (rows[0], columns[0])
        assert size == (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    else:
        assert (cropped.size, offset, size) == (0, (0, 0), (0, 0))


@pytest.mark.parametrize("value", [0, 1, -1, 15, 16, -16, -17, 2**20, -(2**20), 2**58, -(2**58)])
def test_runs_of_all_lengths(value: int):
    text, rest = b"", value
    while True:
        digit, rest = rest & 0x1F, rest >> 5
        done = rest == (-1 if digit & 0x10 else 0)
        text += bytes([48 + digit + 32 * (not done)])
        if done:
            break
    assert rle.runs(text + b"1" + text).tolist() == [value, 1, value]
