from __future__ import annotations

import io
import os
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from segma.media import video
from segma.media.decoder import Decoder
from segma.media.source import Frame, FrameSource
from segma.media.video import VideoFile

ClipMaker = Callable[..., Path]
B_FRAMES = {"bf": "3", "g": "12"}
OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:keyint=10:min-keyint=10:scenecut=0"}
CRA = {"x265-params": "open-gop=1:keyint=10:min-keyint=10:bframes=4:scenecut=0:log-level=none"}
VPX = {"g": "15", "auto-alt-ref": "1", "lag-in-frames": "16"}
CLIPS: dict[str, dict[str, object]] = {
    "b_frames.mp4": {"options": B_FRAMES},
    "b_frames.ts": {"options": B_FRAMES},
    "b_frames.flv": {"options": B_FRAMES},
    "open_gop.mp4": {"options": OPEN_GOP},
    "open_gop.ts": {"options": OPEN_GOP},
    "cra.mp4": {"codec": "libx265", "options": CRA},
    "cra.mkv": {"codec": "libx265", "options": CRA},
    "refresh.mkv": {"options": {"x264-params": "intra-refresh=1:keyint=10"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": VPX},
    "vp8.webm": {"codec": "libvpx", "options": VPX},
    "av1.mp4": {"codec": "libsvtav1", "size": (64, 64), "options": {"g": "16", "preset": "12"}},
    "mjpeg.mkv": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "guessed_times.avi": {"options": B_FRAMES},
    "no_times.h264": {"options": B_FRAMES},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}, "rate": 25},
    "edit_list.mp4": {"options": B_FRAMES, "times": [i - 5 for i in range(40)]},
    "late.mp4": {"options": B_FRAMES, "times": [i + 30 for i in range(40)]},
    "variable.mkv": {
        "options": B_FRAMES,
        "times": [i * i // 2 + i for i in range(40)],
        "time_base": Fraction(1, 100),
    },
    "variable.mp4": {
        "options": B_FRAMES,
        "times": [i * 3 + i % 3 for i in range(40)],
        "time_base": Fraction(1, 90),
    },
    "alpha.mov": {"codec": "prores_ks", "pixels": "yuva444p10le", "count": 12},
    "ten_bits.mkv": {"codec": "ffv1", "pixels": "yuv420p10le"},
    "odd.mkv": {"codec": "ffv1", "size": (37, 51), "pixels": "yuv420p"},
    "animation.gif": {"codec": "gif", "pixels": "rgb8", "rate": 25, "count": 20},
    "animation.apng": {"codec": "apng", "pixels": "rgb24", "count": 20},
}


def played(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def same(one: Frame, other: Frame) -> bool:
    return one.index == other.index and one.time == other.time and np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("name", CLIPS)
def test_seeking_equals_playing(name: str, make_clip: ClipMaker):
    path = make_clip(name, **CLIPS[name])
    expected = played(path)
    with VideoFile(path) as clip:
        frames = list(clip.frames())
        assert [frame.index for frame in frames] == list(range(clip.num_frames)) == list(range(len(expected)))
        assert all(np.array_equal(f.pixels, e) for f, e in zip(frames, expected, strict=True))
        assert np.allclose(clip.times(), [frame.time for frame in frames]) and frames[0].time == 0
        order = random.Random(name)
        for index in [order.randrange(clip.num_frames) for _ in range(60)]:
            assert same(clip.read(index), frames[index])
        backward = list(clip.frames(3, clip.num_frames - 2, reverse=True))
        assert len(backward) == clip.num_frames - 4
        assert all(same(one, other) for one, other in zip(backward, frames[-2:2:-1], strict=True))
        assert clip.broken == ()
    with VideoFile(path) as clip:  # nothing before it decoded
        assert same(clip.read(clip.num_frames - 1), frames[-1])


def test_next_frames_are_read_without_seeking(make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch):
    seeks: list[int] = []
    seek = Decoder.seek

    def counted(self: Decoder, frame: int, *, keys_back: int = 0) -> None:
        seeks.append(frame)
        seek(self, frame, keys_back=keys_back)

    monkeypatch.setattr(Decoder, "seek", counted)
    with VideoFile(make_clip("a.mp4", options=B_FRAMES)) as clip:
        for index in (0, 1, 1, 2, 5, 6):
            assert clip.read(index).index == index
        assert seeks == []
        assert clip.read(5).index == 5
        assert [frame.index for frame in clip.frames(5, 9)] == [5, 6, 7, 8, 9]
        assert seeks == [5]


def test_reads_between_the_frames_of_an_iteration(make_clip: ClipMaker):
    with VideoFile(make_clip("a.mp4", options=B_FRAMES)) as clip:
        expected = list(clip.frames())
        for frame in clip.frames(10, 20):
            assert same(frame, expected[frame.index])
            assert same(clip.read(39 - frame.index), expected[39 - frame.index])


def test_bytes_and_open_files(make_clip: ClipMaker):
    path = make_clip("a.mp4", options=B_FRAMES)
    expected = list(VideoFile(path).frames())
    with path.open("rb") as file:
        file.seek(100)
        for source in (path.read_bytes(), file, str(path), io.BytesIO(path.read_bytes())):
            clip = VideoFile(source)
            assert isinstance(clip, FrameSource)
            assert same(clip.read(30), expected[30]) and same(clip.read(3), expected[3])
            clip.close()
            assert same(clip.read(4), expected[4])  # opened again
            clip.close()


def test_facts_for_exporters(make_clip: ClipMaker):
    def tags(stream: av.VideoStream) -> None:
        context = stream.codec_context
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = 1, 1, 1, 1

    clip = VideoFile(make_clip("a.mp4", setup=tags, rate=30))
    colour = clip.colour
    assert (colour.range, colour.primaries, colour.transfer, colour.matrix) == (1, 1, 1, 1)
    assert (clip.codec, clip.size, clip.rotation, clip.has_audio) == ("h264", (48, 64), 0, False)
    assert clip.average_rate == 30 and clip.fps == 30.0 and not clip.is_variable_rate
    assert clip.duration_seconds == pytest.approx(40 / 30) and clip.time_of(15) == pytest.approx(0.5)
    assert clip.path is not None and clip.name == "a.mp4" and 1 / clip.time_base % 30 == 0
    assert repr(clip) == "VideoFile('a.mp4', 64x48, h264)"
    clip.close()


def test_variable_rates(make_clip: ClipMaker):
    times = [i * i // 2 + i for i in range(40)]
    clip = VideoFile(make_clip("a.mkv", times=times, time_base=Fraction(1, 100)))
    assert clip.is_variable_rate
    assert clip.times() == pytest.approx([time / 100 for time in times], abs=1e-9)
    clip.close()


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("flipped", [False, True])
def test_pictures_are_turned_upright(make_clip: ClipMaker, degrees: int, flipped: bool):
    def turn(stream: av.VideoStream) -> None:
        stream.set_display_rotation(degrees, hflip=flipped)

    path = make_clip("a.mp4", setup=turn, count=3)
    coded = played(path)[0]
    turned = np.rot90(coded, degrees // 90)  # counter-clockwise, and then it is flipped
    expected = turned[:, ::-1] if flipped else turned
    clip = VideoFile(path)
    assert clip.size == expected.shape[:2]
    assert np.array_equal(clip.read(0).pixels, expected)
    assert clip.rotation % 180 == degrees % 180
    clip.close()


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 9, 2])
def test_colours(make_clip: ClipMaker, tmp_path: Path, pixels: str, full_range: bool, matrix: int):
    colour = (200, 60, 30)
    path = tmp_path / "colour.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=24)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 1 + full_range
        plain = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), "rgb24")
        # 2 says nothing, and is read as bt601
        to = {1: 1, 5: 5, 9: 9, 2: 5}[matrix]
        frame = plain.reformat(format=pixels, dst_colorspace=to, dst_color_range=1 + full_range)
        frame.colorspace, frame.color_range, frame.pts = matrix, 1 + full_range, 0
        frame.time_base = Fraction(1, 24)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    clip = VideoFile(path)
    assert np.abs(clip.read(0).pixels.astype(int) - colour).max() <= 3
    assert (clip.colour.matrix, clip.colour.range) == (matrix, 1 + full_range)
    clip.close()


def test_pixels_are_the_callers_own(make_clip: ClipMaker):
    clip = VideoFile(make_clip("a.apng", "apng", pixels="rgb24", count=5))
    before = clip.read(2).pixels.copy()
    clip.read(2).pixels[:] = 0
    assert np.array_equal(clip.read(2).pixels, before)
    assert before.flags.c_contiguous
    clip.close()


def resident() -> int:
    """Bytes of memory that this process holds."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_stays_flat(make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch):
    options = {"g": "600", "bf": "2", "preset": "ultrafast"}
    path = make_clip("long.mp4", options=options, count=600, size=(240, 320))
    monkeypatch.setattr(video, "_REVERSE_BYTES", 8 * 1024**2)
    for reverse in (False, True):
        clip = VideoFile(path)
        early = count = 0
        for frame in clip.frames(300 if reverse else 0, reverse=reverse):
            count += 1
            assert frame.pixels.shape == (240, 320, 3)
            if count == 100:
                early = resident()
        assert count == (300 if reverse else 600)
        assert resident() - early < 30 * 1024**2  # all frames together are 138 MB
        clip.close()


def test_real_clips(shared: Path):
    for name, count in (("01_dog.mp4", 289), ("05_default_juggle.mp4", 247), ("cat_jump.mp4", 141)):
        clip = VideoFile(shared / "media" / name)
        assert clip.num_frames == count
        early = list(clip.frames(0, 20))
        assert same(clip.read(20), early[20]) and same(clip.read(7), early[7])
        clip.close()


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux tells")
def test_an_encoder_leaves_the_tests_at_ordinary_priority(make_clip: ClipMaker):
    make_clip("av1.mp4", **CLIPS["av1.mp4"])
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
