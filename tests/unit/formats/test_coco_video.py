from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycoco
from pycocotools.coco import COCO

from segma.errors import FormatError, InputError
from segma.formats import coco, coco_video
from segma.samples import VideoSample

# the decoder of pycocotools, the foreign reader here, is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SQUARE = {"size": [4, 6], "counts": [9, 2, 2, 2, 9]}


def document(**changes: object) -> dict[str, Any]:
    """One video as another program may write it: no sizes, no length, no tracks."""
    image = {"width": 6, "height": 4, "video_id": 1, "file_name": "v/0.jpg"}
    polygon = [[1, 1, 4, 1, 4, 3, 1, 3]]
    rows = [
        {"id": 1, "image_id": 10, "category_id": 1, "track_id": 4, "segmentation": SQUARE},
        {"id": 2, "image_id": 11, "category_id": 1, "track_id": 4, "segmentation": polygon},
    ]
    return {
        "videos": [{"id": 1, "name": "v"}],
        "images": [image | {"id": 10, "frame_index": 2}, image | {"id": 11, "frame_index": 6}],
        "annotations": [rows[0] | changes, rows[1]],
        "categories": [{"id": 1, "name": "owl"}],
    }


def stored(folder: Path, data: object) -> Path:
    path = folder / "x.json"
    path.write_text(json.dumps(data, indent=1))
    return path


def test_a_file_of_another_program(tmp_path: Path):
    (video,) = coco_video.read(stored(tmp_path, document()))
    assert (video.name, video.size, video.num_frames, video.fps) == ("v", (4, 6), 7, None)
    (each,) = video.objects
    assert (each.object_id, each.label, list(each.masklet.masks)) == (4, "owl", [2, 6])
    assert [mask.area for mask in each.masklet.masks.values()] == [4, 6]


@pytest.mark.parametrize("options", [{}, {"polygons": True}, {"crowd_rle": True}])
def test_pycocotools_reads_equal_pixels(options: dict[str, bool], video: VideoSample, tmp_path: Path):
    report = coco_video.write([video, replace(video, name="b")], tmp_path / "x.json", **options)
    with contextlib.redirect_stdout(io.StringIO()):
        other = COCO(str(tmp_path / "x.json"))
    assert report.written == 6 and len(other.getImgIds()) == 8 and len(other.getAnnIds()) == 16
    by_id = {each.object_id: each for each in video.objects}
    rows: list[Any] = list(other.loadAnns(other.getAnnIds()))  # the stubs know no tracks
    for row in rows:
        images: list[Any] = list(other.loadImgs(row["image_id"]))
        (image,) = images
        dense = by_id[row["track_id"]].masklet.dense(image["frame_index"])
        assert np.array_equal(other.annToMask(row).astype(bool), dense)
        encoded = pycoco.encode(np.asfortranarray(dense.astype(np.uint8)))
        assert row["area"] == dense.sum() and row["bbox"] == pycoco.toBbox(encoded).tolist()
        assert row["iscrowd"] == int("crowd_rle" in options)
    assert report.lost == (("16 masks marked as crowd",) if "crowd_rle" in options else ())


def test_what_stands_in_the_file(video: VideoSample, tmp_path: Path):
    coco_video.write([video], tmp_path / "x.json")
    written = json.loads((tmp_path / "x.json").read_text())
    assert list(written)[:4] == ["info", "licenses", "videos", "images"]
    assert written["videos"] == [
        {"id": 1, "name": "zoo_1", "width": 43, "height": 31, "length": 10, "fps": 24.0}
    ]
    assert written["images"][2] == {
        "id": 3,
        "video_id": 1,
        "frame_index": 5,
        "width": 43,
        "height": 31,
        "file_name": "zoo_1/00005.jpg",
    }
    assert written["tracks"][0] == {
        "id": 3,
        "video_id": 1,
        "category_id": 1,
        "anchors": [0, 8],
        "attributes": {"colour": "red", "count": 2},
    }
    first = written["annotations"][0]
    assert (first["id"], first["image_id"], first["track_id"], first["predicted_iou"]) == (1, 1, 3, 1.0)
    assert isinstance(first["segmentation"]["counts"], str)
    assert len(coco.read(tmp_path / "x.json")) == 4  # what knows nothing of videos reads it as images


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    any_video: Callable[[st.DataObject], VideoSample],
    data: st.DataObject,
):
    sample, path = any_video(data), tmp_path_factory.mktemp("coco") / "x.json"
    more = replace(sample, name="second", fps=29.97, times=(0.0, 0.5), attributes={"place": "zoo"})
    named = replace(
        sample, name="third", frame_names=tuple(f"f{number}.jpg" for number in range(sample.num_frames))
    )
    report = coco_video.write([sample, more, named], path)
    assert coco_video.read(path) == [sample, more, named] and report.lost == ()


def test_boxes_without_masks_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "segma"):
        (video,) = coco_video.read(stored(tmp_path, document(segmentation=[])))
    assert list(video.objects[0].masklet.masks) == [6] and "1 annotations without a mask" in caplog.text


def test_what_cannot_be_written(video: VideoSample, tmp_path: Path):
    twice = replace(video, objects=video.objects[:1] * 2)
    with pytest.raises(FormatError, match="zoo_1: two objects have one id"):
        coco_video.write([twice], tmp_path / "x.json")
    quality = replace(video.objects[2], predicted_iou={0: 0.5, 4: float("nan")})
    report = coco_video.write([replace(video, objects=(quality,))], tmp_path / "x.json")
    assert report.lost == ("1 objects' predicted IoUs of frames without a mask",)
    assert coco_video.read(tmp_path / "x.json")[0].objects[0].predicted_iou == {}
    with pytest.raises(InputError) as caught:
        coco_video.write([video], tmp_path / "x.json")
    assert caught.value.code == "input.exists"


def broken(key: str, index: int = 0, **changes: object) -> dict[str, Any]:
    data = document()
    data["tracks"] = [{"id": 4, "video_id": 1, "category_id": 1}]
    data[key][index] = data[key][index] | changes
    return data


BROKEN = [
    (broken("annotations", track_id=None), "None is no whole number"),
    (broken("annotations", image_id=3), "there is no image 3"),
    (broken("annotations", 1, image_id=10), "object 4 frame 2: there are two masks"),
    (broken("annotations", segmentation={"size": [6, 4], "counts": [24]}), "the mask's size is [6, 4]"),
    (broken("annotations", segmentation={"size": [4, 6], "counts": [3]}), "rle sums to 3"),
    (broken("annotations", segmentation="x"), "neither run lengths"),
    (broken("annotations", category_id=2), "there is no category 2"),
    (broken("annotations", predicted_iou="high"), "'high' is no number"),
    (broken("images", video_id=2), "there is no video 2"),
    (broken("images", frame_index=-1), "frame -1 is none of"),
    (broken("images", frame_index=6), "two of frame 6"),
    (broken("images", width=10**6, height=10**6), "cannot have"),
    (broken("images", 1, width=5), "the frame's [height, width] is [4, 5], the video's [4, 6]"),
    (broken("videos", length=3), "frame 6 is none of the video's 3 frames"),
    (broken("videos", times="ab"), "'a' is no number"),
    (broken("videos", frame_names=[3]), "no name of a file"),
    (broken("tracks", video_id=2), "there is no video 2"),
    (broken("tracks", anchors=["a"]), "'a' is no whole number"),
    (broken("tracks", category_id=2), "there is no category 2"),
    (document() | {"videos": []}, "there is no video 1"),
    (document() | {"videos": document()["videos"] * 2}, "two videos 1"),
    ({key: value for key, value in document().items() if key != "videos"}, 'has no list "videos"'),
]


@pytest.mark.parametrize(("data", "says"), BROKEN)
def test_broken_files_are_named_with_what_is_wrong(data: object, says: str, tmp_path: Path):
    with pytest.raises(FormatError) as caught:
        coco_video.read(stored(tmp_path, data))
    assert caught.value.code == "format.bad" and says in caught.value.message
    assert caught.value.message.startswith("x.json") and "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["videos", "images"])
def test_names_that_leave_the_folder_are_refused(key: str, tmp_path: Path):
    data = document()
    data[key][0]["name" if key == "videos" else "file_name"] = "../x"
    with pytest.raises(InputError, match=rf"x\.json line \d+ \({key}\[0\]\): .*leaves its folder") as caught:
        coco_video.read(stored(tmp_path, data))
    assert caught.value.code == "input.outside"
