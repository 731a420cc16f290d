"""What is written is read again with PyAV alone: times, pixels, alpha, tags, sound; and nothing half done."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from stubs.written import decoded, picture, planes, small_disk

from segma.errors import FormatError, InputError, StoreError
from segma.media import files
from segma.media.colour import ColourTags
from segma.media.video import VideoFile
from segma.media.video_kinds import KINDS, kind_of
from segma.media.video_write import Timing, VideoWriter

RATE = Fraction(25)
EVEN = Timing(time_base=1 / RATE, average_rate=RATE)
UNEVEN = (0, 1001, 1500, 6006, 6007, 20000, 20090, 33333)  # in 1/30000 s
FILES = [kind for kind in KINDS if kind.codec]


def write(path: Path, kind: str = "h264", count: int = 6, **options: object) -> Path:
    timing = {"timing": EVEN, **options}
    with VideoWriter(path, (48, 64), kind=kind, **timing) as writer:  # type: ignore[arg-type]  # any option
        for index in range(count):
            writer.write(picture(index, alpha=writer.kind.has_alpha), index / 25)
    return path


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.name)
def test_times_of_variable_rate_are_kept(tmp_path: Path, kind: object) -> None:
    name, suffix, ticks = kind.name, kind.suffix, kind.ticks  # type: ignore[attr-defined]  # a Kind
    timing = Timing(time_base=Fraction(1, 30000), average_rate=Fraction(30000, 1001))
    path = tmp_path / f"x{suffix}"
    with VideoWriter(path, (48, 64), kind=name, timing=timing) as writer:
        for index, tick in enumerate(UNEVEN):
            writer.write(picture(index, alpha=writer.kind.has_alpha), 7.5 + tick / 30000)
    times, frames = decoded(path)
    exact = [Fraction(tick, 30000) for tick in UNEVEN]
    if ticks is None:
        assert times == exact
    else:  # WebM counts milliseconds, and never twice the same one
        rounded = [round(time * ticks) for time in exact]
        assert [time * ticks for time in times] == [*rounded[:4], rounded[3] + 1, *rounded[5:]]
    assert len(frames) == writer.num_written == len(UNEVEN)


def test_the_last_frame_lasts_as_long_as_the_one_before(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / "x.mp4", count=10))) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None and stream.duration is not None
        assert stream.duration * stream.time_base == Fraction(10, 25)
        assert (stream.average_rate, stream.frames) == (RATE, 10)
    data = (tmp_path / "x.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # players may start before they have all of it


def test_prores_alpha_is_exact_and_colours_are_near(tmp_path: Path) -> None:
    _, frames = decoded(write(tmp_path / "x.mov", "prores4444"))
    for index, frame in enumerate(frames):
        assert frame.format.name.startswith("yuva444p")
        levels = planes(frame, 3, np.uint16)
        most = (1 << frame.format.components[3].bits) - 1
        expected = picture(index, alpha=True)
        assert np.abs(levels / most - expected[..., 3] / 255).max() * 1023 <= 1
        found = frame.to_ndarray(format="rgb24").astype(int)
        assert np.abs(found - expected[..., :3]).max() <= 4


def test_vp9_alpha_is_there_for_its_own_decoder(tmp_path: Path) -> None:
    path = write(tmp_path / "x.webm", "webm-alpha")
    _, frames = decoded(path, "libvpx-vp9")
    for index, frame in enumerate(frames):
        assert frame.format.name == "yuva420p"
        expected = picture(index, alpha=True)[..., 3]
        found = planes(frame, 3)
        assert np.abs(found.astype(int) - expected).mean() < 2
        assert np.array_equal(found[expected == 0] < 16, np.ones((expected == 0).sum(), bool))
        union, both = ((found > 127) | (expected > 127)).sum(), ((found > 127) & (expected > 127)).sum()
        assert both / union > 0.97


@pytest.mark.parametrize(
    ("kind", "written"), [("h264", (48, 66)), ("webm-alpha", (47, 65)), ("prores4444", (47, 65))]
)
def test_odd_sizes(tmp_path: Path, kind: str, written: tuple[int, int]) -> None:
    path = tmp_path / f"x{kind_of(kind).suffix}"
    expected = picture(0, (47, 65))
    with VideoWriter(path, (47, 65), kind=kind) as writer:
        writer.write(expected, 0)
    _, [frame] = decoded(path)
    assert (frame.height, frame.width) == written
    found = frame.to_ndarray(format="rgb24").astype(int)
    assert np.abs(found[:47, :65] - expected).mean() < 4
    if written != (47, 65):  # the last row and column again
        assert np.abs(found[47, :65] - expected[46]).mean() < 6
        assert np.abs(found[:47, 65] - expected[:, 64]).mean() < 6


@pytest.mark.parametrize(
    "tags",
    [
        ColourTags(range=1, primaries=1, transfer=1, matrix=1),
        ColourTags(range=2, primaries=5, transfer=6, matrix=5),
        ColourTags(range=1, primaries=9, transfer=16, matrix=9),
        ColourTags(range=0, primaries=2, transfer=2, matrix=2),
        ColourTags(),
    ],
)
@pytest.mark.parametrize("kind", ["h264", "webm-alpha", "prores4444"])
def test_colour_tags_are_kept_and_computed_with(tmp_path: Path, kind: str, tags: ColourTags) -> None:
    path = tmp_path / f"x{kind_of(kind).suffix}"
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[:, :32], colours[:, 32:] = (200, 40, 30), (30, 60, 190)
    with VideoWriter(path, (48, 64), kind=kind, colour=tags) as writer:
        writer.write(colours, 0)
    with VideoFile(path) as video:  # the library's own reader goes by the tags
        found = video.read(0).pixels.astype(int)
        read = video.colour
    for part in (np.s_[8:40, 4:24], np.s_[8:40, 40:60]):
        assert np.abs(found[part] - colours[part]).max() <= 6
    full = tags.range == 2 and kind != "prores4444"
    assert (read.range == 2) == full
    assert (read.matrix or 2) in ({5, 6} if tags.matrix == 5 else {tags.matrix or 2})
    if tags.transfer and kind != "webm-alpha":
        assert (read.primaries, read.transfer) == (tags.primaries, tags.transfer)


def test_a_matrix_that_cannot_be_computed_becomes_bt709(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mp4", colour=ColourTags(range=1, primaries=1, transfer=1, matrix=0))
    with VideoFile(path) as video:
        assert video.colour.matrix == 1


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mp4", pixel_aspect=Fraction(4, 3))
    with VideoFile(path) as video:
        assert video.sample_aspect == Fraction(4, 3)


def test_pictures_with_times(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    with VideoWriter(folder, (48, 64), kind="png", timing=EVEN) as writer:
        for index in (3, 4, 7):
            writer.write(picture(index, alpha=True), index / 25, index)
    assert sorted(path.name for path in folder.iterdir()) == [
        "00003.png", "00004.png", "00007.png", "times.csv",
    ]  # fmt: skip
    assert np.array_equal(np.array(Image.open(folder / "00007.png")), picture(7, alpha=True))
    rows = list(csv.DictReader((folder / "times.csv").read_text().splitlines()))
    assert rows[2] == {"frame": "7", "seconds": "0.28"}
    with pytest.raises(InputError, match="not empty"):
        write(folder, "png")
    write(folder, "png", count=1, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["00000.png", "times.csv"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_error_leaves_nothing(tmp_path: Path, kind: object) -> None:
    path = tmp_path / f"x{kind.suffix}"  # type: ignore[attr-defined]  # a Kind
    name: str = kind.name  # type: ignore[attr-defined]  # a Kind
    for error in (KeyboardInterrupt, FileNotFoundError):
        with pytest.raises(error), VideoWriter(path, (48, 64), kind=name) as writer:
            writer.write(picture(0), 0)
            raise error(2, "another file")
    with pytest.raises(InputError, match="no frame to write"), VideoWriter(path, (48, 64), kind=name):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_keeps_what_was_there(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mp4")
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"x\.mp4 exists") as caught:
        write(path)
    assert caught.value.code == "input.exists"
    with pytest.raises(RuntimeError), VideoWriter(path, (48, 64), overwrite=True) as writer:
        writer.write(picture(0), 0)
        raise RuntimeError
    assert path.read_bytes() == before
    write(path, count=2, overwrite=True)
    assert len(decoded(path)[1]) == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_full_disk_leaves_nothing(tmp_path: Path, kind: object, share: float) -> None:
    name, suffix = kind.name, kind.suffix  # type: ignore[attr-defined]  # a Kind
    whole = write(tmp_path / f"a{suffix}", name).stat().st_size
    assert whole > 1000
    with pytest.raises(StoreError, match="Nothing was written") as caught, small_disk(int(whole * share)):
        write(tmp_path / f"b{suffix}", name)
    assert caught.value.code == "disk.full"
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_a_full_disk_leaves_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught, small_disk(100):
        write(tmp_path / "frames", "png")
    assert caught.value.code == "disk.full"
    assert not list(tmp_path.iterdir())


def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: usage._replace(free=120_000_000))
    timing = Timing(num_frames=1_000_000)
    with pytest.raises(StoreError, match=r"Only 120 MB left in .*; the file needs about") as caught:
        write(tmp_path / "x.mov", "prores4444", timing=timing)
    assert caught.value.code == "disk.full"
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder does not exist") as caught:
        write(tmp_path / "none" / "x.mp4")
    assert caught.value.code == "disk.unwritable"
    with pytest.raises(FormatError, match="prores4444"):
        write(tmp_path / "x.avi", "avi")
    with pytest.raises(InputError, match="0x48"):
        VideoWriter(tmp_path / "x.mp4", (48, 0)).__enter__()
    with pytest.raises(FormatError, match="h264 cannot hold 20000x16"):
        VideoWriter(tmp_path / "x.mp4", (16, 20000)).__enter__()
    with pytest.raises(InputError, match="time base"):
        Timing(time_base=Fraction(0))
    assert not list(tmp_path.iterdir())


def test_frames_that_do_not_fit(tmp_path: Path) -> None:
    for frame, time in ((picture(0, (40, 64)), 1.0), (picture(0), 0.5), (picture(0), float("nan"))):
        with pytest.raises(InputError), VideoWriter(tmp_path / "x.mp4", (48, 64)) as writer:
            writer.write(picture(0), 0.5)
            writer.write(frame, time)
    assert not list(tmp_path.iterdir())


def test_a_rate_becomes_ticks_that_hit_its_frames() -> None:
    for fps in (24, 25, 29.97002997002997, 23.976023976023978, 12.5, 59.94005994005994, 1 / 3):
        timing = Timing.of_rate(fps)
        assert timing.average_rate is not None
        assert (1 / timing.average_rate / timing.time_base).denominator == 1
        assert timing.average_rate == pytest.approx(fps, rel=1e-6)
    assert Timing.of_rate(None).time_base == Fraction(1, 90000)
