from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycoco

from segma.errors import FormatError, InputError
from segma.formats import ytvis
from segma.samples import VideoSample

# the decoder of pycocotools, the foreign reader here, is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SQUARE = {"size": [4, 6], "counts": [9, 2, 2, 2, 9]}


def document(**changes: object) -> dict[str, Any]:
    """One video of three frames, as in the data set."""
    row = {
        "id": 7,
        "video_id": 5,
        "category_id": 26,
        "width": 6,
        "height": 4,
        "length": 1,
        "iscrowd": 0,
        "segmentations": [None, SQUARE, [[1, 1, 4, 1, 4, 3, 1, 3]]],
        "areas": [None, 4, 6],
        "bboxes": [None, [2, 1, 2, 2], [1, 1, 3, 2]],
    }
    video = {
        "id": 5,
        "width": 6,
        "height": 4,
        "length": 3,
        "file_names": ["00ff/00000.jpg", "00ff/00005.jpg", "00ff/00010.jpg"],
        "date_captured": "2019",
    }
    changed = {key: value for key, value in changes.items() if key in row}
    return {
        "info": {},
        "videos": [video | {key[7:]: value for key, value in changes.items() if key.startswith("video__")}],
        "annotations": [row | changed],
        "categories": [{"id": 26, "name": "owl", "supercategory": "object"}],
    }


def stored(folder: Path, data: object, name: str = "x.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(data, indent=1))
    return path


def test_a_file_of_the_data_set(tmp_path: Path):
    (video,) = ytvis.read(stored(tmp_path, document()))
    assert (video.name, video.size, video.num_frames) == ("00ff", (4, 6), 3)
    assert video.frame_names == ("00000.jpg", "00005.jpg", "00010.jpg")
    (each,) = video.objects
    assert (each.object_id, each.label, list(each.masklet.masks)) == (7, "owl", [0, 1, 2])
    assert [mask.area for mask in each.masklet.masks.values()] == [0, 4, 6]
    assert each.masklet.dense(2)[1:3, 1:4].all()
    (none,) = ytvis.read(stored(tmp_path, document() | {"annotations": None}))
    assert none.objects == ()


def test_what_stands_in_the_file(video: VideoSample, tmp_path: Path):
    report = ytvis.write([video], tmp_path / "x.json")
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["videos"] == [
        {
            "id": 1,
            "width": 43,
            "height": 31,
            "length": 10,
            "fps": 24.0,
            "file_names": [f"zoo_1/{number:05d}.jpg" for number in range(10)],
        }
    ]
    first, second, third = written["annotations"]
    assert (first["id"], first["video_id"], first["category_id"], first["iscrowd"]) == (1, 1, 1, 0)
    assert first["object_id"] == 3 and first["anchors"] == [0, 8]
    for frame, (entry, area, box) in enumerate(
        zip(first["segmentations"], first["areas"], first["bboxes"], strict=True)
    ):
        dense = video.objects[0].masklet.dense(frame)
        if not dense.any():
            assert entry is area is box is None
            continue
        assert isinstance(entry["counts"], str) and np.array_equal(pycoco.decode(entry).astype(bool), dense)
        assert area == pycoco.area(entry) and box == pycoco.toBbox(entry).tolist()
    assert [entry is None for entry in second["segmentations"]] == [True] * 8 + [False, True]
    assert [row["name"] for row in written["categories"]] == ["Bär, «ö»", "object", "cup"]
    assert third["category_id"] == 3 and report.written == 3
    assert report.lost == ("22 masks not there, which read back as empty",)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    any_video: Callable[[st.DataObject], VideoSample],
    data: st.DataObject,
):
    sample, path = any_video(data), tmp_path_factory.mktemp("ytvis") / "x.json"
    ytvis.write([sample], path)
    (found,) = ytvis.read(path)
    assert (found.name, found.size, found.num_frames) == (sample.name, sample.size, sample.num_frames)
    for one, other in zip(found.objects, sample.objects, strict=True):
        assert replace(one, masklet=other.masklet) == other
        for frame in range(sample.num_frames):
            assert np.array_equal(one.masklet.dense(frame), other.masklet.dense(frame))


def test_results_go_with_an_annotation_file(tmp_path: Path):
    truth = stored(tmp_path, document(), "truth.json")
    (video,) = ytvis.read(truth)
    scored = replace(video.objects[0], predicted_iou={0: 0.25, 1: 0.75}, anchors=(0,))
    given = replace(video.objects[0], object_id=9, attributes={"score": 0.125})
    report = ytvis.write_results([replace(video, objects=(scored, given))], tmp_path / "r.json", truth)
    assert report.lost == (
        "2 object ids, numbered by position",
        "1 objects' predicted IoUs",
        "1 objects' attributes and anchors",
    )
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [list(row) for row in rows] == [["video_id", "category_id", "segmentations", "score"]] * 2
    assert [(row["video_id"], row["category_id"], row["score"]) for row in rows] == [
        (5, 26, 0.5),
        (5, 26, 0.125),
    ]
    assert pycoco.area(rows[0]["segmentations"][1]) == 4 and rows[0]["segmentations"][0] is None
    (found,) = ytvis.read_results(tmp_path / "r.json", truth)
    assert [(each.object_id, each.label) for each in found.objects] == [(1, "owl"), (2, "owl")]
    assert [each.attributes for each in found.objects] == [{"score": 0.5}, {"score": 0.125}]
    assert found.objects[0].masklet == video.objects[0].masklet


def test_results_that_do_not_go_with_it(tmp_path: Path):
    truth = stored(tmp_path, document(), "truth.json")
    (video,) = ytvis.read(truth)
    cat = (replace(video.objects[0], label="cat"),)
    for sample, says in (
        (replace(video, name="other"), "no video 'other'"),
        (replace(video, objects=cat), "no category 'cat'"),
        (replace(video, num_frames=4), "4 frames, in the annotation file"),
    ):
        with pytest.raises(FormatError, match=says) as caught:
            ytvis.write_results([sample], tmp_path / "r.json", truth)
        assert caught.value.code == "format.loss" and not (tmp_path / "r.json").exists()
    row = {"video_id": 5, "category_id": 26, "segmentations": [None] * 3, "score": 1}
    for rows, says in (
        ({}, "the top is no list"),
        ([row | {"score": None}], r"r.json line \d+ \(results\[0\]\): None is no number"),
        ([row, row | {"video_id": 6}], r"\(results\[1\]\): there is no video 6"),
        ([row | {"segmentations": []}], "no list of 3 entries"),
        ([3], "not an object"),
    ):
        with pytest.raises(FormatError, match=says) as caught:
            ytvis.read_results(stored(tmp_path, rows, "r.json"), truth)
        assert caught.value.code == "format.bad"


BROKEN = [
    (
        {"segmentations": [None, None, {"size": [4, 6], "counts": [9]}]},
        "object 7 frame 2: rle sums to 9",
    ),
    ({"segmentations": [None, {"size": [6, 4], "counts": [24]}, None]}, "object 7 frame 1: the mask's size"),
    ({"segmentations": [None, None, [[1, 2, 3, 4]]]}, "object 7 frame 2: a polygon has 4 numbers"),
    ({"segmentations": [None, 3, None]}, "object 7 frame 1: segmentation is neither"),
    ({"segmentations": [None]}, "object 7: segmentations is no list of 3 entries"),
    ({"segmentations": "abc"}, "no list of 3 entries"),
    ({"video_id": 6}, "there is no video 6"),
    ({"category_id": 3}, "there is no category 3"),
    ({"id": "x"}, "'x' is no whole number"),
    ({"video__length": 4}, "there are 3 file names; length or width"),
    ({"video__width": None}, "length or width"),
    ({"video__width": 10**6, "video__height": 10**6}, "cannot have 1000000x1000000"),
    ({"video__file_names": [3]}, "no name of a file"),
    ({"video__fps": "fast"}, "'fast' is no number"),
]


@pytest.mark.parametrize(("changes", "says"), BROKEN)
def test_broken_files_are_named_with_what_is_wrong(changes: dict[str, Any], says: str, tmp_path: Path):
    with pytest.raises(FormatError) as caught:
        ytvis.read(stored(tmp_path, document(**changes)))
    assert caught.value.code == "format.bad" and says in caught.value.message
    assert caught.value.message.startswith("x.json line ") and "\n" not in str(caught.value)


def test_names_twice_and_outside(tmp_path: Path):
    twice = document()
    twice["annotations"] *= 2
    with pytest.raises(FormatError, match="two objects 7"):
        ytvis.read(stored(tmp_path, twice))
    twice["videos"] *= 2
    with pytest.raises(FormatError, match="two videos 5"):
        ytvis.read(stored(tmp_path, twice))
    with pytest.raises(InputError) as caught:
        ytvis.read(stored(tmp_path, document(video__file_names=["../../a.jpg"] * 3)))
    assert caught.value.code == "input.outside"
