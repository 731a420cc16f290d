"""Sound beside a written video: copied byte for byte where that can be, in its place in time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from stubs.written import decoded, picture, small_disk

from segma.errors import InputError, StoreError
from segma.media.video import VideoFile
from segma.media.video_kinds import kind_of
from segma.media.video_write import Timing, VideoWriter, writer_like

EVEN = Timing(time_base=Fraction(1, 25), average_rate=Fraction(25))


def with_sound(path: Path, codec: str, rate: int = 48000, seconds: int = 4) -> Path:
    """A clip of 25 frames a second with a rising tone."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = output.add_stream(codec, rate=rate, layout="stereo")
        done = 0
        for index in range(25 * seconds):
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture(index), "rgb24")))
            while done < (index + 1) / 25 * rate:
                time = (done + np.arange(960)) / rate
                wave = 0.5 * np.sin(2 * np.pi * (300 + 100 * time) * time)
                frame = av.AudioFrame.from_ndarray(
                    np.stack([wave, wave]).astype(np.float32), "fltp", "stereo"
                )
                frame.sample_rate, frame.pts, frame.time_base = rate, done, Fraction(1, rate)
                output.mux(sound.encode(frame))
                done += 960
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    return path


def sound_of(path: Path) -> tuple[str, list[tuple[float, bytes]]]:
    """Codec, and time and bytes of each packet."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        coded = [p for p in container.demux(stream) if p.size and p.pts is not None]
        return stream.codec_context.codec.canonical_name, [
            (float((p.pts or 0) * p.time_base), bytes(p)) for p in coded
        ]


def copy(source: Path, target: Path, kind: str, first: int, last: int) -> Path:
    with VideoWriter(target, (48, 64), kind=kind, timing=EVEN, audio_from=source) as writer:
        for index in range(first, last + 1):
            writer.write(picture(index), index / 25)
    return target


@pytest.mark.parametrize(
    ("name", "codec", "kind", "expected"),
    [
        ("a.mp4", "aac", "h264", "aac"),
        ("a.mp4", "aac", "prores4444", "aac"),
        ("a.mkv", "libmp3lame", "h264", "mp3"),
        ("a.mkv", "libopus", "webm-alpha", "opus"),
        ("a.mov", "pcm_s16le", "prores4444", "pcm_s16le"),
    ],
)
@pytest.mark.parametrize(("first", "last"), [(0, 99), (70, 89)])
def test_sound_is_copied_as_it_is(
    tmp_path: Path, name: str, codec: str, kind: str, expected: str, first: int, last: int
) -> None:
    source = with_sound(tmp_path / name, codec)
    target = copy(source, tmp_path / f"out{kind_of(kind).suffix}", kind, first, last)
    (_, before), (found, after) = sound_of(source), sound_of(target)
    assert found == expected
    whole, part = b"".join(data for _, data in before), b"".join(data for _, data in after)
    assert (part == whole) if (first, last) == (0, 99) else (part in whole)
    if codec != "pcm_s16le":  # whose packets a file may cut elsewhere
        times = {data: time for time, data in before}
        assert all(abs(times[data] - first / 25 - time) < 1.5e-3 for time, data in after if time >= 0)
    assert min(time for time, _ in after) < 0.03
    assert (last - first + 1) / 25 - 0.03 < max(time for time, _ in after) < (last - first + 1) / 25
    assert decoded(target)[0][:2] == [0, Fraction(1, 25)]


@pytest.mark.parametrize(
    ("name", "codec", "kind", "expected"),
    [
        ("a.mp4", "aac", "webm-alpha", "opus"),
        ("a.mkv", "libopus", "h264", "aac"),
        ("a.mkv", "libopus", "prores4444", "pcm_s16le"),
    ],
)
def test_sound_that_a_container_cannot_hold_is_encoded_anew(
    tmp_path: Path, name: str, codec: str, kind: str, expected: str
) -> None:
    target = copy(
        with_sound(tmp_path / name, codec), tmp_path / f"out{kind_of(kind).suffix}", kind, first=50, last=74
    )
    found, _ = sound_of(target)
    assert found == expected
    with av.open(str(target)) as container:
        heard = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
        assert container.duration == pytest.approx(1e6, abs=0.06e6)
    assert np.abs(heard.astype(float)).max() > 0


def test_a_stretch_without_sound(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "a.mp4", "aac", seconds=1)
    for kind in ("h264", "webm-alpha"):
        target = copy(source, tmp_path / f"out{kind_of(kind).suffix}", kind, first=60, last=70)
        assert len(decoded(target)[0]) == 11
        with av.open(str(target)) as container:
            streams = container.streams.audio
            assert not streams or all(p.pts is None or p.pts <= 0 for p in container.demux(streams[0]))


def test_sound_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for name in ("a.mp4", "none.mp4"):
        with pytest.raises(InputError, match="its sound cannot be read") as caught:
            copy(tmp_path / name, tmp_path / "x.mp4", "h264", 0, 1)
        assert caught.value.code == "input.unreadable"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_full_disk_with_sound(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "a.mp4", "aac")
    with pytest.raises(StoreError) as caught, small_disk(20_000):
        copy(source, tmp_path / "x.mp4", "h264", 0, 99)
    assert caught.value.code == "disk.full"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_writer_like_a_file(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "a.mp4", "aac")
    with VideoFile(source) as video:
        with writer_like(video, tmp_path / "b.mp4", kind="h264", first=10, last=20) as writer:
            for frame in video.frames(10, 20):
                writer.write(frame.pixels, frame.time, frame.index)
        times, _ = decoded(tmp_path / "b.mp4")
        assert times == [Fraction(index, 25) for index in range(11)]
        assert len(sound_of(tmp_path / "b.mp4")[1]) > 15
        with pytest.raises(InputError, match="the source of this video"):
            writer_like(video, source, kind="h264", overwrite=True)
