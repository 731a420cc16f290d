from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segma.errors import InputError
from segma.media.image import write_image
from segma.media.live import LiveSource
from segma.media.source import ArraySource, FolderSource, FrameSource, open_source
from segma.media.video import VideoFile

FRAMES = np.random.default_rng(0).integers(0, 256, (12, 6, 9, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "walk"
    folder.mkdir()
    for index, frame in enumerate(FRAMES):
        write_image(frame, folder / f"frame{index}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def check(source: FrameSource, frames: np.ndarray = FRAMES, fps: float = 24.0) -> None:
    """All that holds for every source that can seek."""
    assert isinstance(source, FrameSource) and source.can_seek
    assert source.num_frames == len(frames) and source.size == frames.shape[1:3] and source.fps == fps
    shown = list(source.frames())
    assert [frame.index for frame in shown] == list(range(len(frames)))
    assert [frame.time for frame in shown] == [index / fps for index in range(len(frames))]
    assert np.array_equal([frame.pixels for frame in shown], frames)
    assert [frame.index for frame in source.frames(2, 5)] == [2, 3, 4, 5]
    assert [frame.index for frame in source.frames(2, 5, reverse=True)] == [5, 4, 3, 2]
    assert np.array_equal(source.read(7).pixels, frames[7])
    for ask in (source.read, source.time_of, source.frames):
        for index in (-1, len(frames)):
            with pytest.raises(InputError) as caught:
                ask(index)
            assert caught.value.code == "input.frame_range"
            assert str(caught.value).startswith(
                f"Frame {index} does not exist: {source.name} has frames 0 to 11"
            )
    source.close()


def refused(source: object, code: str, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        open_source(source, **options)  # pyright: ignore[reportArgumentType]  (what users hand in)
    assert caught.value.code == code
    return str(caught.value)


@pytest.mark.parametrize(
    "frames",
    [
        FRAMES,
        list(FRAMES),
        tuple(Image.fromarray(frame) for frame in FRAMES),
        torch.from_numpy(FRAMES),
        torch.from_numpy(FRAMES).permute(0, 3, 1, 2),
        torch.from_numpy(FRAMES) / 255,
        [torch.from_numpy(frame) for frame in FRAMES],
        np.concatenate([FRAMES, FRAMES[..., :1]], -1),
    ],
    ids=["array", "list", "pictures", "tensor", "channels first", "floats", "tensors", "alpha"],
)
def test_frames_in_memory(frames: object):
    check(open_source(frames))
    check(open_source(frames, fps=30), fps=30.0)


def test_an_array_is_not_copied():
    assert np.shares_memory(ArraySource(FRAMES).read(3).pixels, FRAMES)


def test_arrays_that_are_no_video():
    assert "(frames, height, width, 3)" in refused(FRAMES[0], "input.array")
    assert "no frames" in refused(FRAMES[:0], "input.array")
    assert "no frames" in refused([], "input.array")
    assert "uint8" in refused(FRAMES.astype(np.float32), "input.array")
    assert "Frame 1 of the list is 8x6, the first is 9x6" in refused(
        [FRAMES[0], FRAMES[1, :, 1:]], "input.array"
    )
    assert "cannot be a int" in refused(3, "input.array")
    for fps in (0, -1.0, float("nan"), float("inf")):
        refused(FRAMES, "input.value", fps=fps)


def test_folders_in_the_order_people_count(folder: Path):
    source = open_source(folder)
    assert isinstance(source, FolderSource)
    assert source.frame_names == tuple(f"frame{index}" for index in range(12)) and source.name == "walk"
    check(source)
    check(open_source(str(folder), fps=12.5), fps=12.5)
    check(open_source(str(folder / "frame*.png")))
    check(open_source([folder / f"frame{index}.png" for index in range(12)]))


def test_one_picture_is_a_video_of_one_frame(folder: Path):
    source = open_source(folder / "frame3.png")
    assert source.num_frames == 1 and np.array_equal(source.read(0).pixels, FRAMES[3])


def test_broken_pictures_are_said_once_and_left_out(folder: Path, caplog: pytest.LogCaptureFixture):
    (folder / "frame4.png").write_bytes(b"no picture")
    data = (folder / "frame7.png").read_bytes()
    (folder / "frame7.png").write_bytes(data[: len(data) // 2])  # its header is whole
    source = FolderSource(folder)
    for reverse in (False, True):
        shown = [frame.index for frame in source.frames(reverse=reverse)]
        assert sorted(shown) == [0, 1, 2, 3, 5, 6, 8, 9, 10, 11]
    assert source.broken == (4, 7) and source.num_frames == 12
    assert caplog.text.count("frame 4 left out") == caplog.text.count("frame 7 left out") == 1
    with pytest.raises(InputError, match=r"frame7\.png") as caught:
        source.read(7)
    assert caught.value.code == "input.frame_broken"


def test_a_picture_of_another_size_is_named(folder: Path):
    write_image(FRAMES[0, :, 1:], folder / "frame5.png", overwrite=True)
    assert "frame5.png is 8x6, the pictures before it 9x6" in refused(folder, "input.array")


def test_a_picture_that_is_turned_is_named(folder: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(FRAMES[0]).save(folder / "frame5.png", exif=exif)
    source = open_source(folder)
    with pytest.raises(InputError, match=r"frame5\.png is 6x9"):
        list(source.frames())


def test_folders_without_pictures(tmp_path: Path):
    assert "no pictures" in refused(tmp_path, "input.not_found")
    assert "no pictures" in refused(str(tmp_path / "*.png"), "input.not_found")
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert "a.png" in refused(tmp_path, "input.unreadable")
    assert "clip.mp4: no such file. Looked in" in refused(tmp_path / "clip.mp4", "input.not_found")
    assert "no such file" in refused(str(tmp_path / "photo.png"), "input.not_found")


def test_videos_by_path_bytes_and_file(make_clip: Callable[..., Path]):
    path = make_clip("a[1].mp4")
    with path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), file):
            clip = open_source(source)
            assert isinstance(clip, VideoFile) and clip.num_frames == 40
            clip.close()


def test_animations_are_videos(make_clip: Callable[..., Path]):
    clip = open_source(make_clip("a.gif", "gif", pixels="rgb8", rate=25, count=7))
    assert isinstance(clip, VideoFile) and clip.num_frames == 7
    clip.close()


def test_a_source_comes_back_as_it_is():
    source = ArraySource(FRAMES)
    assert open_source(source) is source


def test_pipes_and_files_that_cannot_seek(make_clip: Callable[..., Path], tmp_path: Path):
    data = make_clip("a.ts", count=10).read_bytes()

    class Socket(io.RawIOBase):
        def __init__(self) -> None:
            self.data = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return self.data.read(size)

    source = open_source(Socket())
    assert isinstance(source, LiveSource) and [frame.index for frame in source.frames()] == list(range(10))
    source.close()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    source = open_source(pipe)
    assert isinstance(source, LiveSource) and len(list(source.frames())) == 10
    source.close()
    writer.join()


def test_text_files_are_refused(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_text("no video")
    with path.open() as file:
        refused(file, "input.unreadable")


def test_the_network_needs_permission():
    for address in ("http://127.0.0.1:1/a.mp4", "rtsp://user:secret@127.0.0.1:1/live"):
        text = refused(address, "input.network")
        assert "allow_network=True" in text and "secret" not in text
    for address in ("ftp://host/a.mp4", "file:///etc/hosts", "concat://a"):
        assert "only rtsp and http" in refused(address, "input.network", allow_network=True)
