"""How things and the camera move: poses by frame, drawn from a kind of motion.

Lengths and angles as in `scene`. Speeds are set by the way that is covered in the clip, so that a clip of
few frames moves as much as a long one, in larger steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from segma.worlds.scene import Camera, Motion, Pose, View

Random = np.random.Generator
Series = Float[ndarray, " frames"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """What a motion starts from: the pose at rest, half the frame (height, width), the clip's time 0..1.

    `way` is about how far it goes; `target` is a point to pass through half-way, for crossings.
    """

    rest: Pose
    half: tuple[float, float]
    time: Series
    way: float
    target: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """Values by frame that are added to (angle, x, y, bend, wave, phase) or multiplied (scale, stretch)."""

    x: Series | float = 0.0
    y: Series | float = 0.0
    angle: Series | float = 0.0
    scale: Series | float = 1.0
    stretch: Series | float = 1.0
    bend: Series | float = 0.0
    wave: Series | float = 0.0
    phase: Series | float = 0.0
    present: tuple[bool, ...] = field(default=(True,))


def draw_motion(kind: str, path: Path, rng: Random) -> Motion:
    """The motion of a whole of one of MOTIONS; a single pose for a clip of one frame."""
    frames = len(path.time)
    if frames == 1 or kind == "still":
        return Motion(kind="still", poses=(path.rest,))
    course = _COURSES[kind](path, rng)
    rest = path.rest
    columns = (
        *(rest.x + course.x, rest.y + course.y, rest.angle + course.angle),
        *(rest.scale * course.scale, rest.stretch * course.stretch),
        *(rest.bend + course.bend, rest.wave + course.wave, rest.phase + course.phase),
    )
    rows = np.stack([np.broadcast_to(each, frames) for each in columns], 1).tolist()
    return Motion(kind=kind, poses=tuple(Pose(*row) for row in rows), present=course.present)


def draw_swing(rest: Pose, amount: float, time: Series, rng: Random) -> Motion:
    """A part that turns to and fro about its own origin, by up to `amount`."""
    if len(time) == 1 or amount == 0:
        turned = replace(rest, angle=rest.angle + float(rng.uniform(-amount, amount)))
        return Motion(kind="still", poses=(turned,))
    rounds, start = rng.uniform(0.8, 2.5), rng.uniform(0, 2 * np.pi)
    turns = amount * np.sin(2 * np.pi * rounds * time + start)
    return Motion(kind="articulated", poses=tuple(replace(rest, angle=rest.angle + float(a)) for a in turns))


def _direction(rng: Random) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle))


def _wobble(time: Series, amount: float, rng: Random) -> Series:
    """A smooth random function around 0."""
    found = np.zeros_like(time)
    for order in (1, 2, 3):
        found += rng.normal(0, amount / order) * np.sin(2 * np.pi * order * 0.6 * time + rng.uniform(0, 6.28))
    return found


def _straight(path: Path, rng: Random) -> Course:
    dx, dy = _direction(rng)
    if path.rest.x * dx + path.rest.y * dy > 0.15:  # rather across the frame than straight out of it
        dx, dy = -dx, -dy
    along = (path.time - 0.3) * path.way
    return Course(x=dx * along, y=dy * along, angle=_wobble(path.time, 0.06, rng))


def _accelerating(path: Path, rng: Random) -> Course:
    dx, dy = _direction(rng)
    curve = path.time**2 if rng.random() < 0.5 else 1 - (1 - path.time) ** 2
    along = (curve - 0.4) * path.way * 1.3
    return Course(x=dx * along, y=dy * along, angle=_wobble(path.time, 0.05, rng))


def _bouncing(path: Path, rng: Random) -> Course:
    """Straight on, thrown back by the frame's borders; now and then falling."""
    dx, dy = _direction(rng)
    limits = [max(0.05, half - 0.7 * path.rest.scale) for half in (path.half[1], path.half[0])]
    way = path.way * 1.6 * path.time
    x = _reflected(path.rest.x + dx * way, limits[0])
    if rng.random() < 0.5:
        hops, floor = rng.uniform(1.5, 3), limits[1]
        y = floor - (floor - min(path.rest.y, floor - 0.1)) * np.abs(np.cos(np.pi * hops * path.time))
        return Course(x=x - path.rest.x, y=y - path.rest.y, angle=rng.normal(0, 2) * path.time)
    y = _reflected(path.rest.y + dy * way, limits[1])
    return Course(x=x - path.rest.x, y=y - path.rest.y, angle=rng.normal(0, 0.8) * path.time)


def _reflected(place: Series, limit: float) -> Series:
    return np.abs((place + limit) % (4 * limit) - 2 * limit) * -1.0 + limit


def _circling(path: Path, rng: Random) -> Course:
    radius, start = path.way * rng.uniform(0.25, 0.4), rng.uniform(0, 2 * np.pi)
    angle = start + path.time * rng.uniform(2.5, 6.5) * rng.choice((-1, 1))
    turn = (angle - start) * (rng.random() < 0.5)
    return Course(
        x=radius * (np.cos(angle) - np.cos(start)), y=radius * (np.sin(angle) - np.sin(start)), angle=turn
    )


def _wandering(path: Path, rng: Random) -> Course:
    return Course(
        x=_wobble(path.time, path.way * 0.35, rng),
        y=_wobble(path.time, path.way * 0.35, rng),
        angle=_wobble(path.time, 0.25, rng),
    )


def _turning(path: Path, rng: Random) -> Course:
    way = path.way * 0.2
    turn = path.time * rng.uniform(1.0, 4.5) * rng.choice((-1, 1))
    return Course(x=_wobble(path.time, way, rng), y=_wobble(path.time, way, rng), angle=turn)


def _approaching(path: Path, rng: Random) -> Course:
    last = float(rng.uniform(1.4, 2.4) if rng.random() < 0.6 else rng.uniform(0.4, 0.7))
    dx, dy = _direction(rng)
    along = path.time * path.way * 0.5
    return Course(x=dx * along, y=dy * along, scale=last**path.time, angle=_wobble(path.time, 0.1, rng))


def _deforming(path: Path, rng: Random) -> Course:
    along = _wobble(path.time, path.way * 0.2, rng)
    breath = np.exp(_wobble(path.time, 0.12, rng))
    phase = path.time * rng.uniform(4, 12)
    wave = rng.uniform(0.04, 0.14)
    return Course(
        x=along,
        y=along * rng.normal(),
        stretch=breath,
        bend=_wobble(path.time, 0.22, rng),
        wave=wave,
        phase=phase,
    )


def _crossing(path: Path, rng: Random) -> Course:
    """From where it rests through the target, as far again beyond it."""
    target = path.target or (0.0, 0.0)
    turned = _wobble(path.time, 0.02, rng)
    along = 2 * path.time
    dx, dy = target[0] - path.rest.x, target[1] - path.rest.y
    return Course(x=dx * along + turned, y=dy * along + turned, angle=_wobble(path.time, 0.08, rng))


def _leaving(path: Path, rng: Random) -> Course:
    """Out of the frame over the nearer side, away for a long while, and back."""
    side = 1.0 if path.rest.x >= 0 else -1.0
    out = side * (path.half[1] + path.rest.scale * 1.8) - path.rest.x
    edge = np.clip(np.minimum(path.time, rng.uniform(0.85, 1.0) - path.time) / rng.uniform(0.18, 0.28), 0, 1)
    share = edge * edge * (3 - 2 * edge)
    return Course(x=out * share, y=_wobble(path.time, 0.05, rng), angle=_wobble(path.time, 0.1, rng))


def _vanishing(path: Path, rng: Random) -> Course:
    """Gone from the world for 40 to 60 % of the clip, and back elsewhere nearby."""
    frames = len(path.time)
    first = max(1, round(frames * float(rng.uniform(0.2, 0.3))))
    gone = max(1, round(frames * float(rng.uniform(0.4, 0.55))))
    present = tuple(i < first or i >= min(frames - 1, first + gone) for i in range(frames))
    moved = _wandering(path, rng)
    return replace(moved, present=present)


def _darting(path: Path, rng: Random) -> Course:
    """Fast from place to place, with stops."""
    stops = int(rng.integers(3, 6))
    xs = np.clip(rng.uniform(-1, 1, stops) * path.half[1] * 0.85, -1, 1)
    ys = np.clip(rng.uniform(-1, 1, stops) * path.half[0] * 0.85, -1, 1)
    xs[0], ys[0] = path.rest.x, path.rest.y
    when = path.time * (stops - 1)
    leg = np.minimum(when.astype(int), stops - 2)
    share = np.clip((when - leg) * 1.6, 0, 1)
    share = share * share * (3 - 2 * share)
    x, y = (each[leg] + (each[leg + 1] - each[leg]) * share for each in (xs, ys))
    return Course(x=x - path.rest.x, y=y - path.rest.y, angle=_wobble(path.time, 0.4, rng))


def _inward(path: Path, rng: Random) -> tuple[float, float]:
    """A direction that leads about through the middle of the frame."""
    angle = float(np.arctan2(-path.rest.y, -path.rest.x) + rng.normal(0, 0.5))
    return float(np.cos(angle)), float(np.sin(angle))


def _starting(path: Path, rng: Random) -> Course:
    """At rest, then off."""
    dx, dy = _inward(path, rng)
    along = np.clip(path.time - rng.uniform(0.2, 0.65), 0, 1) * path.way * 1.6
    return Course(x=dx * along, y=dy * along)


def _stopping(path: Path, rng: Random) -> Course:
    """On its way, then at rest."""
    dx, dy = _inward(path, rng)
    along = np.minimum(path.time, rng.uniform(0.3, 0.75)) * path.way * 1.6
    return Course(x=dx * along, y=dy * along)


def _doubling(path: Path, rng: Random) -> Course:
    """Out, and back the way it came."""
    dx, dy = _inward(path, rng)
    turn = rng.uniform(0.3, 0.7)
    along = (turn - np.abs(path.time - turn)) * path.way * 1.6
    return Course(x=dx * along, y=dy * along)


def _racing(path: Path, rng: Random) -> Course:
    """Across the frame, all to one side, each at its own speed, some giving up on the way."""
    ahead = path.target[0] if path.target and path.target[0] else path.rest.x
    side = -1.0 if ahead > 0 else 1.0
    end = rng.uniform(0.4, 0.8) if rng.random() < 0.25 else 1.0
    begin = side * -0.7 * path.half[1] + rng.uniform(-0.25, 0.25)
    along = side * np.minimum(path.time, end) * path.half[1] * rng.uniform(0.6, 1.8)
    return Course(x=begin - path.rest.x + along)


_COURSES: MappingProxyType[str, Callable[[Path, Random], Course]] = MappingProxyType(
    {
        **{
            "straight": _straight,
            "accelerating": _accelerating,
            "bouncing": _bouncing,
            "circling": _circling,
        },
        **{"wandering": _wandering, "turning": _turning, "approaching": _approaching},
        **{"deforming": _deforming, "articulated": _wandering, "crossing": _crossing},
        **{"starting": _starting, "stopping": _stopping, "doubling": _doubling, "racing": _racing},
        **{"leaving": _leaving, "vanishing": _vanishing, "darting": _darting},
    }
)


def draw_camera(kind: str, time: Series, cuts: tuple[int, ...], rng: Random) -> Camera:
    """A camera of a kind ("still", "pan", "zoom", "shake", "drift"), elsewhere after each cut."""
    frames = len(time)
    x, y, zoom, roll = np.zeros(frames), np.zeros(frames), np.ones(frames), np.zeros(frames)
    if frames == 1 or (kind == "still" and not cuts):
        return Camera(kind="still", views=(View(),))
    if kind == "pan":
        dx, dy = _direction(rng)
        along = (time - 0.5) * rng.uniform(0.15, 0.5)
        x, y = dx * along, 0.5 * dy * along
    elif kind == "zoom":
        zoom = rng.uniform(1.15, 1.6) ** ((time - 0.5) * rng.choice((-1, 1)))
        roll = _wobble(time, 0.02, rng)
    elif kind == "shake":
        amount = rng.uniform(0.004, 0.015)
        x, y, roll = (
            rng.normal(0, amount, frames),
            rng.normal(0, amount, frames),
            rng.normal(0, amount, frames),
        )
    elif kind == "drift":
        x, y, roll = (_wobble(time, each, rng) for each in (0.06, 0.04, 0.03))
        zoom = np.exp(_wobble(time, 0.04, rng))
    for cut in cuts:
        x[cut:] += rng.uniform(-0.12, 0.12)
        y[cut:] += rng.uniform(-0.1, 0.1)
        zoom[cut:] *= rng.uniform(0.8, 1.35)
    rows = np.stack([x, y, zoom, roll], 1).tolist()
    return Camera(kind=kind, views=tuple(View(*row) for row in rows))


def draw_drift(time: Series, rng: Random) -> tuple[Pose, ...]:
    """How a background moves on its own: clouds, water, a belt; often not at all."""
    if len(time) == 1 or rng.random() < 0.5:
        return (Pose(),)
    dx, dy = _direction(rng)
    way = rng.uniform(0.05, 0.3)
    return tuple(Pose(x=float(dx * way * t), y=float(0.3 * dy * way * t)) for t in time)
