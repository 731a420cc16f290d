from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segma.errors import Cancelled
from segma.media.shots import CutDetector, find_cuts, shots_of
from segma.media.source import ArraySource, open_source

HEIGHT, WIDTH = 90, 160


def painting(seed: int) -> np.ndarray:
    """A large picture of soft blobs, to be looked at through a window that moves."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (12, 40, 3))
    return np.kron(coarse, np.ones((20, 20, 1))).astype(np.float32)


def scene(seed: int, count: int, speed: float = 1.0) -> list[np.ndarray]:
    """A slow pan over a painting."""
    picture = painting(seed)
    views: list[np.ndarray] = []
    for index in range(count):
        left = int(20 + index * speed) % (picture.shape[1] - WIDTH)
        views.append(picture[40 : 40 + HEIGHT, left : left + WIDTH])
    return views


def source(*parts: list[np.ndarray]) -> ArraySource:
    frames = [np.clip(frame, 0, 255).astype(np.uint8) for part in parts for frame in part]
    return ArraySource(np.stack(frames))


def pushed(frames: ArraySource) -> tuple[int, ...]:
    detector = CutDetector()
    return tuple(frame.index for frame in frames.frames() if detector.push(frame))


@pytest.mark.parametrize("speed", [0.0, 1.0, 3.0])
def test_scenes_cut_together(speed: float):
    clip = source(scene(1, 20, speed), scene(2, 15, speed), scene(3, 20, speed))
    assert find_cuts(clip) == pushed(clip) == (20, 35)
    assert shots_of(find_cuts(clip), clip.num_frames) == ((0, 19), (20, 34), (35, 54))


def test_cuts_near_the_ends():
    assert find_cuts(source(scene(1, 1), scene(2, 10))) == (1,)
    assert find_cuts(source(scene(1, 10), scene(2, 1))) == (10,)
    assert find_cuts(source(scene(1, 1))) == ()


def test_fast_motion_is_no_cut():
    clip = source(scene(1, 40, 9.0))
    assert find_cuts(clip) == pushed(clip) == ()
    assert find_cuts(clip, threshold=1) == ()


def test_a_cut_out_of_fast_motion():
    clip = source(scene(1, 12, 4.0), scene(2, 12, 4.0))
    assert find_cuts(clip) == pushed(clip) == (12,)


def test_a_flash_is_no_cut():
    shot = scene(1, 30)
    white = [np.full((HEIGHT, WIDTH, 3), 255.0)]
    noise = [np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH, 3))]
    for flash in (white, white * 3, noise, scene(2, 1), scene(2, 3), [0.3 * shot[14] + 178]):
        clip = source(shot[:15], flash, shot[15:])
        assert find_cuts(clip) == ()
        assert set(pushed(clip)) <= {15}  # without what follows, its first frame may count


def test_light_switched_on_is_no_cut():
    shot = scene(1, 30)
    clip = source([frame * 0.35 for frame in shot[:15]], shot[15:])
    assert find_cuts(clip) == pushed(clip) == ()


def test_fades_are_one_cut_at_most():
    one, other = scene(1, 40), scene(2, 40)
    down = [frame * (1 - index / 10) for index, frame in enumerate(one[30:])]
    up = [frame * (index / 10) for index, frame in enumerate(other[:11])]
    black = [np.zeros((HEIGHT, WIDTH, 3))] * 5
    cuts = find_cuts(source(one[:30], down, black, up, other[11:]))
    assert len(cuts) == 1 and 40 <= cuts[0] <= 50
    back = find_cuts(source(one[:30], down, black, down[::-1], one[30:10:-1]))
    assert back == ()
    assert find_cuts(source(black, up, other[11:])) == ()  # no shot before the first


def test_progress_ranges_and_stopping():
    clip = source(scene(1, 20), scene(2, 20), scene(3, 20))
    told: list[tuple[int, int]] = []
    assert find_cuts(clip, first=10, last=30, on_progress=lambda done, total: told.append((done, total))) == (
        20,
    )
    assert told == [(index, 21) for index in range(1, 22)]
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        find_cuts(clip, cancel=stop)


def test_large_and_tiny_pictures():
    parts = scene(1, 5), scene(2, 5)
    large = source(*[[np.kron(frame, np.ones((6, 6, 1))) for frame in part] for part in parts])
    tiny = source(*[[frame[:1, :1] for frame in part] for part in parts])
    assert find_cuts(large) == (5,) and find_cuts(tiny) == ()


@given(st.sets(st.integers(-5, 60)), st.integers(0, 50))
def test_shots_cover_all_frames_once(cuts: set[int], count: int):
    shots = shots_of(sorted(cuts), count)
    assert [frame for first, last in shots for frame in range(first, last + 1)] == list(range(count))
    assert all(first in cuts for first, _ in shots[1:])


def test_video_files(make_clip: Callable[..., Path]):
    frames = [np.clip(frame, 0, 255).astype(np.uint8) for frame in scene(1, 20) + scene(2, 20)]
    clip = open_source(make_clip("a.mp4", count=40, size=(HEIGHT, WIDTH), draw=frames.__getitem__))
    assert find_cuts(clip) == (20,)
    clip.close()


def test_real_clips_have_no_false_cuts(shared: Path):
    folders = sorted((shared / "realdev" / "videos").iterdir())
    parts = [np.stack([frame.pixels for frame in open_source(folder).frames()]) for folder in folders]
    assert all(find_cuts(ArraySource(part)) == () for part in parts)
    same = [part for part in parts if part.shape[1:] == parts[0].shape[1:]]
    together = ArraySource(np.concatenate(same))
    starts = tuple(int(start) for start in np.cumsum([len(part) for part in same])[:-1])
    assert find_cuts(together) == pushed(together) == starts
