from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from segma.errors import InputError
from segma.masks.mask import CompactMasks, Mask
from segma.media.draw import PALETTE, cutout, overlay, screen_scale
from segma.media.sheet import caption, contact_sheet
from segma.prompts.types import Box, Points

SIZE = (60, 80)
PICTURE = np.random.default_rng(5).integers(40, 200, (*SIZE, 3), np.uint8)

# Matrices of Machado, Oliveira and Fernandes (2009) for linear RGB at full severity.
SIGHT = {
    "full": np.eye(3),
    "red-blind": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "green-blind": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "blue-blind": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def disc(x: float, y: float, radius: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def compact(*masks: np.ndarray) -> CompactMasks:
    return CompactMasks([Mask.from_dense(mask) for mask in masks], SIZE)


def oklab(linear: np.ndarray) -> np.ndarray:
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(linear.clip(0, 1) @ np.transpose(to_cones)) @ np.transpose(to_lab)


@pytest.mark.parametrize("sight", SIGHT)
def test_the_twelve_colours_stay_apart(sight: str):
    assert len(set(PALETTE)) == 12
    values = np.array(PALETTE) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = oklab(linear @ np.transpose(SIGHT[sight]))
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert nearest > 0.09  # about nine times what is just told apart


def test_overlay_fills_at_half_and_leaves_the_rest_alone():
    before = PICTURE.copy()
    mask = disc(40, 30, 15)
    drawn = overlay(PICTURE, compact(mask))
    assert np.array_equal(PICTURE, before)
    deep, far = disc(40, 30, 11), ~disc(40, 30, 19)
    assert np.array_equal(drawn[far], PICTURE[far])
    assert np.abs(drawn[deep].astype(float) - (PICTURE[deep] / 2 + np.array(PALETTE[0]) / 2)).max() <= 0.5


def test_the_border_is_solid_and_as_wide_as_asked():
    black = np.zeros((*SIZE, 3), np.uint8)
    half = np.zeros(SIZE, bool)
    half[:, :40] = True
    for width in (1.5, 4.0):
        drawn = overlay(black, compact(half), opacity=0.0, border_pixels=width, colours=[(200, 200, 200)])
        assert drawn[30, :, 0].sum() / 200 == pytest.approx(width, abs=0.2)
        assert drawn[30, 39:41].min() > 100 and drawn[30, 30].max() == 0
    assert not overlay(black, compact(half), opacity=0.0, border_pixels=0).any()


def test_small_masks_lie_on_top_and_keep_their_own_colour():
    masks = compact(disc(40, 30, 4), disc(40, 30, 20))
    drawn = overlay(PICTURE, masks, opacity=1.0, border_pixels=0)
    assert tuple(drawn[30, 40]) == PALETTE[0] and tuple(drawn[30, 55]) == PALETTE[1]
    many = compact(*[disc(5 + 5 * index, 30, 1) for index in range(13)])
    assert tuple(overlay(PICTURE, many, opacity=1.0, border_pixels=0)[30, 65]) == PALETTE[0]


@pytest.mark.parametrize("mask", [np.zeros(SIZE, bool), np.ones(SIZE, bool), disc(0, 0, 1), disc(79, 59, 0)])
def test_masks_at_the_edge(mask: np.ndarray):
    drawn = overlay(PICTURE, compact(mask))
    assert drawn.shape == PICTURE.shape and (drawn != PICTURE).any() == mask.any()


def test_markers_say_what_they_are():
    grey = np.full((*SIZE, 3), 128, np.uint8)
    drawn = overlay(grey, compact(), points=Points([(20.0, 30.0), (60.0, 30.0)], [1, 0]))
    include, exclude = drawn[30 + 4, 20 + 4], drawn[30 + 4, 60 + 4]
    assert include.max() < 90 and exclude[0] > 150 > exclude[1] + 50
    assert (drawn[30, [20, 60]] > 240).all()  # the bars of plus and minus
    assert (drawn[30 - 3, 20] > 240).all() and drawn[30 - 3, 60, 1] < 90  # only the plus stands upright
    assert (drawn[30, 20 - 9] > 200).all()  # the ring
    assert (drawn[30, 40] == 128).all()


def test_boxes_and_prompts_outside_do_no_harm():
    drawn = overlay(PICTURE, compact(), boxes=[Box(10.0, 10.0, 50.0, 40.0), Box(-1e9, -5.0, 1e9, 1e9)])
    assert (drawn[25, 10] > 200).all() and np.array_equal(drawn[20:30, 20:40], PICTURE[20:30, 20:40])
    assert overlay(PICTURE, compact(), points=Points([(1e12, -1e12)])).shape == PICTURE.shape


def test_lines_grow_with_large_pictures():
    assert screen_scale((720, 1280)) == 1 and screen_scale((2560, 100)) == 2


@pytest.mark.parametrize(
    "draw", [lambda image, mask: overlay(image, CompactMasks([mask], mask.size)), cutout]
)
def test_pictures_of_another_size_are_refused(draw: Callable[[np.ndarray, Mask], np.ndarray]):
    with pytest.raises(InputError, match="80x60, its masks are 9x9") as caught:
        draw(PICTURE, Mask.from_dense(np.ones((9, 9), bool)))
    assert caught.value.code == "input.array"


def test_a_cutout_has_the_pixels_of_the_object_and_nothing_else():
    mask = disc(40, 30, 15)
    cut = cutout(PICTURE, Mask.from_dense(mask))
    assert cut.shape == (*SIZE, 4)
    assert np.array_equal(cut[..., 3], mask * np.uint8(255))
    assert np.array_equal(cut[mask][:, :3], PICTURE[mask]) and not cut[~mask].any()


def test_grow_and_feather():
    mask = Mask.from_dense(disc(40, 30, 15))
    areas = [(cutout(PICTURE, mask, grow_pixels=grow)[..., 3] > 0).sum() for grow in (-3, 0, 3)]
    for area, radius in zip(areas, (12, 15, 18), strict=True):
        assert area == pytest.approx(np.pi * radius**2, rel=0.06)
    alpha = cutout(PICTURE, mask, feather_pixels=6)[30, :, 3]
    assert alpha[40] == 255 and alpha[40 + 19] == 0 and 90 < alpha[40 + 15] < 165
    assert (np.diff(alpha[40:].astype(int)) <= 0).all()


def test_an_object_cut_by_the_picture_stays_solid_there():
    mask = Mask.from_dense(disc(0, 30, 20))
    assert cutout(PICTURE, mask, feather_pixels=8)[30, 0, 3] == 255
    full = Mask.from_dense(np.ones(SIZE, bool))
    assert (cutout(PICTURE, full, feather_pixels=8, grow_pixels=-2)[..., 3] == 255).all()
    none = Mask.from_dense(np.zeros(SIZE, bool))
    assert not cutout(PICTURE, none, feather_pixels=8, grow_pixels=9).any()


def test_other_backgrounds():
    mask = disc(40, 30, 15)
    green = cutout(PICTURE, Mask.from_dense(mask), background=(0, 255, 0))
    assert np.array_equal(green[mask], PICTURE[mask]) and (green[~mask] == [0, 255, 0]).all()
    other = cutout(PICTURE, Mask.from_dense(mask), background=np.full((7, 9, 3), 77, np.uint8))
    assert (other[~mask] == 77).all()


@pytest.mark.parametrize("count", [0, 1, 5, 13])
def test_a_sheet_has_a_tile_for_each_mask(count: int):
    masks = compact(*[disc(5 + 5 * index, 30, 2 + index) for index in range(count)])
    sheet = contact_sheet(PICTURE, masks, columns=4, tile_pixels=100)
    none = contact_sheet(PICTURE, compact(), columns=4, tile_pixels=100)
    assert sheet.shape[1] == none.shape[1] == 4 * 116 + 16
    rows = -(-count // 4)
    assert (sheet.shape[0] - none.shape[0] > rows * 100) == (count > 0)
    assert rows * 100 <= sheet.shape[0] - none.shape[0] <= rows * 140 + 10


def test_tiles_show_the_object_on_a_plain_ground():
    red = np.full((*SIZE, 3), (200, 0, 0), np.uint8)
    sheet = contact_sheet(red, compact(disc(40, 30, 10)), columns=1, tile_pixels=100, captions=["x" * 500])
    tile = sheet[-(100 + 28 + 16) : -(28 + 16), 16:116]
    assert (tile[50, 50] == [200, 0, 0]).all() and (tile[2, 2] > 220).all()
    empty = contact_sheet(red, compact(np.zeros(SIZE, bool)), columns=1, tile_pixels=100)
    assert empty.shape == sheet.shape


def test_captions():
    mask = Mask.from_dense(np.ones((100, 582), bool))
    assert caption(mask, 0.934) == "0.93  58 200 px"
    assert caption(mask, None, "cup") == "cup  58 200 px"
