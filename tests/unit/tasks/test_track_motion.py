"""The Kalman filter on boxes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segma.tasks.track_motion import Box, BoxMotion, area, box_of, overlap


def moving(frame: int) -> Box:
    return (2.0 * frame, 10.0, 2.0 * frame + 8, 20.0)


def followed(frames: int) -> BoxMotion:
    motion = BoxMotion.start(0, moving(0))
    for frame in range(1, frames):
        motion = motion.predicted(frame).updated(moving(frame))
    return motion


def test_it_learns_a_constant_velocity() -> None:
    motion = followed(20)
    assert motion.frame == 19 and motion.updates == 20
    assert motion.mean[4] == pytest.approx(2.0, abs=0.1) and motion.mean[5] == pytest.approx(0.0, abs=1e-6)
    assert motion.predicted(20).score(moving(20)) > 0.9
    assert motion.predicted(20).score(None) == 0.0


def test_it_predicts_through_absence_and_grows_unsure() -> None:
    motion = followed(20)
    soon, late = motion.predicted(22), motion.predicted(60)
    assert overlap(soon.box, moving(22)) > 0.8 and overlap(late.box, moving(60)) > 0.3
    assert soon.votes and not late.votes
    elsewhere = (soon.box[0], soon.box[1] + 12, soon.box[2], soon.box[3] + 12)
    assert soon.reaches(moving(22)) and not soon.reaches(elsewhere)
    x = late.box[0]
    assert late.reaches((x, 22.0, x + 8, 32.0))


def test_many_steps_are_as_many_times_one_step() -> None:
    motion = followed(16)
    one_by_one = motion
    for frame in range(16, 24):
        one_by_one = one_by_one.predicted(frame)
    assert np.allclose(one_by_one.mean, motion.predicted(23).mean)
    assert np.allclose(one_by_one.covariance, motion.predicted(23).covariance)
    assert np.allclose(motion.predicted(motion.frame).mean, motion.mean)


def test_it_is_the_textbook_filter() -> None:
    """Against a plain statement with matrices, on a box that changes its size too."""
    rng = np.random.default_rng(3)
    transition = np.block([[np.eye(4), np.eye(4)], [np.zeros((4, 4)), np.eye(4)]])
    look = np.hstack([np.eye(4), np.zeros((4, 4))])
    box = np.array([20.0, 30, 12, 16])
    x = np.concatenate([box, np.zeros(4)])
    sides = np.array([12.0, 16, 12, 16])
    p = np.diag(np.concatenate([sides / 10, sides / 16]) ** 2)
    motion = BoxMotion.start(0, corners(box))
    for frame in range(1, 12):
        box = box + rng.normal(0, 1, 4) * [1, 1, 0.3, 0.3]
        sides = np.tile(x[2:4], 2)
        x, p = transition @ x, transition @ p @ transition.T
        p = p + np.diag(np.concatenate([sides / 20, sides / 160]) ** 2)
        noise = np.diag((np.tile(x[2:4], 2) / 20) ** 2)
        gain = p @ look.T @ np.linalg.inv(look @ p @ look.T + noise)
        x, p = x + gain @ (box - look @ x), (np.eye(8) - gain @ look) @ p
        motion = motion.predicted(frame).updated(corners(box))
        assert np.allclose(motion.mean, x) and np.allclose(np.reshape(motion.covariance, (8, 8)), p)


def corners(box: np.ndarray) -> Box:
    x, y, width, height = (float(v) for v in box)
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def test_it_survives_json_exactly() -> None:
    motion = followed(9)
    assert BoxMotion.from_list(json.loads(json.dumps(motion.to_list()))) == motion
    with pytest.raises(ValueError, match="74 numbers, not 3"):
        BoxMotion.from_list([1.0, 2.0, 3.0])


def test_boxes_of_masks() -> None:
    mask = np.zeros((8, 8), bool)
    assert box_of(mask) is None
    mask[2, 3] = mask[4, 6] = True
    assert box_of(mask) == (3.0, 2.0, 7.0, 5.0) and area((3.0, 2.0, 7.0, 5.0)) == 12
    assert overlap((0.0, 0.0, 1.0, 1.0), (5.0, 5.0, 6.0, 6.0)) == 0
    assert overlap((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)) == 0
