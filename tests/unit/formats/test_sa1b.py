from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as pycoco

from segma.errors import FormatError, InputError
from segma.formats import sa1b
from segma.samples import ImageSample

# the decoder of pycocotools, the foreign reader here, is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_round_trip_and_foreign_pixels(sample: ImageSample, tmp_path: Path):
    report = sa1b.write([sample], tmp_path / "a.sa1b.json")
    assert report.written == 7 and report.lost == ()
    assert sa1b.read(tmp_path / "a.sa1b.json") == [sample]
    document = json.loads((tmp_path / "a.sa1b.json").read_text())
    for each, row in zip(sample.objects, document["annotations"], strict=True):
        assert np.array_equal(pycoco.decode(row["segmentation"]).astype(bool), each.mask.dense())


def test_what_stands_in_the_file(sample: ImageSample):
    document = sa1b.to_document(sample)
    assert document["image"] == {"image_id": 7, "width": 43, "height": 31, "file_name": "photos/truck.jpg"}
    first, column = document["annotations"][0], document["annotations"][5]
    assert set(first) == {
        "id", "segmentation", "bbox", "area", "predicted_iou", "stability_score", "crop_box", "point_coords"
    }  # fmt: skip
    assert first["crop_box"] == [0, 0, 43, 31] and first["point_coords"] == [[3.5, 7.0]]
    assert column["bbox"] == [7, 0, 0, 30] and column["area"] == 31
    assert document["annotations"][1]["stability_score"] is None


def test_many_images_make_a_folder(sample: ImageSample, tmp_path: Path):
    second = replace(sample, file_name="b.png", image_id=None, objects=sample.objects[:1])
    sa1b.write([sample, second], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.json", "truck.json"]
    assert sa1b.read(tmp_path / "out") == [replace(second, image_id=2), sample]
    with pytest.raises(InputError):
        sa1b.write([sample], tmp_path / "out")
    with pytest.raises(FormatError, match="same name") as caught:
        sa1b.write([sample, replace(sample, file_name="other/truck.png")], tmp_path / "two")
    assert caught.value.code == "format.loss"


def test_losses_are_reported(labelled: list[ImageSample], tmp_path: Path):
    report = sa1b.write(labelled, tmp_path / "out")
    assert report.lost == ("3 labels", "1 objects' attributes", "1 crowd marks")


def test_coco_files_are_recognised(tmp_path: Path):
    (tmp_path / "x.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(FormatError, match="looks like COCO"):
        sa1b.read(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("file_name", "../../x.jpg", "input.outside"),
        ("width", 44, "format.bad"),
        ("height", 10**9, "format.bad"),
        ("image_id", None, "format.bad"),
    ],
)
def test_broken_files(key: str, value: object, code: str, sample: ImageSample, tmp_path: Path):
    document = sa1b.to_document(sample)
    document["image"][key] = value
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises((FormatError, InputError), match=r"x\.json") as caught:
        sa1b.read(tmp_path / "x.json")
    assert caught.value.code == code
