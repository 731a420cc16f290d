"""Trees of pictures and videos without labels: what is found, in which order, and what is left out."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from stubs.clips import write_clip, write_no_frames, write_sound

from segma.datasets import catalog, media_folder
from segma.datasets.report import ReadReport
from segma.errors import InputError
from segma.evaluation.data import labelled
from segma.media.whole import seems_cut
from segma.samples import ImageSample, VideoSample


def picture(path: Path, size: tuple[int, int] = (30, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    done, data = cv2.imencode(path.suffix.lower(), noise)
    assert done
    path.write_bytes(data.tobytes())
    return path


def clip(path: Path, count: int = 6) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_clip(path, count)


def names(root: Path, report: ReadReport | None = None, **options: str) -> list[str]:
    found = media_folder.read(root, report=report, **options)  # type: ignore[arg-type]
    return [each.file_name if isinstance(each, ImageSample) else each.name for each in found]


def test_imagenet(tmp_path: Path) -> None:
    for name in ("n02/n02_10.JPEG", "n02/n02_9.JPEG", "n01/n01_1.JPEG"):
        picture(tmp_path / "train" / name, (30, 40))
    picture(tmp_path / "val" / "val_1.JPEG")
    picture(tmp_path / "test" / "test_1.JPEG")
    train = ["train/n01/n01_1.JPEG", "train/n02/n02_9.JPEG", "train/n02/n02_10.JPEG"]
    assert names(tmp_path) == ["test/test_1.JPEG", *train, "val/val_1.JPEG"]
    assert names(tmp_path, part="train") == train == names(tmp_path, split="train")
    assert names(tmp_path, part="tune") == ["val/val_1.JPEG"] == names(tmp_path, split="val")
    first = next(iter(media_folder.read(tmp_path, part="train")))
    assert isinstance(first, ImageSample) and (first.source, first.size, first.objects) == (
        "n01",
        (30, 40),
        (),
    )
    for split in ("nowhere", "..", "", "val/val_1.JPEG"):
        with pytest.raises(InputError, match="no split"):
            media_folder.read(tmp_path, split=split)


def test_ucf_and_kinetics(tmp_path: Path) -> None:
    clip(tmp_path / "Archery" / "v_Archery_g01_c01.avi", 7)
    clip(tmp_path / "riding a bike" / "x.mp4")
    picture(tmp_path / "riding a bike" / "frames" / "2.png")
    picture(tmp_path / "riding a bike" / "frames" / "10.png")
    avi, mp4, *frames = list(media_folder.read(tmp_path))
    assert isinstance(avi, VideoSample) and isinstance(mp4, VideoSample)
    assert (avi.name, avi.source, avi.size, avi.num_frames) == (
        "Archery/v_Archery_g01_c01", "Archery", (48, 64), 7,
    )  # fmt: skip
    assert mp4.video == tmp_path / "riding a bike" / "x.mp4" and mp4.source == "riding a bike"
    assert mp4.fps == 24 and not mp4.pictures and not mp4.objects
    assert [each.file_name for each in frames if isinstance(each, ImageSample)] == [
        "riding a bike/frames/2.png",
        "riding a bike/frames/10.png",
    ]
    assert names(tmp_path, part="train") == names(tmp_path), "no folder train: nothing is set aside"
    assert names(tmp_path, part="tune") == []


def test_a_plain_folder_and_one_that_is_turned(tmp_path: Path) -> None:
    from PIL import Image

    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "b.jpg", exif=turned)
    (sample,) = media_folder.read(tmp_path)
    assert isinstance(sample, ImageSample)
    assert sample.size == (8, 6) and sample.source == tmp_path.name and sample.file_name == "b.jpg"


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    whole = picture(tmp_path / "a" / "whole.jpg")
    (tmp_path / "a" / "more.jpg").write_bytes(whole.read_bytes() + b"\0 more after the end")
    (tmp_path / "a" / "cut.jpg").write_bytes(whole.read_bytes()[:-400])
    (tmp_path / "a" / "cut.png").write_bytes(picture(tmp_path / "a" / "x.png").read_bytes()[:-400])
    (tmp_path / "a" / "cut.webp").write_bytes(picture(tmp_path / "a" / "x.webp").read_bytes()[:-400])
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "a" / "text.jpg").write_text("no picture")
    (tmp_path / "empty").mkdir()
    report = ReadReport()
    assert names(tmp_path, report) == ["a/more.jpg", "a/whole.jpg", "a/x.png", "a/x.webp"]
    assert report.counts == {"unreadable picture": 5}
    assert seems_cut(tmp_path / "a" / "more.jpg") and not seems_cut(whole)


def test_broken_videos_are_counted(tmp_path: Path) -> None:
    for suffix in ("mp4", "avi", "mkv"):
        data = clip(tmp_path / f"whole.{suffix}", 20).read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n/etc/passwd\n")
    write_sound(tmp_path / "sound.mp4")
    write_no_frames(tmp_path / "none.avi")
    report = ReadReport()
    found = names(tmp_path, report)
    assert found == ["cut", "whole", "whole", "whole"], "a Matroska file says nothing of its own length"
    assert report.counts == {"unreadable video": 6}
    assert "6 unreadable videos" in report.summary()


def test_an_mp4_with_its_index_first_is_cut_short(tmp_path: Path) -> None:
    import av

    whole = clip(tmp_path / "whole.mp4", 20)
    with av.open(str(whole)) as source, av.open(
        str(tmp_path / "first.mp4"), "w", options={"movflags": "faststart"}
    ) as output:  # fmt: skip
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    data = (tmp_path / "first.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) * 3 // 4])
    report = ReadReport()
    assert names(tmp_path, report) == ["first", "whole"] and report.counts == {"unreadable video": 1}


def test_hidden_files_and_links_are_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "tree", tmp_path / "outside"
    picture(root / "a" / "1.png")
    for name in (".thumbnails/1.png", "a/.2.png", "__x/._3.png"):
        picture(root / name)
    picture(outside / "secret.png")
    (root / "a" / "3.png").symlink_to(outside / "secret.png")
    (root / "b").symlink_to(outside)
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "again.png").symlink_to(root / "a" / "1.png")
    os.mkfifo(root / "a" / "pipe.png")
    report = ReadReport()
    assert names(root, report) == ["a/1.png"]
    assert report.counts == {"link elsewhere": 2}
    (tmp_path / "link").symlink_to(root)
    assert names(tmp_path / "link") == ["a/1.png"]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    try:
        Path(os.fsdecode(folder + b"/\xff.png")).write_bytes(b"no picture")
    except OSError:
        pytest.skip("this file system takes no such names")
    picture(tmp_path / "a.png")
    report = ReadReport()
    assert names(tmp_path, report) == ["a.png"]
    assert report.summary().encode()


def test_many_files_are_quick(tmp_path: Path) -> None:
    import time

    data = picture(tmp_path / "c0" / "0.jpg").read_bytes()
    for number in range(1, 1000):
        path = tmp_path / f"c{number % 10}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    started = time.process_time()
    assert len(names(tmp_path)) == 1000
    assert time.process_time() - started < 3


def test_only_who_needs_no_labels_is_given_it(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png")
    with pytest.raises(InputError, match="no known layout of labelled data") as caught:
        catalog.detect(tmp_path)
    assert "media_folder" not in str(caught.value)
    assert catalog.detect(tmp_path, labelled=False) == "media_folder"
    with pytest.raises(InputError, match="no pictures with masks"):
        labelled(tmp_path, ImageSample, dataset="media_folder")
    picture(tmp_path / "b.jpg")
    picture(tmp_path / "b.png")
    assert catalog.detect(tmp_path, labelled=False) == "folder", "labels come first"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no known layout of pictures or videos"):
        catalog.detect(tmp_path / "empty", labelled=False)
