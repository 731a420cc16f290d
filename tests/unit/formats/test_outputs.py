from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segma.errors import FormatError, InputError
from segma.formats import coco, outputs, png, sa1b
from segma.masks.mask import CompactMasks
from segma.media.draw import overlay
from segma.media.image import read_image, read_mask, read_palette
from segma.samples import ImageSample

PICTURE = np.random.default_rng(2).integers(0, 256, (31, 43, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "mask"),
        ("A.PNG", "mask"),
        ("a.overlay.png", "overlay"),
        ("a.overlay.jpg", "overlay"),
        ("a.cutout.png", "cutout"),
        ("a.sheet.png", "sheet"),
        ("a.sheet.jpg", "sheet"),
        ("a.coco.json", "coco"),
        ("a.sa1b.json", "sa1b"),
        ("a.json", "sa1b"),
        ("a.csv", "csv"),
        ("masks", "masks"),
    ],
)
def test_the_name_says_the_kind(name: str, kind: str):
    assert outputs.kind_of(Path("some.folder") / name) == kind


@pytest.mark.parametrize("name", ["a.jpg", "a.txt", "a.coco.xml"])
def test_other_names_list_the_kinds(name: str, sample: ImageSample, tmp_path: Path):
    with pytest.raises(FormatError, match=r"Kinds: mask \(\.png\); overlay .*masks \(a folder\)") as caught:
        outputs.write(sample, PICTURE, tmp_path / name)
    assert caught.value.code == "format.unknown" and name in caught.value.message
    with pytest.raises(FormatError, match="No output kind 'hologram'"):
        outputs.write(sample, PICTURE, tmp_path / "a.png", kind="hologram")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", outputs.KINDS)
def test_every_kind_is_written_and_protected(kind: str, sample: ImageSample, tmp_path: Path):
    row = outputs.KINDS[kind]
    for suffix in row.suffixes or ("",):
        path = tmp_path / f"x{suffix}"
        assert outputs.kind_of(path) == kind and row.help
        assert outputs.write(sample, PICTURE, path) == path and path.exists()
        with pytest.raises(InputError) as caught:
            outputs.write(sample, PICTURE, path)
        assert caught.value.code == "input.exists"
        outputs.write(sample, PICTURE, path, overwrite=True)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("kind", outputs.KINDS)
def test_a_result_without_objects(kind: str, sample: ImageSample, tmp_path: Path):
    suffix = (outputs.KINDS[kind].suffixes or ("",))[0]
    path = outputs.write(replace(sample, objects=()), PICTURE, tmp_path / f"x{suffix}")
    assert path.exists()


def test_one_object_is_black_and_white(sample: ImageSample, tmp_path: Path):
    one = replace(sample, objects=sample.objects[:1])
    path = outputs.write(one, None, tmp_path / "x.png")
    assert np.array_equal(read_mask(path), sample.objects[0].mask.dense())
    with Image.open(path) as image:
        assert image.mode == "L"


def test_several_objects_are_a_palette_where_the_lowest_id_wins(
    sample: ImageSample, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "segma"):
        ids = read_palette(outputs.write(sample, None, tmp_path / "x.png"))
    masks = np.stack([each.mask.dense() for each in sample.objects])
    expected = np.where(masks.any(0), masks.argmax(0) + 1, 0)
    assert np.array_equal(ids, expected)
    assert f"{(masks.sum(0) > 1).sum()} pixels lie in several" in caplog.text


def test_pictures(sample: ImageSample, tmp_path: Path):
    masks = CompactMasks([each.mask for each in sample.objects], sample.size)
    drawn = read_image(outputs.write(sample, PICTURE, tmp_path / "x.overlay.png"))
    assert np.array_equal(drawn, overlay(PICTURE, masks))
    ring = replace(sample, objects=(sample.objects[0], sample.objects[4]))
    with Image.open(outputs.write(ring, PICTURE, tmp_path / "x.cutout.png")) as image:
        alpha = np.asarray(image)[..., 3] > 0
    assert np.array_equal(alpha, sample.objects[0].mask.dense() | sample.objects[4].mask.dense())
    assert read_image(outputs.write(sample, PICTURE, tmp_path / "x.sheet.jpg")).shape[1] > 500


def test_annotations(sample: ImageSample, tmp_path: Path):
    assert coco.read(outputs.write(sample, None, tmp_path / "x.coco.json")) == [sample]
    assert sa1b.read(outputs.write(sample, None, tmp_path / "x.json")) == [sample]
    assert len(png.read(outputs.write(sample, None, tmp_path / "v1.2", kind="masks"))[0].objects) == 7


@pytest.mark.parametrize("name", ["x.overlay.png", "x.cutout.png", "x.sheet.png"])
def test_pictures_need_the_picture(name: str, sample: ImageSample, tmp_path: Path):
    with pytest.raises(InputError, match="needs the picture") as caught:
        outputs.write(sample, None, tmp_path / name)
    assert caught.value.code == "input.value"


def test_a_kind_keeps_its_file_format(sample: ImageSample, tmp_path: Path):
    with pytest.raises(FormatError, match="a mask is a PNG"):
        outputs.write(sample, None, tmp_path / "x.jpg", kind="mask")
    with pytest.raises(FormatError, match="alpha"):
        outputs.write(sample, PICTURE, tmp_path / "x.jpg", kind="cutout")
