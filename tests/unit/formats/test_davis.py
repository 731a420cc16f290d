from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segma.errors import FormatError, InputError
from segma.formats import davis, palettes, tracks_png
from segma.masks.mask import CompactMasks, Mask
from segma.media.image import voc_palette
from segma.samples import VideoSample

A = [[0, 1, 1], [0, 2, 255]]
B = [[0, 0, 2], [254, 2, 0]]

Make = Callable[..., Path]
Draw = Callable[[st.DataObject], VideoSample]


def tree(png: Make, jpg: Make, root: Path) -> Path:
    """A DAVIS folder of one video, annotated on frames 0 and 2 of 4."""
    folder = root / "Annotations" / "480p" / "bear"
    png(folder / "00000.png", A)
    png(folder / "00002.png", B, "L")
    for number in range(4):
        jpg(root / "JPEGImages" / "480p" / "bear" / f"{number:05d}.jpg")
    return root


def pixels(sample: VideoSample, object_id: int, frame: int) -> list[list[int]]:
    each = next(each for each in sample.objects if each.object_id == object_id)
    return each.masklet.masks[frame].dense().astype(int).tolist()


def test_davis_by_hand(png: Make, jpg: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "segma"):
        (video,) = davis.read(tree(png, jpg, tmp_path), void=(254, 255))
    assert "bear: 2 void pixels" in caplog.text
    assert (video.name, video.size, video.num_frames) == ("bear", (2, 3), 4)
    assert video.frame_names == ("00000.jpg", "00001.jpg", "00002.jpg", "00003.jpg")
    assert [each.object_id for each in video.objects] == [1, 2]
    assert [list(each.masklet.masks) for each in video.objects] == [[0, 2], [0, 2]]
    assert pixels(video, 1, 0) == [[0, 1, 1], [0, 0, 0]] and pixels(video, 2, 2) == [[0, 0, 1], [0, 1, 0]]
    assert video.objects[0].masklet.masks[2].area == 0  # not to be seen, and that was said
    (video,) = davis.read(tmp_path)
    assert [each.object_id for each in video.objects] == [1, 2, 254]


def test_davis_without_pictures_counts_by_the_names(png: Make, tmp_path: Path):
    png(tmp_path / "Annotations" / "Full-Resolution" / "cows" / "00007.png", A)
    (video,) = davis.read(tmp_path, resolution="Full-Resolution")
    assert (video.num_frames, video.frame_names, list(video.objects[0].masklet.masks)) == (8, None, [7])


def test_davis_writes_palette_pngs(video: VideoSample, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "segma"):
        report = davis.write([video], tmp_path)
    folder = tmp_path / "Annotations" / "480p" / "zoo_1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "00000.png",
        "00004.png",
        "00005.png",
        "00008.png",
    ]
    with Image.open(folder / "00004.png") as image:
        assert image.mode == "P" and image.getpalette() == voc_palette().reshape(-1).tolist()
        values = np.asarray(image)
    ring, noise = video.objects[0].masklet.dense(4), video.objects[2].masklet.dense(4)
    assert np.array_equal(values, np.where(ring, 3, np.where(noise, 7, 0)))
    shared = int((ring & noise).sum())
    assert f"zoo_1: {shared} pixels lie in several objects, the lowest id won" in caplog.text
    assert report.written == 3 and report.lost == (
        f"{shared} pixels on 1 frame lie in several objects, the lowest id won",
        "4 masks not there, which read back as empty",
        "2 labels",
        "1 objects' predicted IoUs",
        "1 objects' anchors",
        "1 objects' attributes",
        "1 videos' times and attributes",
        "1 videos' lengths: they have frames after the last mask",
    )


def test_davis_lists(png: Make, jpg: Make, tmp_path: Path):
    tree(png, jpg, tmp_path)
    png(tmp_path / "Annotations" / "480p" / "cows" / "00000.png", A)
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    listing = tmp_path / "ImageSets" / "2017" / "val.txt"
    listing.write_text("cows\n\n")
    assert [video.name for video in davis.read(tmp_path, split="2017/val")] == ["cows"]
    assert [video.name for video in davis.read(tmp_path)] == ["bear", "cows"]
    listing.write_text("cows\ndogs\n")
    with pytest.raises(FormatError, match=r"^val.txt line 2: there is no folder dogs in 480p"):
        davis.read(tmp_path, split="2017/val")
    listing.write_text("../480p/cows\n")
    with pytest.raises(InputError, match="leaves its folder") as caught:
        davis.read(tmp_path, split="2017/val")
    assert caught.value.code == "input.outside"
    with pytest.raises(InputError, match="no such file"):
        davis.read(tmp_path, split="train")


@pytest.mark.parametrize("frame_names", [None, tuple(f"f{number}.jpg" for number in range(10))])
def test_davis_frames_have_the_names_of_their_pictures(
    jpg: Make, frame_names: tuple[str, ...] | None, video: VideoSample, tmp_path: Path
):
    davis.write([replace(video, frame_names=frame_names)], tmp_path, every=4)
    names = sorted(path.stem for path in (tmp_path / "Annotations" / "480p" / "zoo_1").iterdir())
    assert names == (["00000", "00004", "00008"] if frame_names is None else ["f0", "f4", "f8"])
    if frame_names:
        for name in frame_names:
            jpg(tmp_path / "JPEGImages" / "480p" / "zoo_1" / name, (43, 31))
        (found,) = davis.read(tmp_path)
        assert found.frame_names == frame_names and list(found.objects[0].masklet.masks) == [0, 4, 8]


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 3))
def test_davis_round_trip(
    id_maps: Callable[..., dict[int, np.ndarray]],
    tmp_path_factory: pytest.TempPathFactory,
    any_video: Draw,
    data: st.DataObject,
    every: int,
):
    sample, root = any_video(data), tmp_path_factory.mktemp("davis")
    report = davis.write([sample], root, every=every)
    (found,) = davis.read(root)
    expected = id_maps(sample, every)
    assert [each.object_id for each in found.objects] == sorted(
        {int(value) for values in expected.values() for value in np.unique(values) if value}
    )
    for each in found.objects:
        assert list(each.masklet.masks) == list(expected)
        for frame, mask in each.masklet.masks.items():
            assert np.array_equal(mask.dense(), expected[frame] == each.object_id)
    shared = sum(
        int((np.sum([each.masklet.dense(frame) for each in sample.objects], 0) > 1).sum())
        for frame in expected
    )
    assert any(text.startswith(f"{shared} pixels") for text in report.lost) == (shared > 0)


def test_ids_that_do_not_fit_are_numbered_by_position(video: VideoSample, tmp_path: Path):
    first, second, third = video.objects
    sample = replace(video, objects=(replace(first, object_id=0), replace(third, object_id=300)))
    assert "2 object ids, numbered by position" in davis.write([sample], tmp_path).lost
    assert [each.object_id for each in davis.read(tmp_path)[0].objects] == [1, 2]
    hidden = replace(second, masklet=replace(second.masklet, masks={0: second.masklet.masks[0]}))
    report = davis.write([replace(video, objects=(hidden,))], tmp_path / "hidden")
    assert "1 objects without a pixel" in report.lost


def test_a_palette_has_an_end(video: VideoSample, tmp_path: Path):
    many = tuple(replace(video.objects[0], object_id=number) for number in range(1, 256))
    with pytest.raises(FormatError, match="zoo_1: a palette PNG holds 254 objects, there are 255") as caught:
        davis.write([replace(video, objects=many)], tmp_path)
    assert caught.value.code == "format.loss" and not (tmp_path / "Annotations").exists()
    assert davis.write([replace(video, objects=many[:254])], tmp_path, every=8).written == 254
    pixel = Mask.from_dense(np.ones((1, 1), bool))
    with pytest.raises(FormatError, match="holds 254 objects, there are 255") as caught:
        palettes.id_map(CompactMasks([pixel] * 255, (1, 1)))
    assert caught.value.code == "format.loss"
    assert palettes.id_map(CompactMasks([pixel] * 254, (1, 1)))[1] == 1


def test_pictures_of_another_size_and_empty_folders(png: Make, jpg: Make, tmp_path: Path):
    tree(png, jpg, tmp_path)
    jpg(tmp_path / "JPEGImages" / "480p" / "bear" / "00000.jpg", (30, 20))
    with pytest.raises(FormatError, match=r"bear/00000\.png: is 3x2, the video's frames are 30x20"):
        davis.read(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="empty: there are no PNGs"):
        tracks_png.read(tmp_path / "empty")
    for missing in (lambda: tracks_png.read(tmp_path / "no"), lambda: davis.read(tmp_path / "empty")):
        with pytest.raises(InputError) as caught:
            missing()
        assert caught.value.code == "input.not_found"
