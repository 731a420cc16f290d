"""Ways of sprites through a clip: straight, accelerating, bouncing, crossing another, coming back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class SpritePath:
    """Where a sprite's middle is on each frame (pixels, integers are edges), its turn, scale and bend.

    Angles are degrees; `bend` is the swing of a wave that goes through it, as a share of its longer side,
    with `bend_frequency` waves in that side; `velocity` is pixels a frame.
    """

    xy: Float[ndarray, "frames 2"]
    angle: Float[ndarray, " frames"]
    scale: Float[ndarray, " frames"]
    velocity: Float[ndarray, "frames 2"]
    bend: float = 0.0
    bend_frequency: float = 1.0
    bend_phase: Float[ndarray, " frames"]


def drawn_path(
    frames: int, size: int, random: np.random.Generator, *, meets: SpritePath | None = None
) -> SpritePath:
    """A way that begins inside the frame; or, with `meets`, one that crosses that way about its middle."""
    times = np.arange(frames, dtype=float)[:, None]
    speed = (
        0.0
        if random.random() < 0.12
        else size * float(np.exp(random.uniform(math.log(0.004), math.log(0.12))))
    )
    if meets is not None:
        speed = max(speed, 0.03 * size)
    heading = random.uniform(0, 2 * np.pi)
    velocity = speed * np.array([np.cos(heading), np.sin(heading)])
    pull = random.normal(0, 0.25 * speed, 2) if random.random() < 0.5 else np.zeros(2)
    start = random.uniform(0.12, 0.88, 2) * size
    if meets is not None:
        when = int(random.integers(1, max(2, frames)))
        start = meets.xy[min(when, frames - 1)] - velocity * when - pull * when**2 / 2
    xy = start + velocity * times + pull * times**2 / 2
    if meets is None and random.random() < 0.7:
        xy = _bounced(xy, 0.03 * size, 0.97 * size)
    if random.random() < 0.15:  # unsteady, as if held by a hand
        xy = xy + random.normal(0, 0.01 * size, xy.shape)
    turning = random.normal(0, 7) if random.random() < 0.6 else 0.0
    growing = random.normal(0, 0.04) if random.random() < 0.6 else 0.0
    bent = random.random() < 0.4
    return SpritePath(
        xy=xy,
        angle=random.normal(0, 12) + turning * times[:, 0],
        scale=np.exp(np.clip(growing * times[:, 0], -0.9, 0.6)),
        velocity=_velocity(xy),
        bend=float(random.uniform(0.01, 0.04)) if bent else 0.0,
        bend_frequency=float(random.uniform(0.5, 1.5)),
        bend_phase=random.uniform(0, 2 * np.pi) + random.uniform(0.2, 1.5) * times[:, 0],
    )


def leaving(path: SpritePath, size: int, reach: float | int, random: np.random.Generator) -> SpritePath:
    """The way with a stay outside, never on the first frame; `reach` is the radius of the sprite, in pixels.

    It leaves over the nearest side, and mostly comes back, there or over the side opposite.
    """
    frames = len(path.xy)
    if frames < 3:
        return path
    first = int(random.integers(1, frames - 1))
    last = min(frames, first + int(random.integers(1, max(2, frames // 2 + 1))))
    xy = path.xy.copy()
    middle = xy[first] / size - 0.5
    axis = int(np.argmax(np.abs(middle)))
    side = 1.0 if middle[axis] > 0 else -1.0
    away = 1.3 * reach * float(path.scale.max()) + 2
    xy[first:last, axis] = size + away if side > 0 else -away
    if last < frames and random.random() < 0.5:  # comes back elsewhere
        xy[last:] = xy[last:] - xy[last] + random.uniform(0.15, 0.85, 2) * size
    return replace(path, xy=xy, velocity=path.velocity)


def _bounced(xy: Float[ndarray, "frames 2"], low: float, high: float) -> Float[ndarray, "frames 2"]:
    """Places that would be beyond a wall, thrown back from it."""
    span = high - low
    folded = np.mod(xy - low, 2 * span)
    return low + np.where(folded > span, 2 * span - folded, folded)


def _velocity(xy: Float[ndarray, "frames 2"]) -> Float[ndarray, "frames 2"]:
    return np.gradient(xy, axis=0) if len(xy) > 1 else np.zeros_like(xy)
