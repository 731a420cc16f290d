"""Masks moved along the flow, and parts of frames that are looked at: where they lie, what comes of it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray
from stubs.follower import Follower, close_follower
from stubs.scenes import scene, session, stand, tracked, unbroken_and_resumed, walk

from segma.masks.mask import Mask
from segma.prompts.types import FramePrompt
from segma.tasks import track_follow
from segma.tasks.track import VideoSession
from segma.tasks.track_config import TrackConfig
from segma.tasks.track_follow import RASTER, Motions


def _texture(side: int = 200) -> ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (side // 4, side // 4, 3)).astype(np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def _shifted(x: int, y: int) -> tuple[ndarray, ndarray]:
    """A textured frame, and the same moved by so many pixels."""
    texture = _texture()
    return texture, np.roll(texture, (y, x), (0, 1))


@pytest.mark.parametrize(("x", "y"), [(6, 0), (-4, 5), (0, 0)])
def test_a_mask_goes_where_its_pixels_went(x: int, y: int) -> None:
    before, now = (track_follow.grey(frame) for frame in _shifted(x, y))
    motion = torch.from_numpy(track_follow.flow(now, before))
    logits = torch.full((1, 1, RASTER, RASTER), -8.0)
    logits[..., 150:220, 120:240] = 8.0
    found = track_follow.moved(logits, motion)[0, 0] > 0
    dx, dy = (round(step * RASTER / 200) for step in (x, y))
    truth = torch.roll(logits[0, 0] > 0, (dy, dx), (0, 1))
    assert (found & truth).sum() / (found | truth).sum() > 0.93


def test_without_a_flow_a_mask_stays() -> None:
    logits = torch.randn(2, 1, 16, 16) * 30
    assert torch.equal(track_follow.moved(logits, None), logits.clamp(-10, 10))
    assert torch.allclose(
        track_follow.moved(logits, torch.zeros(16, 16, 2)), logits.clamp(-10, 10), atol=1e-4
    )


def test_a_flow_is_known_of_frames_that_were_seen() -> None:
    motions = Motions()
    before, now = _shifted(6, 0)
    motions.see(3, before)
    assert motions.between(4, 3) is None
    motions.see(4, now)
    motion = motions.between(4, 3)
    assert motion is not None and motion.shape == (RASTER, RASTER, 2)
    assert float(motion[50:-50, 50:-50, 0].median()) == pytest.approx(-6 * RASTER / 200, abs=0.5)
    assert motions.between(4, 3) is motion, "it is worked out once"
    for frame in range(5, 12):
        motions.see(frame, now)
    assert motions.between(4, 3) is None, "only the last frames are held"


@given(
    x=st.integers(0, 560), y=st.integers(0, 290), w=st.integers(2, 80), h=st.integers(2, 70),
    closer=st.floats(1.2, 4.0),
)  # fmt: skip
def test_a_part_holds_its_object_and_lies_in_the_frame(x: int, y: int, w: int, h: int, closer: float) -> None:
    height, width = size = (360, 640)
    mask = np.zeros(size, np.float32)
    mask[y : y + h, x : x + w] = 1
    raster = cv2.resize(mask, (RASTER, RASTER), interpolation=cv2.INTER_AREA) * 20 - 10
    if not (raster > 0).any():
        return
    window = track_follow.window_around(torch.from_numpy(raster)[None, None], size, closer)
    if window is None:
        assert closer * max(w, h) > 0.6 * height
        return
    x0, y0, x1, y1 = window
    assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    assert x1 - x0 == y1 - y0 or y1 - y0 == height
    assert x0 <= x + 2 and y0 <= y + 2 and x1 >= min(width, x + w) - 2 and y1 >= min(height, y + h) - 2


def test_no_part_without_an_object_or_a_wish() -> None:
    empty = torch.full((1, 1, RASTER, RASTER), -3.0)
    assert track_follow.window_around(empty, (100, 100), 2.2) is None
    empty[..., 10:20, 10:20] = 3
    assert track_follow.window_around(empty, (1000, 1000), 0.0) is None
    assert track_follow.window_around(empty, (1000, 1000), 2.2) is not None


@pytest.mark.parametrize("window", [None, (100, 40, 180, 120), (0, 0, 48, 48), (592, 312, 640, 360)])
def test_onto_the_raster_and_back(window: Any) -> None:
    size = (360, 640)
    logits = (
        cv2.GaussianBlur(np.random.default_rng(1).normal(0, 8, (64, 64)).astype(np.float32), (0, 0), 6) * 9
    )
    whole = track_follow.on_raster(torch.from_numpy(logits), window, size)
    back = track_follow.of_raster(whole, window, size, 64).numpy()
    assert np.abs(back - logits.clip(-10, 10)).mean() < 0.4
    if window is not None:
        x0, y0, x1, y1 = (
            round(edge * RASTER / side) for edge, side in zip(window, (640, 360) * 2, strict=True)
        )
        outside = torch.ones(RASTER, RASTER, dtype=torch.bool)
        outside[y0:y1, x0:x1] = False
        assert (whole[0, 0][outside] == -10).all()


def test_what_is_found_is_held_back_by_what_was_expected() -> None:
    expected = torch.full((64, 64), -8.0)
    expected[20:36, 20:36] = 8.0
    found = torch.full((64, 64), -8.0)
    found[20:36, 22:60] = 8.0  # it ran out to the right
    found[50:60, 2:10] = 8.0  # and elsewhere
    alone = track_follow.steadied(found, expected, TrackConfig(inertia=0.0, reach=0.0)) > 0
    assert torch.equal(alone[:48], found[:48] > 0) and not alone[48:].any()
    near = track_follow.steadied(found, expected, TrackConfig(inertia=0.0, reach=0.25)) > 0
    assert near[28, 30:39].all() and not near[28, 42:].any()
    held = track_follow.steadied(found, expected, TrackConfig(inertia=0.6, reach=0.0)) > 0
    assert torch.equal(held, expected > 0)
    gone = torch.full((64, 64), -8.0)
    assert torch.equal(track_follow.steadied(found, gone, TrackConfig(inertia=0.0)), found)


def _around(frame: int) -> tuple[int, int]:
    place = walk(frame)
    assert place is not None
    return place


def test_a_small_object_is_looked_at_closely_and_its_mask_lies_where_it_is() -> None:
    model = close_follower()
    found = tracked(session(scene(8, walk), model, closer=2.2))
    plain = tracked(session(scene(8, walk), close_follower(), closer=0.0))
    truth = tracked(session(scene(8, walk)))
    assert sorted(found) == sorted(plain) == sorted(truth) == list(range(8))
    for frame in range(8):
        near, far, right = (each[frame].compact.dense() for each in (found, plain, truth))
        assert (near & right).sum() / (near | right).sum() > 0.6
        assert (far & right).sum() / (far | right).sum() > 0.6
    banks = [bank for bank in model.banks if bank.previous is not None]
    assert len(banks) == 7
    filled = [float((bank.previous > 0).float().mean()) for bank in banks if bank.previous is not None]
    assert min(filled) > 3 * 16 * 16 / 128**2, "what is looked at is a part around the object"


def test_official_weights_are_shown_no_mask() -> None:
    model = Follower()
    tracked(session(scene(4, walk), model))
    assert all(bank.previous is None for bank in model.banks)


def test_a_mask_that_is_given_is_remembered_closely() -> None:
    video = session(scene(3, walk), close_follower(), closer=2.2)
    x, y = _around(0)
    mask = np.zeros(video.source.size, bool)
    mask[y : y + 16, x : x + 16] = True
    record = video.say("a", 0, FramePrompt(mask=Mask.from_dense(mask)))
    memory = video.track("a").anchors[0]
    assert memory.window is not None
    assert np.mean(record.compact.dense() == mask) > 0.97


@pytest.mark.parametrize("stop", [3, 9])
def test_a_run_that_is_resumed_looks_where_it_would_have(stop: int) -> None:
    def prepared(**more: Any) -> VideoSession:
        return session(scene(14, walk, stand), close_follower(), closer=2.2, **more)

    unbroken_and_resumed(prepared, stop)
