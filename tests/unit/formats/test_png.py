from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segma.errors import FormatError, InputError
from segma.formats import png
from segma.samples import ImageSample

HEADER = (
    "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,stability_score,"
    "crop_box_x0,crop_box_y0,crop_box_w,crop_box_h"
)


def test_files_and_table(sample: ImageSample, tmp_path: Path):
    report = png.write_folder(sample, tmp_path / "truck")
    assert (report.written, report.lost) == (7, ())
    names = {path.name for path in (tmp_path / "truck").iterdir()}
    assert names == {"metadata.csv", *(f"{number}.png" for number in range(7))}
    for number, each in enumerate(sample.objects):
        with Image.open(tmp_path / "truck" / f"{number}.png") as image:
            assert image.mode == "L" and np.array_equal(np.asarray(image), each.mask.dense() * np.uint8(255))
    text = (tmp_path / "truck" / "metadata.csv").read_text()
    assert text.splitlines()[0] == HEADER
    rows = list(csv.DictReader(text.splitlines()))
    assert rows[5]["bbox_w"] == "0.0" and rows[5]["area"] == "31"
    assert rows[1]["stability_score"] == "" and rows[2]["point_input_x"] == "" and rows[3]["crop_box_w"] == ""


def test_round_trip(sample: ImageSample, tmp_path: Path):
    png.write([sample], tmp_path)
    assert png.read(tmp_path) == [replace(sample, file_name="truck", image_id=None)]
    assert png.read(tmp_path / "truck") == png.read(tmp_path)


def test_many_images_and_losses(labelled: list[ImageSample], tmp_path: Path):
    report = png.write(labelled, tmp_path / "out")
    assert report.written == 4 and "2 object ids, numbered by position" in report.lost
    found = png.read(tmp_path / "out")
    assert [image.file_name for image in found] == ["a", "c", "none"]
    assert found[2].objects == () and found[0].objects[1].mask == labelled[0].objects[1].mask
    with pytest.raises(FormatError, match="same name"):
        png.write([labelled[0], labelled[0]], tmp_path / "twice")


def test_overwriting_leaves_no_stale_masks_and_no_other_file_behind(sample: ImageSample, tmp_path: Path):
    png.write_folder(sample, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError) as caught:
        png.write_folder(sample, tmp_path)
    assert caught.value.code == "input.exists"
    png.write_folder(replace(sample, objects=sample.objects[:2]), tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "metadata.csv", "notes.txt"]
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        png.write_folder(sample, tmp_path / "file", overwrite=True)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("9,1,0,0,0,0,,,,,,,,", "9.png: no such file"),
        ("x,1,0,0,0,0,,,,,,,,", "invalid literal"),
        ("0,1,0,0,0,0,,,good,,,,,", "could not convert"),
    ],
)
def test_broken_tables(row: str, says: str, sample: ImageSample, tmp_path: Path):
    png.write_folder(sample, tmp_path / "t")
    (tmp_path / "t" / "metadata.csv").write_text(f"{HEADER}\n{row}\n")
    with pytest.raises(FormatError, match=r"t/metadata\.csv line 2: ") as caught:
        png.read(tmp_path / "t")
    assert says in str(caught.value)


def test_what_is_no_such_folder(sample: ImageSample, tmp_path: Path):
    with pytest.raises(InputError):
        png.read(tmp_path / "missing")
    with pytest.raises(FormatError, match=r"no metadata\.csv"):
        png.read(tmp_path)
    png.write_folder(sample, tmp_path / "t")
    (tmp_path / "t" / "metadata.csv").write_text("id,area\n0,3\n")
    with pytest.raises(FormatError, match="has no column"):
        png.read(tmp_path / "t")
    (tmp_path / "t" / "metadata.csv").write_bytes(b"\xff\xff")
    with pytest.raises(InputError):
        png.read(tmp_path / "t")
    (tmp_path / "t" / "metadata.csv").write_text(f"{HEADER}\n0{',' * 13}\n1{',' * 13}\n")
    Image.new("L", (3, 3)).save(tmp_path / "t" / "1.png")
    with pytest.raises(FormatError, match="2 different sizes"):
        png.read(tmp_path / "t")
