from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segma.errors import FormatError, InputError
from segma.formats import palettes, ytvos
from segma.samples import VideoSample

A = [[0, 1, 1], [0, 2, 255]]
B = [[0, 0, 2], [254, 2, 0]]

Make = Callable[..., Path]
Draw = Callable[[st.DataObject], VideoSample]


def vos_tree(png: Make, root: Path, meta: object) -> Path:
    png(root / "Annotations" / "v1" / "00000.png", A)
    png(root / "Annotations" / "v1" / "00010.png", B)
    (root / "meta.json").write_text(json.dumps(meta))
    return root


def meta(**objects: object) -> dict[str, Any]:
    return {"videos": {"v1": {"objects": {key[1:]: value for key, value in objects.items()}}}}


def test_ytvos_by_hand(png: Make, jpg: Make, tmp_path: Path):
    listed = meta(
        o1={"category": "owl", "frames": ["00000", "00005"]},
        o2={"category": "ape", "frames": ["00000", "00010"]},
        o3={"frames": ["00010"]},
        o254={"category": "cat"},
    )
    (video,) = ytvos.read(vos_tree(png, tmp_path, listed))
    assert (video.name, video.size, video.num_frames) == ("v1", (2, 3), 11)
    assert [(each.object_id, each.label) for each in video.objects] == [
        (1, "owl"),
        (2, "ape"),
        (3, None),
        (254, "cat"),
    ]
    assert [list(each.masklet.masks) for each in video.objects] == [[0, 10], [0, 10], [0], [0, 10]]
    assert video.objects[0].masklet.masks[10].area == 0 == video.objects[2].masklet.masks[0].area
    for number in range(0, 15, 5):
        jpg(tmp_path / "JPEGImages" / "v1" / f"{number:05d}.jpg")
    (video,) = ytvos.read(tmp_path)
    assert video.num_frames == 3 and list(video.objects[0].masklet.masks) == [0, 2]
    (tmp_path / "meta.json").unlink()
    assert [each.object_id for each in ytvos.read(tmp_path)[0].objects] == [1, 2, 254]


def test_ytvos_writes_meta(video: VideoSample, tmp_path: Path):
    report = ytvos.write([video], tmp_path, every=4)
    assert json.loads((tmp_path / "meta.json").read_text()) == {
        "videos": {
            "zoo_1": {
                "objects": {
                    "3": {"category": "Bär, «ö»", "frames": ["00000", "00004", "00008"]},
                    "12": {"category": "object", "unlabelled": True, "frames": ["00008"]},
                    "7": {"category": "cup", "frames": ["00004"]},
                }
            }
        }
    }
    assert "1 masks on frames between those written" in report.lost and "2 labels" not in report.lost
    (found,) = ytvos.read(tmp_path)
    assert {each.object_id: each.label for each in found.objects} == {3: "Bär, «ö»", 7: "cup", 12: None}


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_ytvos_round_trip(
    id_maps: Callable[..., dict[int, np.ndarray]],
    tmp_path_factory: pytest.TempPathFactory,
    any_video: Draw,
    data: st.DataObject,
):
    sample, root = any_video(data), tmp_path_factory.mktemp("ytvos")
    ytvos.write([sample], root)
    (found,) = ytvos.read(root)
    expected = id_maps(sample)
    labels = {
        number: each.label
        for number, each in zip(palettes.object_numbers(sample), sample.objects, strict=True)
    }
    assert {each.object_id: each.label for each in found.objects} == labels
    for each in found.objects:
        assert {frame: mask.area for frame, mask in each.masklet.masks.items()} == {
            frame: int((values == each.object_id).sum()) for frame, values in expected.items()
        }


BROKEN_META = [
    ({"videos": []}, '"videos" is no object'),
    ({"videos": {"v1": []}}, "video 'v1': its entry is no object"),
    ({"videos": {"v2": {"objects": {}}}}, "video 'v2': there is no folder v2"),
    ({"videos": {"a/b": {"objects": {}}}}, "'a/b' is no name of a video"),
    (meta(o0={}), "object '0': an object's number is 1 to 254"),
    (meta(ox={}), "object 'x': an object's number"),
    (meta(o1=[]), "object '1': its entry is no object"),
    (meta(o1={"frames": {}}), None),
    (meta(o1={"frames": {"a": 1}}), "object '1': frames is no list"),
    (meta(o1={"frames": [0]}), "object '1': frames holds something else"),
    (meta(o1={"category": 3}), "object '1': category is no text"),
]


@pytest.mark.parametrize(("document", "says"), BROKEN_META)
def test_broken_meta_is_named_with_what_is_wrong(
    png: Make, jpg: Make, document: object, says: str | None, tmp_path: Path
):
    if says is None:
        assert len(ytvos.read(vos_tree(png, tmp_path, document))) == 1
        return
    with pytest.raises(FormatError) as caught:
        ytvos.read(vos_tree(png, tmp_path, document))
    assert caught.value.code == "format.bad" and caught.value.message.startswith("meta.json")
    assert says in caught.value.message


def test_ytvos_names_that_leave_the_folder(png: Make, jpg: Make, tmp_path: Path):
    with pytest.raises(InputError) as caught:
        ytvos.read(vos_tree(png, tmp_path, {"videos": {"../v1": {"objects": {}}}}))
    assert caught.value.code == "input.outside"
