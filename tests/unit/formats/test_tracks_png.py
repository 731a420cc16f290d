from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from segma.errors import FormatError, InputError, StoreError
from segma.formats import davis, palettes, tracks_png
from segma.samples import TrackSample, VideoSample

A = [[0, 1, 1], [0, 2, 255]]
B = [[0, 0, 2], [254, 2, 0]]

Make = Callable[..., Path]
Draw = Callable[[st.DataObject], VideoSample]


def test_a_plain_folder_of_one_video_and_folders_of_several(jpg: Make, video: VideoSample, tmp_path: Path):
    tracks_png.write([video], tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "one").iterdir())[0] == "00000.png"
    (one,) = tracks_png.read(tmp_path / "one")
    assert one.name == "one" and [each.object_id for each in one.objects] == [3, 7, 12]
    tracks_png.write([video, replace(video, name="b")], tmp_path / "two")
    first, second = tracks_png.read(tmp_path / "two")
    assert (first.name, second.name) == ("b", "zoo_1")
    assert [each.masklet.masks for each in second.objects] == [each.masklet.masks for each in one.objects]
    jpg(tmp_path / "frames" / "00000.jpg", (43, 31))
    with pytest.raises(FormatError, match=r"one/0000\d.png: there is no picture of this name"):
        tracks_png.read(tmp_path / "one", images=tmp_path / "frames")


def test_one_png_an_object_keeps_overlaps(video: VideoSample, tmp_path: Path):
    report = tracks_png.write([video], tmp_path / "one", one_per_object=True)
    assert "pixels" not in str(report)
    (found,) = tracks_png.read(tmp_path / "one")
    masks = {each.object_id: dict(each.masklet.masks) for each in found.objects}
    assert masks == {each.object_id: dict(each.masklet.masks) for each in video.objects}


def test_writing_again_takes_out_what_was_written_before(video: VideoSample, tmp_path: Path):
    tracks_png.write([video], tmp_path / "x")
    (tmp_path / "x" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty") as caught:
        tracks_png.write([video], tmp_path / "x")
    assert caught.value.code == "input.exists"
    tracks_png.write([video], tmp_path / "x", every=8, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["00000.png", "00008.png", "notes.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        tracks_png.write([video], tmp_path / "file", overwrite=True)


def test_a_folder_that_cannot_be_finished_leaves_nothing(
    video: VideoSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original, count = palettes.write_palette, iter(range(9))

    def full(ids: np.ndarray, path: Path) -> Path:
        if next(count) == 2:
            raise StoreError("disk.full", "No room left.")
        return original(ids, path)

    monkeypatch.setattr(palettes, "write_palette", full)
    with pytest.raises(StoreError, match=r"^No room left.$"):
        tracks_png.write([video], tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("a.jpg",), "zoo_1: 1 names of frames, 1 different, for 10 frames"),
        (("a.jpg",) * 10, "zoo_1: 10 names of frames, 1 different, for 10 frames"),
    ],
)
def test_frame_names_that_do_not_fit(names: tuple[str, ...], says: str, video: VideoSample, tmp_path: Path):
    with pytest.raises(FormatError, match=says):
        tracks_png.write([replace(video, frame_names=names)], tmp_path / "x")


def test_names_of_frames_and_videos_stay_in_their_folder(video: VideoSample, tmp_path: Path):
    names = tuple(f"../../f{number}.jpg" for number in range(10))
    report = davis.write([replace(video, name="../../evil", frame_names=names)], tmp_path / "root")
    assert "1 video names changed into names of files" in report.lost
    assert {path.parent.name for path in tmp_path.rglob("*.png")} == {"evil"}
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    with pytest.raises(FormatError, match="Two videos have the same name"):
        davis.write([video, replace(video, name="x/zoo_1")], tmp_path / "b")


def broken(png: Make, jpg: Make, folder: Path, kind: str) -> None:
    png(folder / "00000.png", A)
    second = folder / "00001.png"
    if kind == "size":
        png(second, [[1, 1]])
    elif kind == "colour":
        jpg(second)
    elif kind == "cut":
        second.write_bytes((folder / "00000.png").read_bytes()[:60])
    elif kind == "huge":
        data = bytearray((folder / "00000.png").read_bytes())
        data[16:24] = (40_000).to_bytes(4, "big") * 2
        second.write_bytes(bytes(data))
    elif kind == "text":
        second.write_text("no picture")
    elif kind == "name":
        png(folder / "mask.png", A)
    elif kind == "twice":
        png(folder / "0.png", A)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("size", "bear/00001.png: is 2x1, the video's frames are 3x2"),
        ("colour", "bear/00001.png: holds colours"),
        ("cut", "bear/00001.png: "),
        ("huge", "bear/00001.png: "),
        ("text", "bear/00001.png: not a picture"),
        ("name", "bear/mask.png: there is no number of a frame in its name"),
        ("twice", "bear: two files are frame 0"),
    ],
)
def test_broken_folders_are_named_with_what_is_wrong(
    png: Make, jpg: Make, kind: str, says: str, tmp_path: Path
):
    broken(png, jpg, tmp_path / "bear", kind)
    with pytest.raises(FormatError) as caught:
        tracks_png.read(tmp_path / "bear")
    assert caught.value.code == "format.bad" and says in caught.value.message
    assert "\n" not in str(caught.value)


def test_masks_are_read_on_demand_and_a_few_frames_are_kept(
    png: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(palettes, "_KEPT_FRAMES", 2)
    folder = tmp_path / "many"
    for frame in range(5):
        png(folder / f"{frame:05d}.png", [[1, 2], [0, frame % 2]])
    read: list[str] = []
    original = palettes.read_palette
    monkeypatch.setattr(
        palettes, "read_palette", lambda path, **o: read.append(path.name) or original(path, **o)
    )
    (video,) = tracks_png.read(folder)
    read.clear()
    for frame in range(5):
        for each in video.objects:
            assert each.masklet.masks[frame].area == (1 + frame % 2 if each.object_id == 1 else 1)
    assert 3 <= len(read) <= 5  # once a frame, not once an object
    assert repr(video.objects[0].masklet.masks) == "LazyMasks(5 frames)"
    (folder / "00001.png").unlink()
    with pytest.raises(FormatError, match=r"many/00001\.png: no such file"):
        video.objects[0].masklet.dense(1)
    assert 1 in video.objects[0].masklet.masks and 9 not in video.objects[0].masklet.masks


def test_real_masks_are_read(shared: Path):
    (video,) = tracks_png.read(shared / "realdev" / "masks" / "davis_dog")
    assert [each.object_id for each in video.objects] == [1]
    assert all(mask.area > 0 for mask in video.objects[0].masklet.masks.values())
    assert isinstance(video.objects[0], TrackSample) and len(video.objects[0].masklet) > 10
