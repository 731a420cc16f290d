from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from segma.errors import InputError
from segma.media.source import Frame
from segma.media.video import VideoFile

ClipMaker = Callable[..., Path]


def played(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def same(one: Frame, other: Frame) -> bool:
    return one.index == other.index and one.time == other.time and np.array_equal(one.pixels, other.pixels)


def refused(source: object, code: str) -> str:
    with pytest.raises(InputError) as caught:
        clip = VideoFile(source)  # pyright: ignore[reportArgumentType]  (what users hand in)
        list(clip.frames())
    assert caught.value.code == code
    assert "\n" not in caught.value.message
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("damaged", [{20}, {0}, {24, 25, 26}])
def test_damaged_frames_are_said_and_left_out(
    make_clip: ClipMaker, caplog: pytest.LogCaptureFixture, suffix: str, damaged: set[int]
):
    path = make_clip(f"a.{suffix}", options={"bf": "0", "g": "12", "refs": "1"}, damaged=damaged)
    clip = VideoFile(path)
    with caplog.at_level(logging.WARNING):
        frames = list(clip.frames())
        missing = sorted(set(range(40)) - {frame.index for frame in frames})
        assert missing and set(damaged) <= set(missing) and len(missing) < 20
        assert list(clip.broken) == missing
        assert clip.num_frames == 40 and [frame.time for frame in frames] == [
            clip.time_of(f.index) for f in frames
        ]
        said = caplog.text
        assert "cannot be decoded, left out" in said and f"frame {missing[0]}" in said.replace(
            "frames", "frame"
        )
        again = VideoFile(path)
        by_index = {frame.index: frame for frame in frames}
        order = random.Random(0).sample(range(40), 40)
        for index in order:
            if index in by_index:
                assert same(again.read(index), by_index[index])
            else:
                with pytest.raises(InputError) as caught:
                    again.read(index)
                assert caught.value.code == "input.frame_broken"
                assert f"Frame {index} of a.{suffix} cannot be decoded" in str(caught.value)
        caplog.clear()
        assert [frame.index for frame in clip.frames(reverse=True)] == sorted(by_index, reverse=True)
        assert list(clip.frames(missing[0], missing[0])) == []
        assert caplog.text == ""  # said once
    clip.close()
    again.close()


@pytest.mark.parametrize("damaged", [20, 0, 24])
def test_damage_in_a_stream_without_packet_borders(make_clip: ClipMaker, damaged: int):
    """What cannot be told from its neighbours is no frame at all; the others keep their times."""
    clip = VideoFile(make_clip("a.ts", options={"bf": "0", "g": "12"}, damaged={damaged}))
    frames = {frame.index: frame for frame in clip.frames()}
    assert 30 < len(frames) <= clip.num_frames <= 40
    grid = np.array([frame.time for frame in frames.values()]) * 24
    assert np.allclose(grid, np.rint(grid), atol=0.01) and np.all(np.diff(grid) > 0.5)
    for index in random.Random(1).sample(sorted(frames), 25):
        assert same(clip.read(index), frames[index])
    clip.close()


def test_damaged_pictures_are_shown_as_far_as_they_go(make_clip: ClipMaker):
    data = bytearray(make_clip("a.mkv", "mjpeg", pixels="yuvj420p", count=5).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20] = bytes(20)
    clip = VideoFile(bytes(data))
    assert [frame.index for frame in clip.frames()] == [0, 1, 2, 3, 4]
    clip.close()


def test_frames_of_another_size_are_left_out(
    make_clip: ClipMaker, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    parts = [make_clip("a.ts", count=20), make_clip("b.ts", count=20, size=(64, 96), times=range(20, 40))]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = VideoFile(path)
    assert clip.num_frames == 40
    assert [frame.index for frame in clip.frames()] == list(range(20))
    assert clip.broken == tuple(range(20, 40))
    assert "from frame 20 on pictures are 96x64, not 64x48" in caplog.text
    clip.close()


def test_frames_that_do_not_exist(make_clip: ClipMaker):
    clip = VideoFile(make_clip("match.mp4"))
    for ask in (lambda: clip.read(512), lambda: clip.time_of(512), lambda: clip.frames(0, 512)):
        with pytest.raises(
            InputError, match=r"Frame 512 does not exist: match\.mp4 has frames 0 to 39"
        ) as caught:
            ask()
        assert caught.value.code == "input.frame_range"
    with pytest.raises(InputError):
        clip.read(-1)
    clip.close()


def test_files_that_are_no_video(tmp_path: Path):
    assert "clip.mp4: no such file. Looked in" in refused(tmp_path / "clip.mp4", "input.not_found")
    assert "folder" in refused(tmp_path, "input.unreadable")
    for name, data in {
        "empty.mp4": b"",
        "text.mp4": b"hello\n" * 500,
        "noise.mp4": random.Random(0).randbytes(5000),
        "zeros.mkv": bytes(5000),
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert refused(path, "input.unreadable").startswith(name)
        assert "bytes" in refused(data, "input.unreadable")


def test_truncated_files(make_clip: ClipMaker, tmp_path: Path):
    data = make_clip("whole.mp4").read_bytes()
    assert "truncated" in refused(data[: len(data) // 2], "input.unreadable")  # its index was at the end
    path = make_clip("fast.mp4", container={"movflags": "faststart"})
    data = path.read_bytes()
    clip = VideoFile(data[: len(data) * 2 // 3])
    frames = list(clip.frames())
    assert 5 < len(frames) < 40
    assert all(np.array_equal(f.pixels, e) for f, e in zip(frames[:5], played(path), strict=False))
    clip.close()


def test_sound_alone(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert refused(path, "input.no_video") == "clip.mp4 has audio only (aac). Nothing to segment."


def test_no_frames(tmp_path: Path):
    path = tmp_path / "none.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=24)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    assert "has no video" in refused(path, "input.no_video")


def test_headers_that_lie(make_clip: ClipMaker, tmp_path: Path):
    path = tmp_path / "huge.y4m"
    for side in (30_000, 1_000_000):
        path.write_bytes(b"YUV4MPEG2 W%d H%d F24:1 Ip A1:1 C420jpeg\nFRAME\n" % (side, side) + bytes(1000))
        assert "larger than can be decoded" in refused(path, "input.unreadable")
    data = bytearray(make_clip("a.mp4").read_bytes())
    at = data.index(b"stsz") + 8
    data[at : at + 8] = (100).to_bytes(4, "big") + (1_000_000).to_bytes(4, "big")
    try:
        with VideoFile(bytes(data)) as clip:
            assert clip.num_frames < 1000
    except InputError as error:
        assert error.code == "input.unreadable"
    with pytest.raises(InputError) as caught:
        VideoFile(make_clip("b.mp4"), max_pixels=1000)
    assert caught.value.code == "input.too_large"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.ts\n",
        '<?xml version="1.0"?><MPD><BaseURL>secret.ts</BaseURL></MPD>',
    ],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8", "list.ffconcat"])
def test_playlists_open_no_other_file(make_clip: ClipMaker, tmp_path: Path, text: str, name: str):
    make_clip("secret.ts")
    path = tmp_path / name
    path.write_text(text)
    assert "playlist" in refused(path, "input.unreadable")
    path.write_text(" # a comment\n" * 10 + text)
    refused(path, "input.unreadable")


def test_names_are_taken_as_they_are(make_clip: ClipMaker, tmp_path: Path):
    path = make_clip("a.mp4", count=3)
    for name in ("concat:a.mp4", "frame%03d.mp4", "pipe:0", "a b'é.mp4"):
        shutil.copy(path, tmp_path / name)
        with VideoFile(tmp_path / name) as clip:
            assert clip.num_frames == 3 and clip.name == name
