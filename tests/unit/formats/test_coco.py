from __future__ import annotations

import contextlib
import io
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as pycoco
from pycocotools.coco import COCO

from segma.errors import FormatError, InputError
from segma.formats import coco
from segma.samples import ImageSample

# the decoder of pycocotools, the foreign reader here, is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

OPTIONS = [{}, {"polygons": True}, {"crowd_rle": True}]


def foreign(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@pytest.mark.parametrize("options", OPTIONS)
def test_pycocotools_reads_equal_pixels(options: dict[str, bool], sample: ImageSample, tmp_path: Path):
    coco.write([sample], tmp_path / "a.coco.json", **options)
    other = foreign(tmp_path / "a.coco.json")
    assert other.getImgIds() == [7] and len(other.getAnnIds()) == len(sample.objects)
    for each, row in zip(sample.objects, other.loadAnns(other.getAnnIds()), strict=True):
        mask = each.mask.dense()
        assert np.array_equal(other.annToMask(row).astype(bool), mask)
        encoded = pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert row["area"] == mask.sum() == pycoco.area(encoded)
        assert row["bbox"] == pycoco.toBbox(encoded).tolist()
        assert row["iscrowd"] == int("crowd_rle" in options)


@pytest.mark.parametrize("options", [{}, {"polygons": True}])
def test_round_trip(
    options: dict[str, bool], sample: ImageSample, labelled: list[ImageSample], tmp_path: Path
):
    report = coco.write([sample, *labelled], tmp_path / "a.coco.json", **options)
    assert report.written == 11 and report.lost == ()
    assert coco.read(tmp_path / "a.coco.json") == [sample, *labelled]


def test_crowd_form_keeps_the_masks_and_says_what_it_cost(labelled: list[ImageSample], tmp_path: Path):
    report = coco.write(labelled, tmp_path / "a.json", crowd_rle=True)
    assert report.lost == ("3 objects marked as crowd",)
    found = coco.read(tmp_path / "a.json")
    assert [each.mask for image in found for each in image.objects] == [
        each.mask for image in labelled for each in image.objects
    ]


def test_what_stands_in_the_file(sample: ImageSample, labelled: list[ImageSample]):
    document = coco.to_document([sample])
    assert set(document) == {"info", "licenses", "images", "annotations", "categories"}
    assert document["images"] == [{"id": 7, "width": 43, "height": 31, "file_name": "photos/truck.jpg"}]
    first = document["annotations"][0]
    assert (first["id"], first["image_id"], first["category_id"]) == (1, 7, 1)
    assert isinstance(first["segmentation"]["counts"], str) and first["segmentation"]["size"] == [31, 43]
    assert first["point_coords"] == [[3.5, 7.0]] and first["crop_box"] == [0, 0, 43, 31]
    assert "stability_score" not in document["annotations"][1] and "object_id" not in first
    names = [row["name"] for row in coco.to_document(labelled)["categories"]]
    assert names == ["cup", "object", "Bär, «ö»"]


def test_names_outside_and_ids_that_clash_are_reported(sample: ImageSample, tmp_path: Path):
    away = [
        replace(sample, file_name=name)
        for name in ("/home/me/a.jpg", "../b.jpg", "C:\\x\\c.jpg", "d.jpg", "")
    ]
    report = coco.write(away, tmp_path / "a.json")
    assert (
        report.lost[0] == "3 file names written without their folders" and "numbered anew" in report.lost[1]
    )
    found = coco.read(tmp_path / "a.json")
    assert [image.file_name for image in found] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", ""]
    assert [image.image_id for image in found] == [1, 2, 3, 4, 5]


def test_polygons_and_lists_of_other_programs(tmp_path: Path):
    document = base()
    document["annotations"] = [
        row(1, [[1, 1, 5, 1, 5, 4, 1, 4], [6, 0, 8, 0, 8, 2, 6, 2]]),
        row(2, {"size": [6, 8], "counts": [0, 48.0]}),
    ]
    (image,) = coco.read(stored(tmp_path, document))
    expected = np.zeros((6, 8), bool)
    expected[1:4, 1:5] = expected[0:2, 6:8] = True
    assert np.array_equal(image.objects[0].mask.dense(), expected)
    assert image.objects[1].mask.area == 48 and image.objects[1].label == "cup"


def test_boxes_without_masks_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    document = base()
    document["annotations"] = [row(1, []), row(2, {"size": [6, 8], "counts": [48]})]
    with caplog.at_level(logging.WARNING, "segma"):
        (image,) = coco.read(stored(tmp_path, document))
    assert [each.object_id for each in image.objects] == [2] and "1 annotations without" in caplog.text


def test_existing_files_stay(sample: ImageSample, tmp_path: Path):
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(InputError) as caught:
        coco.write([sample], tmp_path / "a.json")
    assert caught.value.code == "input.exists" and (tmp_path / "a.json").read_text() == "mine"
    coco.write([sample], tmp_path / "a.json", overwrite=True)
    assert coco.read(tmp_path / "a.json") == [sample]


# --- what is broken --------------------------------------------------------------------------------


def base() -> dict[str, Any]:
    return {
        "images": [{"id": 1, "width": 8, "height": 6, "file_name": "a.jpg"}],
        "annotations": [row(1, {"size": [6, 8], "counts": [48]})],
        "categories": [{"id": 1, "name": "cup", "supercategory": ""}],
    }


def row(number: int, segmentation: object) -> dict[str, Any]:
    return {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": segmentation}


def stored(folder: Path, document: object) -> Path:
    path = folder / "x.json"
    path.write_text(json.dumps(document, indent=1))
    return path


def changed(**changes: object) -> dict[str, Any]:
    document = base()
    for key, value in changes.items():
        document["annotations"][0][key] = value
    return document


BROKEN = [
    (
        changed(segmentation={"size": [6, 9], "counts": [54]}),
        "size is [6, 9], the image's [height, width] is [6, 8]",
    ),
    (changed(segmentation={"size": [6, 8], "counts": [47]}), "rle sums to 47, image is 8x6 = 48"),
    (changed(segmentation={"size": [6, 8], "counts": "!"}), "run lengths cannot be read"),
    (changed(segmentation={"size": [6, 8]}), "run lengths cannot be read"),
    (changed(segmentation={"counts": [48]}), "has no 'size'"),
    (changed(segmentation="text"), "neither run lengths nor polygons"),
    (changed(segmentation=[[1, 2, 3, 4]]), "a polygon has 4 numbers"),
    (changed(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "a polygon has 7 numbers"),
    (changed(segmentation=[[0, 0, 1e9, 0, 0, 5]]), "far longer than the image allows"),
    (changed(segmentation=[[0, 0, 1e999, 0, 0, 5]]), "no JSON"),
    (changed(segmentation=[["a", 0, 1, 0, 0, 5]]), "'a' is no number"),
    (changed(image_id=2), "there is no image 2"),
    (changed(image_id="1"), "'1' is no whole number"),
    (changed(category_id=5), "there is no category 5"),
    (changed(id=None), "None is no whole number"),
    (changed(predicted_iou="high"), "'high' is no number"),
    (changed(point_coords=[[1, 2, 3]]), "too many values"),
    (changed(crop_box=[1, 2]), "not enough values"),
    (changed(attributes=[1]), "no attribute"),
    (base() | {"annotations": base()["annotations"] * 2}, "two annotations 1"),
    (base() | {"annotations": [3]}, "not an object"),
    (base() | {"annotations": {}}, 'has no list "annotations"'),
    (base() | {"images": base()["images"] * 2}, "two images 1"),
    (
        base() | {"images": [{"id": 1, "width": 10**6, "height": 10**6, "file_name": "a"}]},
        "cannot have 1000000x1000000",
    ),
    (base() | {"images": [{"id": 1, "width": 0, "height": 6, "file_name": "a"}]}, "cannot have 0x6"),
    (base() | {"images": [{"id": 1, "width": 8.5, "height": 6, "file_name": "a"}]}, "8.5 is no whole number"),
    (base() | {"images": [{"id": 1, "width": 8, "height": 6}]}, "has no 'file_name'"),
    (base() | {"images": [{"id": 1, "width": 8, "height": 6, "file_name": 3}]}, "no name of a file"),
    (base() | {"categories": [{"name": "x"}]}, "has no 'id'"),
    ([], "the top is no object"),
]


@pytest.mark.parametrize(("document", "says"), BROKEN)
def test_broken_files_are_named_with_what_is_wrong(document: object, says: str, tmp_path: Path):
    with pytest.raises(FormatError) as caught:
        coco.read(stored(tmp_path, document))
    assert caught.value.code == "format.bad"
    assert says in caught.value.message and caught.value.message.startswith("x.json")
    assert "\n" not in str(caught.value)


def test_the_line_is_named(tmp_path: Path):
    document = base()
    document["annotations"].append(row(2, {"size": [6, 8], "counts": [40]}))
    path = stored(tmp_path, document)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if '"id": 2' in text) - 1
    with pytest.raises(FormatError, match=rf"^x.json line {line} \(annotations\[1\]\): rle sums to 40"):
        coco.read(path)


@pytest.mark.parametrize("text", ['{"images": [}', '{"a": NaN}', "", "\u0000", '{"images": ' + "[" * 10**5])
def test_what_is_no_json(text: str, tmp_path: Path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FormatError, match=r"x\.json.*no JSON") as caught:
        coco.read(tmp_path / "x.json")
    assert caught.value.code == "format.bad"


def test_broken_json_has_a_line_and_other_encodings_are_refused(tmp_path: Path):
    (tmp_path / "x.json").write_text('{\n"images": [\n}')
    with pytest.raises(FormatError, match=r"x\.json line 3: no JSON"):
        coco.read(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(FormatError, match="no JSON"):
        coco.read(tmp_path / "x.json")


@pytest.mark.parametrize(
    "name", ["../x.jpg", "/etc/x.jpg", "a/../../x.jpg", "..\\x.jpg", "C:\\x.jpg", "C:x.jpg", "\\\\s\\x"]
)
def test_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path):
    document = base()
    document["images"][0]["file_name"] = name
    with pytest.raises(InputError, match=r"x\.json line 3 \(images\[0\]\): .*leaves its folder") as caught:
        coco.read(stored(tmp_path, document))
    assert caught.value.code == "input.outside"


def test_missing_files_and_folders(tmp_path: Path):
    with pytest.raises(InputError, match="no such file") as caught:
        coco.read(tmp_path / "x.json")
    assert caught.value.code == "input.not_found"
    with pytest.raises(InputError) as caught:
        coco.read(tmp_path)
    assert caught.value.code == "input.unreadable"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["size", "counts", "id"]), inner)
    ),
    max_leaves=6,
)
FIELDS = [
    "id",
    "image_id",
    "category_id",
    "segmentation",
    "iscrowd",
    "object_id",
    "point_coords",
    "crop_box",
    "attributes",
]


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_in_any_field_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
):
    path = stored(tmp_path_factory.mktemp("any"), changed(**{field: value}))
    try:
        assert len(coco.read(path)) == 1
    except (FormatError, InputError) as error:
        assert error.code in ("format.bad", "input.outside")
