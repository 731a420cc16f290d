from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from segma.errors import FormatError
from segma.formats import catalog
from segma.formats.loss import LossReport
from segma.samples import ImageSample, VideoSample

IMAGES = [name for name, entry in catalog.FORMATS.items() if "images" in entry.holds]
VIDEOS = [name for name, entry in catalog.FORMATS.items() if "videos" in entry.holds]


@pytest.mark.parametrize("name", catalog.FORMATS)
def test_every_row_says_what_it_holds_and_is(name: str):
    entry = catalog.FORMATS[name]
    assert entry.help and "\n" not in entry.help and entry.holds


@pytest.mark.parametrize("name", IMAGES)
def test_every_row_for_images_reads_and_writes_as_it_says(name: str, sample: ImageSample, tmp_path: Path):
    entry = catalog.FORMATS[name]
    path = tmp_path / f"out{entry.suffixes[0] if entry.suffixes else ''}"
    assert entry.write and catalog.writer(name)([sample], path).written == 7
    if entry.read:
        (found,) = catalog.reader(name)(path)
        assert [each.mask for each in found.objects] == [each.mask for each in sample.objects]
    else:
        with pytest.raises(FormatError, match="cannot be read"):
            catalog.reader(name)


@pytest.mark.parametrize("name", VIDEOS)
def test_every_row_for_videos_reads_and_writes_as_it_says(name: str, video: VideoSample, tmp_path: Path):
    entry = catalog.FORMATS[name]
    path = tmp_path / f"out{entry.suffixes[0] if entry.suffixes else ''}"
    assert catalog.writer(name, "videos")([video], path).written == 3
    if entry.read:
        (found,) = catalog.reader(name, "videos")(path)
        ring = next(each for each in found.objects if each.object_id == 3).masklet
        assert [ring.masks[frame] for frame in (0, 4, 8)] == [
            video.objects[0].masklet.masks[frame] for frame in (0, 4, 8)
        ]
    else:
        with pytest.raises(FormatError, match="cannot be read for videos"):
            catalog.reader(name, "videos")


def test_unknown_names_list_the_known():
    with pytest.raises(FormatError, match="Formats to write images: coco, csv, png, sa1b") as caught:
        catalog.writer("xml")
    assert caught.value.code == "format.unknown"
    with pytest.raises(FormatError, match="'davis' cannot be read for images"):
        catalog.reader("davis")


def test_the_table_imports_nothing():
    code = (
        "import sys, segma.formats.catalog; sys.exit(any(m in sys.modules for m in ('numpy', 'cv2', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_report_is_one_line():
    assert str(LossReport(written=1)) == "wrote 1 object"
    assert str(LossReport(written=2, lost=("3 labels",))) == "wrote 2 objects; 3 labels"
