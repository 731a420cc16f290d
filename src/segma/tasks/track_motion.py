"""How an object's box moves: a Kalman filter at constant velocity (SAMURAI, arXiv 2411.11922, section 3.2).

Boxes are x0, y0, x1, y1 in cells of the low-resolution mask, edges of cells (a mask of one cell has sides
of 1). The noise is that of DeepSORT (arXiv 1703.07402): in parts of the box's own sides. Pure numpy; the
same calls give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

Box = tuple[float, float, float, float]

_NUMBERS = 2 + 8 + 64
_POSITION_NOISE = 1 / 20  # of the box's side, each frame
_VELOCITY_NOISE = 1 / 160
_SETTLED = 15  # boxes seen before the filter votes (SAMURAI: stable_frames_threshold)
_LOST = 0.5  # in parts of the box's side: a filter less sure of the middle than this does not vote
_GATE = 9.21  # 99 % of a chi-squared with 2 degrees of freedom
_MOST_STEPS = 64


@dataclass(frozen=True, slots=True)
class BoxMotion:
    """The filter's state on `frame`: middle, sides and their velocities, and how sure they are.

    `mean` is x, y, width, height and the change of each in a frame (in the direction of travel);
    `covariance` its 8 x 8 rows one after the other; `updates` counts the boxes seen.
    """

    frame: int
    updates: int
    mean: tuple[float, ...]
    covariance: tuple[float, ...]

    @classmethod
    def start(cls, frame: int, box: Box) -> BoxMotion:
        """A filter that has seen one box and takes it to stand still."""
        measured = _measured(box)
        sides = np.tile(measured[2:], 2)
        spread = np.concatenate([2 * _POSITION_NOISE * sides, 10 * _VELOCITY_NOISE * sides])
        mean = np.concatenate([measured, np.zeros(4)])
        return _state(frame, 1, mean, np.diag(spread**2))

    def predicted(self, frame: int) -> BoxMotion:
        """The state expected on another frame, as many steps away as the frames differ."""
        mean, covariance = self._arrays()
        step = np.eye(8) + np.eye(8, k=4)
        for _ in range(min(abs(frame - self.frame), _MOST_STEPS)):
            sides = np.tile(np.maximum(mean[2:4], 1), 2)
            noise = np.concatenate([_POSITION_NOISE * sides, _VELOCITY_NOISE * sides])
            mean, covariance = step @ mean, step @ covariance @ step.T + np.diag(noise**2)
        return _state(frame, self.updates, mean, covariance)

    def updated(self, box: Box) -> BoxMotion:
        """The state after a box was seen on this frame."""
        mean, covariance = self._arrays()
        noise = _POSITION_NOISE * np.tile(np.maximum(mean[2:4], 1), 2)
        gain = covariance[:, :4] @ np.linalg.inv(covariance[:4, :4] + np.diag(noise**2))  # (8, 4)
        mean = mean + gain @ (_measured(box) - mean[:4])
        covariance = covariance - gain @ covariance[:4]
        return _state(self.frame, self.updates + 1, mean, (covariance + covariance.T) / 2)

    @property
    def box(self) -> Box:
        """The box expected; its sides are at least 1."""
        x, y, width, height = self.mean[:4]
        half_width, half_height = max(width, 1.0) / 2, max(height, 1.0) / 2
        return (x - half_width, y - half_height, x + half_width, y + half_height)

    @property
    def votes(self) -> bool:
        """Whether it has seen enough boxes, and the last of them lately enough, to be heard."""
        x0, y0, x1, y1 = self.box
        spread_x, spread_y = np.sqrt(self.covariance[0]), np.sqrt(self.covariance[9])
        return bool(
            self.updates >= _SETTLED and spread_x < _LOST * (x1 - x0) and spread_y < _LOST * (y1 - y0)
        )

    def score(self, box: Box | None) -> float:
        """IoU of a box and the one expected; 0 without a box."""
        return 0.0 if box is None else overlap(self.box, box)

    def reaches(self, box: Box) -> bool:
        """Whether the box's middle is where the object can be by now; the longer unseen, the farther."""
        mean, covariance = self._arrays()
        noise = _POSITION_NOISE * np.maximum(mean[2:4], 1)
        off = _measured(box)[:2] - mean[:2]
        inside = np.linalg.inv(covariance[:2, :2] + np.diag(noise**2))
        return float(off @ inside @ off) <= _GATE

    def to_list(self) -> list[float]:
        """As JSON."""
        return [float(self.frame), float(self.updates), *self.mean, *self.covariance]

    @classmethod
    def from_list(cls, numbers: list[float]) -> BoxMotion:
        """The state of `to_list`. Raises ValueError for another count of numbers."""
        if len(numbers) != _NUMBERS:
            raise ValueError(f"A filter has {_NUMBERS} numbers, not {len(numbers)}.")
        values = [float(number) for number in numbers]
        return cls(int(values[0]), int(values[1]), tuple(values[2:10]), tuple(values[10:]))

    def _arrays(self) -> tuple[Float[ndarray, " 8"], Float[ndarray, "8 8"]]:
        return np.array(self.mean), np.array(self.covariance).reshape(8, 8)


def box_of(mask: Bool[ndarray, "height width"]) -> Box | None:
    """The edges around the cells of a mask; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def overlap(one: Box, other: Box) -> float:
    """IoU of two boxes.

    >>> overlap((0.0, 0.0, 2.0, 2.0), (1.0, 0.0, 3.0, 2.0))
    0.3333333333333333
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    whole = area(one) + area(other) - shared
    return shared / whole if whole > 0 else 0.0


def area(box: Box) -> float:
    """Width times height."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _measured(box: Box) -> Float[ndarray, " 4"]:
    """Middle and sides."""
    x0, y0, x1, y1 = box
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], np.float64)


def _state(
    frame: int, updates: int, mean: Float[ndarray, " 8"], covariance: Float[ndarray, "8 8"]
) -> BoxMotion:
    return BoxMotion(frame, updates, tuple(mean.tolist()), tuple(covariance.ravel().tolist()))
