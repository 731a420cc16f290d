from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as pycocotools

from segma.errors import FormatError
from segma.masks.mask import CompactMasks, Mask

coco: Any = pycocotools  # its stubs are wrong about what it takes and gives

# the decoder of pycocotools, the foreign reader here, is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def noise(seed: int, density: float, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).random(size) < density


sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))
densities = st.sampled_from([0.0, 0.03, 0.5, 1.0])


@given(st.integers(0, 999), densities, sizes)
def test_coco_object_is_that_of_pycocotools_on_the_whole_image(
    seed: int, density: float, size: tuple[int, int]
):
    dense = noise(seed, density, size)
    mask = Mask.from_dense(dense)
    foreign = coco.encode(np.asfortranarray(dense.astype(np.uint8)))
    assert mask.to_coco() == {"size": list(size), "counts": foreign["counts"].decode()}
    assert np.array_equal(coco.decode(mask.to_coco()).astype(bool), dense)
    assert np.array_equal(mask.dense(), dense)
    assert mask.area == dense.sum()
    assert Mask.from_coco(json.loads(json.dumps(mask.to_coco()))) == mask
    assert Mask.from_coco({"size": list(size), "counts": mask.runs().tolist()}) == mask
    assert Mask.from_coco({"size": list(size), "counts": foreign["counts"]}) == mask


@given(st.integers(0, 999), densities, sizes)
def test_box_names_the_outermost_pixels(seed: int, density: float, size: tuple[int, int]):
    dense = noise(seed, density, size)
    mask = Mask.from_dense(dense)
    y, x = np.nonzero(dense)
    expected = (x.min(), y.min(), x.max(), y.max()) if len(x) else (0, 0, 0, 0)
    assert mask.box == expected
    if len(x):
        assert Mask.from_dense(dense, within=mask.box) == mask


@given(st.integers(0, 999), densities, sizes, st.integers(0, 7), st.integers(0, 7))
def test_moved_is_pasting(seed: int, density: float, size: tuple[int, int], down: int, right: int):
    dense = noise(seed, density, size)
    pasted = np.pad(dense, ((down, 2), (right, 3)))
    assert Mask.from_dense(dense).moved((down, right), pasted.shape) == Mask.from_dense(pasted)


def test_empty_and_full():
    empty = Mask.from_dense(np.zeros((3, 5), bool))
    full = Mask.from_dense(np.ones((3, 5), bool))
    assert (empty.area, empty.box, empty.crop().shape) == (0, (0, 0, 0, 0), (0, 0))
    assert empty.to_coco() == {
        "size": [3, 5],
        "counts": coco.encode(np.zeros((3, 5), np.uint8, order="F"))["counts"].decode(),
    }
    assert full.runs().tolist() == [0, 15]
    assert not empty.dense().any() and full.dense().all()


def test_equal_pixels_make_equal_masks_however_they_came():
    dense = np.zeros((9, 9), bool)
    dense[2:4, 5:8] = True
    crop = np.zeros((6, 6), bool)
    crop[1:3, 2:5] = True
    assert Mask.from_crop(crop, (1, 3), (9, 9)) == Mask.from_dense(dense)
    assert hash(Mask.from_crop(crop, (1, 3), (9, 9))) == hash(Mask.from_dense(dense))


LIES = [
    ({"size": [2, 3], "counts": [5]}, "rle sums to 5, image is 3x2 = 6"),
    ({"size": [2, 3], "counts": [9, -3]}, "rle sums to 6"),
    ({"size": [2, 3], "counts": [2**63 - 1, 2**63 - 1, 8]}, "rle sums"),
    ({"size": [2, 3], "counts": [1.5, 4.5]}, "whole numbers"),
    ({"size": [2, 3], "counts": [[6]]}, "whole numbers"),
    ({"size": [2, 3], "counts": "\u00e9"}, "cannot be read"),
    ({"size": [2, 3], "counts": "oooo"}, "cannot be read"),
    ({"size": [2, 3], "counts": ""}, "rle sums to 0"),
    ({"size": [40000, 40000], "counts": [1600000000]}, "claims 40000x40000"),
    ({"size": [-2, -3], "counts": [6]}, "claims"),
    ({"size": [2], "counts": [2]}, "cannot be read"),
    ({"size": [2, 3]}, "cannot be read"),
    ({"counts": [6]}, "cannot be read"),
]


@pytest.mark.parametrize(("data", "says"), LIES)
def test_lies_are_refused(data: Any, says: str):
    with pytest.raises(FormatError, match=says) as caught:
        Mask.from_coco(data)
    assert caught.value.code == "format.bad"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_any_text_is_a_mask_or_refused(text: str):
    try:
        mask = Mask.from_coco({"size": [4, 5], "counts": text})
    except FormatError:
        return
    assert Mask.from_coco(mask.to_coco()) == mask


def test_compact_masks_are_a_sequence():
    dense = np.stack([noise(seed, 0.4, (6, 7)) for seed in range(3)])
    masks = CompactMasks((Mask.from_dense(each) for each in dense), (6, 7))
    assert np.array_equal(masks.dense(), dense)
    assert (len(masks), list(masks)[1], masks[1:].size) == (3, masks[1], (6, 7))
    assert masks[1:] == CompactMasks([masks[1], masks[2]], (6, 7))
    assert masks.areas.tolist() == dense.sum((1, 2)).tolist()
    assert masks.boxes.shape == (3, 4) and masks.boxes.dtype == np.float32
    assert pickle.loads(pickle.dumps(masks)) == masks
    assert "\n" not in repr(masks) and "3 of 7x6" in repr(masks)


def test_no_masks():
    none = CompactMasks((), (6, 7))
    assert none.dense().shape == (0, 6, 7) and none.boxes.shape == (0, 4) and none.areas.shape == (0,)
