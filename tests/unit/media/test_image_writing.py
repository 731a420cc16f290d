from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segma.errors import FormatError, InputError
from segma.media.image import (
    read_image,
    read_mask,
    read_palette,
    voc_palette,
    write_image,
    write_mask,
    write_palette,
)

PICTURE = np.random.default_rng(3).integers(0, 256, (13, 21, 3), np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.TIFF", "a.bmp"])
def test_written_pictures_come_back(name: str, tmp_path: Path):
    assert np.array_equal(read_image(write_image(PICTURE, tmp_path / name)), PICTURE)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.webp"])
def test_written_photos_come_back_nearly(name: str, tmp_path: Path):
    smooth = np.full((20, 30, 3), (200, 90, 30), np.uint8)
    assert np.abs(read_image(write_image(smooth, tmp_path / name)).astype(int) - smooth).max() < 6


def test_alpha_is_written_where_it_fits(tmp_path: Path):
    rgba = np.dstack([PICTURE, PICTURE[:, :, 0]])
    write_image(rgba, tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), rgba)
    with pytest.raises(FormatError, match="alpha") as caught:
        write_image(rgba, tmp_path / "a.jpg")
    assert caught.value.code == "format.loss" and not (tmp_path / "a.jpg").exists()


def test_names_and_sizes_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(FormatError, match=r"Known: \.png") as caught:
        write_image(PICTURE, tmp_path / "a.xyz")
    assert caught.value.code == "format.unknown"
    with pytest.raises(FormatError, match="70000x1") as caught:
        write_image(np.zeros((1, 70_000, 3), np.uint8), tmp_path / "wide.jpg")
    assert caught.value.code == "format.loss" and list(tmp_path.iterdir()) == []


def test_masks_are_black_and_white(tmp_path: Path):
    mask = PICTURE[:, :, 0] > 128
    path = write_mask(mask, tmp_path / "m.png")
    with Image.open(path) as image:
        assert image.mode == "L" and np.array_equal(np.asarray(image), mask * np.uint8(255))
    assert np.array_equal(read_mask(path), mask)


def test_palettes_hold_ids_in_the_colours_of_voc(tmp_path: Path):
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = write_palette(ids, tmp_path / "p.png")
    with Image.open(path) as image:
        assert image.mode == "P" and image.getpalette() == voc_palette().reshape(-1).tolist()
    assert np.array_equal(read_palette(path), ids)
    assert np.array_equal(read_mask(path), ids > 0)
    assert np.array_equal(read_image(path), voc_palette()[ids])
    assert voc_palette()[[1, 8, 255]].tolist() == [[128, 0, 0], [64, 0, 0], [224, 224, 192]]


def test_masks_of_other_files(tmp_path: Path):
    mask = PICTURE[:, :, 0] > 128
    Image.fromarray(mask).save(tmp_path / "bits.png")
    Image.fromarray(np.dstack([mask * np.uint8(0), mask * np.uint8(3), mask * np.uint8(0)])).save(
        tmp_path / "rgb.png"
    )
    assert np.array_equal(read_mask(tmp_path / "bits.png"), mask)
    assert np.array_equal(read_mask(tmp_path / "rgb.png"), mask)
    with pytest.raises(InputError, match="colours"):
        read_palette(tmp_path / "rgb.png")
