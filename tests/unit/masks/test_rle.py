from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from segma.masks import rle

# the decoder of pycocotools, the foreign reader here, is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@st.composite
def masks(draw: st.DrawFn, most: int = 24) -> np.ndarray:
    """Noise of any density, whole rows and columns, nothing and everything."""
    height, width = draw(st.integers(1, most)), draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    mask = rng.random((height, width)) < draw(st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]))
    if draw(st.booleans()):
        mask[:, rng.integers(width)] = draw(st.booleans())
    return mask


def counted(mask: np.ndarray) -> list[int]:
    """Run lengths by the definition: down the columns, background first."""
    flat = np.concatenate([[False], mask.T.reshape(-1)])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()


@given(masks(), st.lists(st.integers(-(2**40), 2**40), max_size=9))
def test_numpy_writes_what_pycocotools_writes(mask: np.ndarray, numbers: list[int]):
    theirs = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    assert rle._string(rle._counts(mask)) == theirs
    assert rle.runs(rle._string(np.array(numbers, np.int64))).tolist() == numbers


@given(masks())
def test_round_trip(mask: np.ndarray):
    counts = rle.encode(mask)
    assert np.array_equal(rle.decode(counts, mask.shape), mask)
    assert rle.area(counts, mask.shape) == mask.sum()


@given(masks())
def test_runs_are_those_of_the_definition_and_compress_back(mask: np.ndarray):
    counts = rle.runs(rle.encode(mask))
    assert counts.tolist() == counted(mask)
    assert rle.compress(counts, mask.shape) == rle.encode(mask)


@given(masks(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_shifted_runs_equal_those_of_the_pasted_mask(
    mask: np.ndarray, top: int, left: int, down: int, right: int
):
    whole = np.pad(mask, ((top, down), (left, right)))
    shifted = rle.shift_runs(rle.runs(rle.encode(mask)), mask.shape, (top, left), whole.shape)
    assert shifted.tolist() == counted(whole)
    assert (
        rle.compress(shifted, whole.shape) == coco.encode(np.asfortranarray(whole.astype(np.uint8)))["counts"]
    )


def test_long_runs():
    mask = np.zeros((3000, 2000), bool)
    mask[10:2900, 5:1900] = True
    assert rle.runs(rle.encode(mask)).tolist() == counted(mask)


@pytest.mark.parametrize("counts", [b"\x20", b"\xff", b"o", b"oooooooooooooooo0"])
def test_broken_strings(counts: bytes):
    with pytest.raises(ValueError, match="run"):
        rle.runs(counts)


@pytest.mark.parametrize("counts", [[1.5], [[1, 2]], ["1"], None, [None], {}, [True]])
def test_lists_that_are_no_runs(counts: object):
    with pytest.raises(ValueError, match="whole numbers"):
        rle.listed(counts)


def test_lists_of_whole_floats():
    assert rle.listed([4.0, 2]).tolist() == [4, 2]
