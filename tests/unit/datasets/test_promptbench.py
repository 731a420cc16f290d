"""The layout of the set to measure on; what is broken in it is left out and counted."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stubs.promptbench import disc, write_bench

from segma.datasets import promptbench
from segma.datasets.report import ReadReport
from segma.errors import FormatError, InputError
from segma.media.image import read_picture
from segma.samples import ImageSample, VideoSample

MASKS = [disc(30, 30, 12), disc(66, 12, 5)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    ids = [disc(20 + index, 20, 6).astype(int) * 3 for index in range(4)]
    return write_bench(tmp_path, {"a": MASKS, "b": MASKS[:1]}, {"clip": ids}, {3: 200})


def test_photos_and_clips_are_read(root: Path) -> None:
    (root / "masks" / "clip" / "00002.png").unlink()
    first, second, clip = promptbench.read(root)
    assert isinstance(first, ImageSample) and isinstance(clip, VideoSample)
    assert [each.object_id for each in first.objects] == [0, 1]
    assert all(
        np.array_equal(each.mask.dense(), mask) for each, mask in zip(first.objects, MASKS, strict=True)
    )
    assert (first.size, first.source, first.file_name) == ((60, 80), "by/a", "a.jpg")
    assert first.picture is not None and read_picture(first.picture).shape == (60, 80, 3)
    assert isinstance(second, ImageSample) and len(second.objects) == 1
    [track] = clip.objects
    assert track.object_id == 3 and list(track.masklet.masks) == [0, 1, 3]
    assert clip.num_frames == len(clip.pictures) == 4 and clip.source == "by/clips"


def test_what_is_broken_is_left_out_and_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "images" / "b.jpg").write_bytes(b"")
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(root / "masks" / "a_0.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "masks" / "a_1.png")
    (root / "masks" / "clip" / "00001.png").write_bytes(b"none")
    report = ReadReport()
    [sample] = promptbench.read(root, report=report)
    assert isinstance(sample, ImageSample) and sample.objects == ()
    assert report.counts == {"empty object": 1, "size": 1, "unreadable picture": 1, "broken labels": 1}
    with caplog.at_level(logging.WARNING):
        list(promptbench.read(root))
    assert "skipped 4" in caplog.text


@pytest.mark.parametrize("name", ["../a", "/etc/a", 7, None])
def test_names_stay_in_the_folder(root: Path, name: object) -> None:
    (root / "index.json").write_text(json.dumps({"images": [{"id": name, "objects": []}]}), encoding="utf-8")
    with pytest.raises((InputError, FormatError)):
        list(promptbench.read(root))


@pytest.mark.parametrize("objects", [[{}], [{"k": "x"}], ["k"], 5])
def test_objects_without_a_number_are_counted(root: Path, objects: object) -> None:
    index = {"images": [{"id": "a", "objects": objects}]}
    (root / "index.json").write_text(json.dumps(index), encoding="utf-8")
    report = ReadReport()
    assert list(promptbench.read(root, report=report)) == []
    assert report.counts == {"broken labels": 1}


def test_a_folder_without_an_index_is_told_the_layout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file") as caught:
        promptbench.read(tmp_path)
    assert caught.value.code == "input.not_found" and not promptbench.matches(tmp_path)
    (tmp_path / "index.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FormatError):
        promptbench.read(tmp_path)


def test_the_real_set_is_read_whole(shared: Path) -> None:
    report = ReadReport()
    samples = list(promptbench.read(shared / "realdev", report=report))
    images = [sample for sample in samples if isinstance(sample, ImageSample)]
    assert report.skipped == 0
    assert (len(images), sum(len(image.objects) for image in images), len(samples)) == (43, 80, 48)
