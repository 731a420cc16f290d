from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segma.errors import FormatError, InputError
from segma.formats import sav_png
from segma.samples import VideoSample

Make = Callable[..., Path]


def tree(png: Make, jpg: Make, root: Path) -> Path:
    """Two objects that overlap; the second has no file on frame 4."""
    folder = root / "Annotations_6fps" / "sav_1"
    png(folder / "000" / "00000.png", [[0, 1, 1], [0, 0, 0]])
    png(folder / "000" / "00004.png", [[0, 0, 0], [0, 0, 0]], "L")
    png(folder / "001" / "00000.png", [[0, 255, 7], [1, 0, 0]], "L")
    for number in range(7):
        jpg(root / "JPEGImages_24fps" / "sav_1" / f"{number:05d}.jpg")
    (root / "sav_val.txt").write_text("sav_1\n")
    return root


def test_by_hand(png: Make, jpg: Make, tmp_path: Path):
    (video,) = sav_png.read(tree(png, jpg, tmp_path), split="sav_val")
    assert (video.name, video.size, video.num_frames) == ("sav_1", (2, 3), 7)
    assert [each.object_id for each in video.objects] == [0, 1]
    assert [list(each.masklet.masks) for each in video.objects] == [[0, 4], [0]]
    assert video.objects[1].masklet.dense(0).astype(int).tolist() == [[0, 1, 1], [1, 0, 0]]
    assert video.objects[0].masklet.masks[4].area == 0


def test_what_is_written(video: VideoSample, tmp_path: Path):
    report = sav_png.write([video], tmp_path / "sav_val")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    folder = "sav_val/Annotations_6fps/zoo_1"
    assert files == [
        *(f"{folder}/003/0000{frame}.png" for frame in (0, 4, 8)),
        f"{folder}/007/00004.png",
        *(f"{folder}/012/0000{frame}.png" for frame in (0, 4, 8)),
        "sav_val/sav_val.txt",
    ]
    assert (tmp_path / "sav_val" / "sav_val.txt").read_text() == "zoo_1\n"
    with Image.open(tmp_path / folder / "003" / "00004.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), video.objects[0].masklet.dense(4) * 255)
    assert report.lost == (
        "1 masks on frames between those written",
        "2 labels",
        "1 objects' predicted IoUs",
        "1 objects' anchors",
        "1 objects' attributes",
        "1 videos' times and attributes",
        "1 videos' lengths: they have frames after the last mask",
    )


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 4))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    any_video: Callable[[st.DataObject], VideoSample],
    data: st.DataObject,
    every: int,
):
    sample, root = any_video(data), tmp_path_factory.mktemp("sav")
    sav_png.write([sample], root, every=every, split="all")
    (found,) = sav_png.read(root, split="all")
    assert (found.name, found.size) == (sample.name, sample.size)
    kept = {
        each.object_id: {f: mask for f, mask in each.masklet.masks.items() if f % every == 0}
        for each in sample.objects
    }
    assert {each.object_id: dict(each.masklet.masks) for each in found.objects} == kept


def test_writing_again_takes_out_the_objects_of_before(video: VideoSample, tmp_path: Path):
    sav_png.write([video], tmp_path, split="x")
    with pytest.raises(InputError) as caught:
        sav_png.write([video], tmp_path, split="x")
    assert caught.value.code == "input.exists"
    sav_png.write([replace(video, objects=video.objects[:1])], tmp_path, split="x", overwrite=True)
    assert [each.object_id for each in sav_png.read(tmp_path)[0].objects] == [3]


@pytest.mark.parametrize("ids", [(1, 1), (-1, 2)])
def test_ids_that_are_no_folder(ids: tuple[int, int], video: VideoSample, tmp_path: Path):
    objects = tuple(replace(each, object_id=i) for each, i in zip(video.objects, ids, strict=False))
    with pytest.raises(FormatError, match="the ids of its objects are") as caught:
        sav_png.write([replace(video, objects=objects)], tmp_path)
    assert caught.value.code == "format.loss"


def test_broken_folders(png: Make, jpg: Make, tmp_path: Path):
    folder = tree(png, jpg, tmp_path) / "Annotations_6fps" / "sav_1"
    for name, says in (("x", "sav_1/x: is no number"), ("1", "sav_1/1: is no number")):
        (folder / name).mkdir()
        with pytest.raises(FormatError, match=says):
            sav_png.read(tmp_path)
        (folder / name).rmdir()
    png(folder / "001" / "00004.png", [[1, 1]])
    with pytest.raises(FormatError, match=r"001/00004\.png: is 2x1, the video's frames are 3x2"):
        sav_png.read(tmp_path)
    png(folder / "001" / "00009.png", [[0, 1, 1], [0, 0, 0]])
    with pytest.raises(FormatError, match=r"001/00009\.png: there is no picture of this name"):
        sav_png.read(tmp_path)


def test_a_file_that_breaks_after_it_was_found(png: Make, jpg: Make, tmp_path: Path):
    (video,) = sav_png.read(tree(png, jpg, tmp_path))
    path = tmp_path / "Annotations_6fps" / "sav_1" / "000" / "00000.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(FormatError, match=r"^000/00000\.png: "):
        video.objects[0].masklet.dense(0)
