"""Cut-outs and overlays of videos: what is on the frames, what is refused, bounded and stoppable work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stubs.clips import write_clip
from stubs.written import decoded, planes, small_disk

from segma.errors import Cancelled, FormatError, InputError, StoreError
from segma.masks.mask import Mask
from segma.media.draw import PALETTE, alpha_of
from segma.media.source import ArraySource, Frame
from segma.media.video import VideoFile
from segma.media.video_kinds import GREEN, KINDS
from segma.tasks.cutout import background_of, cut_picture, spread_colours, write_cutout
from segma.tasks.overlay import write_overlay

SIZE = (72, 96)
COUNT = 5


def disc(index: int, radius: int = 16) -> Mask:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return Mask.from_dense(np.hypot(x - 30 - 4 * index, y - 36) < radius)


def block(index: int) -> Mask:
    dense = np.zeros(SIZE, bool)
    dense[50:66, 60:84] = True
    return Mask.from_dense(dense)


FRAMES = np.stack([np.full((*SIZE, 3), (200, 120, 40 + index), np.uint8) for index in range(COUNT)])
MASKS = {index: disc(index) for index in range(COUNT)}


@pytest.fixture
def source() -> ArraySource:
    return ArraySource(FRAMES, fps=25)


def rgb(path: Path) -> list[np.ndarray]:
    return [frame.to_ndarray(format="rgb24").astype(int) for frame in decoded(path)[1]]


def far(mask: Mask, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a pixel is inside, and where outside, by more than a distance."""
    return alpha_of(mask, 0, -pixels) > 0, alpha_of(mask, 0, pixels) == 0


def test_prores_has_the_alpha_of_the_mask(tmp_path: Path, source: ArraySource) -> None:
    path = write_cutout(source, MASKS, tmp_path / "x.mov")
    times, frames = decoded(path)
    assert times == [Fraction(index, 25) for index in range(COUNT)]
    for index, frame in enumerate(frames):
        most = (1 << frame.format.components[3].bits) - 1
        assert np.array_equal(planes(frame, 3, np.uint16), disc(index).dense() * most)


def test_soft_and_grown_edges(tmp_path: Path, source: ArraySource) -> None:
    path = write_cutout(source, MASKS, tmp_path / "x.mov", feather=6, grow=2)
    frame = decoded(path)[1][1]
    most = (1 << frame.format.components[3].bits) - 1
    alpha = planes(frame, 3, np.uint16) / most
    assert np.abs(alpha - alpha_of(disc(1), 6, 2)).max() < 0.5 / 255 + 1 / 1023
    assert len(np.unique(alpha)) > 10


def test_webm_alpha(tmp_path: Path, source: ArraySource) -> None:
    path = write_cutout(source, MASKS.get, tmp_path / "x.webm", format="webm-alpha")
    for index, frame in enumerate(decoded(path, "libvpx-vp9")[1]):
        inside, outside = far(disc(index), 3)
        alpha = planes(frame, 3)
        assert alpha[inside].min() > 240 and alpha[outside].max() < 16
        edge = disc(index).dense()
        colours = frame.to_ndarray(format="rgb24").astype(int)
        assert np.abs(colours[edge] - FRAMES[index][0, 0]).max() < 12  # no dark edge


def test_matte_is_the_mask(tmp_path: Path, source: ArraySource) -> None:
    path = write_cutout(source, {0: disc(0), 2: disc(2)}, tmp_path / "x.mp4", format="matte")
    for index, frame in enumerate(rgb(path)):
        mask = disc(index) if index in (0, 2) else Mask.from_dense(np.zeros(SIZE, bool))
        inside, outside = far(mask, 4)
        assert (frame[inside] > 248).all() and (frame[outside] < 8).all()
    assert rgb(path)[1].max() < 8


@pytest.mark.parametrize(
    ("format", "background", "colour"), [("green", "none", GREEN), ("h264", "#102030", (16, 32, 48))]
)
def test_over_a_colour(
    tmp_path: Path, source: ArraySource, format: str, background: str, colour: tuple[int, int, int]
) -> None:
    path = write_cutout(source, MASKS, tmp_path / "x.mp4", format=format, background=background)
    for index, frame in enumerate(rgb(path)):
        inside, outside = far(disc(index), 4)
        for off in (frame[inside] - FRAMES[index][0, 0], frame[outside] - colour):
            assert np.quantile(np.abs(off), 0.98) < 12 and np.abs(off).max() < 32  # H.264 blurs edges


def test_over_a_picture_and_over_blur(tmp_path: Path) -> None:
    frames = np.zeros((2, *SIZE, 3), np.uint8)
    frames[:, :, 48:] = 255
    behind = np.full((20, 30, 3), (10, 200, 90), np.uint8)
    Image.fromarray(behind).save(tmp_path / "bg.png")
    source = ArraySource(frames, fps=10)
    path = write_cutout(
        source, MASKS, tmp_path / "a", format="png", background=f"image:{tmp_path / 'bg.png'}"
    )
    made = np.array(Image.open(path / "00001.png"))
    assert np.array_equal(made, np.where(disc(1).dense()[..., None], frames[1], (10, 200, 90)))
    path = write_cutout(source, MASKS, tmp_path / "b", format="png", background="blur:6")
    made = np.array(Image.open(path / "00001.png"))
    assert np.array_equal(made[disc(1).dense()], frames[1][disc(1).dense()])
    assert 60 < made[10, 46, 0] < 127 < made[10, 49, 0] < 195  # where the frame jumps from 0 to 255


def test_a_range_of_png_keeps_numbers(tmp_path: Path, source: ArraySource) -> None:
    told: list[tuple[int, int | None]] = []
    path = write_cutout(
        source, MASKS, tmp_path / "x", format="png", first=1, last=3,
        on_progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert [p.name for p in sorted(path.glob("*.png"))] == ["00001.png", "00002.png", "00003.png"]
    made = np.array(Image.open(path / "00002.png"))
    expected = cut_picture(FRAMES[2], disc(2), background_of("none"))
    assert np.array_equal(made, expected)
    assert not made[made[..., 3] == 0].any()  # nothing of the frame is left there
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_spread_colours_are_those_of_the_object() -> None:
    picture = np.zeros((*SIZE, 4), np.uint8)
    inside = disc(0).dense()
    picture[inside] = (180, 90, 20, 255)
    spread = spread_colours(picture, 5)
    assert np.array_equal(spread[..., 3], picture[..., 3])
    near = (alpha_of(disc(0), 0, 4) > 0) & ~inside
    assert np.abs(spread[near][:, :3].astype(int) - (180, 90, 20)).max() <= 1
    assert not spread[alpha_of(disc(0), 0, 9) == 0].any()
    empty = np.zeros_like(picture)
    assert np.array_equal(spread_colours(empty), empty)


def test_times_of_a_file_of_variable_rate(tmp_path: Path) -> None:
    ticks = (0, 3, 4, 11, 20, 21)
    with VideoFile(write_clip(tmp_path / "a.mp4", len(ticks), times=ticks)) as video:
        mask = Mask.from_dense(np.ones(video.size, bool))
        write_cutout(video, lambda index: mask, tmp_path / "x.mov")
        write_overlay(video, lambda index: {"all": mask}, tmp_path / "part.mp4", first=2)
    assert decoded(tmp_path / "x.mov")[0] == [Fraction(tick, 100) for tick in ticks]
    assert decoded(tmp_path / "part.mp4")[0] == [Fraction(tick - 4, 100) for tick in ticks[2:]]


def test_what_contradicts(tmp_path: Path, source: ArraySource) -> None:
    with pytest.raises(FormatError, match="h264 has no alpha"):
        write_cutout(source, MASKS, tmp_path / "x.mp4", format="h264")
    with pytest.raises(InputError, match="green has its own background"):
        write_cutout(source, MASKS, tmp_path / "x.mp4", format="green", background="white")
    with pytest.raises(InputError, match='No background "blur:0"'):
        write_cutout(source, MASKS, tmp_path / "x.mp4", format="h264", background="blur:0")
    with pytest.raises(InputError) as caught:
        write_cutout(source, MASKS, tmp_path / "x.mov", first=COUNT)
    assert caught.value.code == "input.frame_range"
    with pytest.raises(InputError, match="masks are"):
        write_cutout(source, {1: Mask.from_dense(np.ones((5, 5), bool))}, tmp_path / "x.mov")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", [kind.name for kind in KINDS])
def test_stopping_and_full_disks_leave_nothing(tmp_path: Path, source: ArraySource, format: str) -> None:
    background = "black" if format == "h264" else "none"
    cancel = threading.Event()

    def stop(done: int, total: int | None) -> None:
        if done == 2:
            cancel.set()

    with pytest.raises(Cancelled):
        write_cutout(
            source,
            MASKS,
            tmp_path / "x",
            format=format,
            background=background,
            on_progress=stop,
            cancel=cancel,
        )
    with pytest.raises(StoreError) as caught, small_disk(60):
        write_cutout(source, MASKS, tmp_path / "x", format=format, background=background)
    assert caught.value.code == "disk.full"
    assert not list(tmp_path.iterdir())


class Stepwise(ArraySource):
    """A source that is asked for the next frame only when the one before is written."""

    taken = 0

    def frames(self, first: int = 0, last: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        for index in range(60):
            assert index == self.taken, "frames are asked for one by one"
            yield replace(super().read(0), index=index, time=index / 25)


def test_frames_are_made_one_at_a_time(tmp_path: Path) -> None:
    source = Stepwise(FRAMES[:1], fps=25)

    def mask(index: int) -> Mask:
        assert index == source.taken
        return disc(0)

    def count(done: int, total: int | None) -> None:
        source.taken = done

    write_cutout(source, mask, tmp_path / "x.mp4", format="matte", on_progress=count)
    assert len(decoded(tmp_path / "x.mp4")[0]) == 60


def test_overlay_colours_stay(tmp_path: Path, source: ArraySource) -> None:
    def masks(index: int) -> dict[str, Mask]:
        both = {"disc": disc(index), "block": block(index)}
        if index % 2:
            return dict(reversed(both.items()))
        return both if index else {"block": both["block"]}

    path = write_overlay(
        source, masks, tmp_path / "x.mp4", names=["disc", "block"], opacity=1, border_pixels=0, labels=False
    )
    for index, frame in enumerate(rgb(path)):
        assert np.abs(frame[55:62, 66:78] - PALETTE[1]).max() < 14
        shown = frame[36, 30 + 4 * index]
        assert np.abs(shown - (PALETTE[0] if index else FRAMES[0][0, 0])).max() < 14
    with pytest.raises(InputError, match="exists"):
        write_overlay(source, masks, path)


def test_overlay_names_and_anchors(tmp_path: Path) -> None:
    source = ArraySource(np.zeros((2, 120, 160, 3), np.uint8), fps=5)
    dense = np.zeros((120, 160), bool)
    dense[60:100, 40:120] = True
    mask = Mask.from_dense(dense)
    kinds = {}
    for name, options in {
        "plain": {"labels": False},
        "names": {},
        "anchors": {"anchors": {"ball": [1]}},
    }.items():
        folder = write_overlay(source, lambda index: {"ball": mask}, tmp_path / name, kind="png", **options)  # type: ignore[arg-type]  # any option
        kinds[name] = [np.array(Image.open(folder / f"0000{i}.png")).astype(int) for i in (0, 1)]
    tag = np.abs(kinds["names"][0] - kinds["plain"][0]).max(-1) > 30
    rows, columns = np.nonzero(tag)
    assert rows.min() > 30 and rows.max() < 60 and 40 < columns.mean() < 120  # above the object
    assert np.array_equal(kinds["names"][0], kinds["anchors"][0])
    assert (kinds["names"][1] != kinds["anchors"][1]).any()
