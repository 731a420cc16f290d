"""Plans of simple classes: one outline, or strokes; and the noun `Part` that all plans are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from segma.worlds.scene import Pose, Shape

Random = np.random.Generator
Number = float | int


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of a plan: the first of a plan is the whole; `parent` is the place of another part before it.

    `role` picks its colours ("body", "second", "dark", "light", "accent"); `swing` is how far it turns
    about its own origin when the object is articulated, in radians; `relief` is how rounded it looks.
    """

    name: str
    shape: Shape | None
    pose: Pose = field(default_factory=Pose)
    parent: int = 0
    role: str = "body"
    swing: float = 0.0
    relief: float = 0.5
    shadow: bool = False


Plan = Callable[[Random], list[Part]]


def between(rng: Random, low: Number, high: Number) -> float:
    """A number evenly from an interval."""
    return float(rng.uniform(low, high))


def outline(
    kind: str, *numbers: Number, smooth: Number = 0.0, holes: Sequence[tuple[Number, Number, Number]] = ()
) -> Shape:
    """A shape of a kind."""
    return Shape(
        kind=kind,
        numbers=tuple(float(each) for each in numbers),
        smooth=float(smooth),
        holes=tuple((float(x), float(y), float(r)) for x, y, r in holes),
    )


def disc_shape(radius: Number, high: Number | None = None, hole: Number = 0.0) -> Shape:
    """A disc or ellipse about the origin, with a round hole in its middle."""
    holes = [(0.0, 0.0, hole)] if hole else []
    return outline("ellipse", radius, radius if high is None else high, holes=holes)


def box_shape(wide: Number, high: Number, power: Number = 8) -> Shape:
    """A box about the origin, with corners the rounder the lower the power."""
    return outline("superellipse", wide, high, power)


def stroke_path(
    points: Sequence[tuple[Number, Number]], start: Number, stop: Number | None = None
) -> list[float]:
    """The numbers of strokes along points, with a radius that goes from `start` to `stop`."""
    stop = start if stop is None else stop
    radii = np.linspace(start, stop, len(points))
    found: list[float] = []
    for i, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        found += [float(each) for each in (x0, y0, x1, y1, radii[i], radii[i + 1])]
    return found


def whole(shape: Shape | None, *, relief: float = 0.5, name: str = "", role: str = "body") -> Part:
    """The first part of a plan."""
    return Part(name=name, shape=shape, parent=-1, relief=relief, role=role, shadow=True)


def disc(rng: Random) -> list[Part]:
    """A ball or disc, now and then with a lighter middle."""
    parts = [whole(outline("ellipse", 1.0, between(rng, 0.85, 1.0)), relief=1.0)]
    if rng.random() < 0.3:
        inner = between(rng, 0.35, 0.6)
        parts.append(Part(name="middle", shape=outline("ellipse", inner, inner), role="second", relief=0.2))
    return parts


def ring(rng: Random) -> list[Part]:
    """A ring."""
    return [whole(outline("ellipse", 1.0, 1.0, holes=[(0, 0, between(rng, 0.45, 0.78))]), relief=0.6)]


def block(rng: Random) -> list[Part]:
    """A box with rounded corners, with a label on it now and then."""
    high = between(rng, 0.45, 1.0)
    parts = [whole(outline("superellipse", 0.95, 0.95 * high, between(rng, 4, 12)), relief=0.25)]
    if rng.random() < 0.5:
        shape = outline("superellipse", between(rng, 0.4, 0.7), 0.95 * high * between(rng, 0.35, 0.6), 10)
        parts.append(Part(name="label", shape=shape, role="second", relief=0.05))
    return parts


def triangle(rng: Random) -> list[Part]:
    """A triangle, not quite even."""
    corners = [(a + rng.normal(0, 0.12)) for a in (-math.pi / 2, math.pi / 6, 5 * math.pi / 6)]
    numbers = [value * 0.92 for a in corners for value in (math.cos(a), math.sin(a))]
    return [whole(outline("polygon", *numbers, smooth=between(rng, 0.01, 0.12)), relief=0.3)]


def star(rng: Random) -> list[Part]:
    """A star of four to eight points."""
    shape = outline("star", int(rng.integers(4, 9)), between(rng, 0.35, 0.6), between(rng, 0, 0.6))
    return [whole(shape, relief=0.4)]


def heart(rng: Random) -> list[Part]:
    """A heart."""
    return [whole(outline("heart", between(rng, 0.3, 0.45)), relief=0.7)]


def moon(rng: Random) -> list[Part]:
    """A crescent: a disc with a disc cut out of its side."""
    away, radius = between(rng, 0.42, 0.6), between(rng, 0.72, 0.88)
    return [whole(outline("ellipse", 1.0, 1.0, holes=[(away, 0.0, radius)]), relief=0.5)]


def cross(rng: Random) -> list[Part]:
    """A plus of two bars."""
    width, tilt = between(rng, 0.14, 0.3), between(rng, -0.15, 0.15)
    numbers = [-0.75, tilt, 0.75, -tilt, width, width, 0.0, -0.75, 0.0, 0.75, width, width]
    return [whole(outline("strokes", *numbers), relief=0.4)]


def pebble(rng: Random) -> list[Part]:
    """A Fourier contour, smooth to knobbly."""
    waves = int(rng.integers(3, 8))
    falling = between(rng, 1.0, 1.8)
    numbers = [float(rng.normal(0, 0.22) / (1 + i // 2) ** falling) for i in range(2 * waves)]
    return [whole(outline("fourier", *numbers), relief=between(rng, 0.4, 1.0))]


def blob(rng: Random) -> list[Part]:
    """Several round lumps that flow together."""
    numbers: list[float] = []
    for _ in range(int(rng.integers(3, 7))):
        angle, away = between(rng, 0, 2 * math.pi), between(rng, 0.15, 0.6)
        x, y, radius = away * math.cos(angle), away * math.sin(angle), between(rng, 0.16, 0.36)
        numbers += [x, y, x * 0.3, y * 0.3, radius, radius]
    return [whole(outline("blob", *numbers, smooth=0.07), relief=0.8)]


def leaf(rng: Random) -> list[Part]:
    """A leaf with a vein and a stalk."""
    wide = between(rng, 0.28, 0.5)
    shape = outline("superellipse", wide, 0.85, between(rng, 1.25, 1.7))
    stalk = outline("strokes", *stroke_path([(0, 0.7), (between(rng, -0.1, 0.1), 1.15)], 0.06, 0.045))
    vein = outline("strokes", *stroke_path([(0, -0.7), (0, 0.75)], 0.018, 0.045))
    return [
        whole(shape, relief=0.3),
        Part(name="stalk", shape=stalk, role="dark"),
        Part(name="vein", shape=vein, role="light"),
    ]


def gear(rng: Random) -> list[Part]:
    """A toothed wheel with a hole."""
    hole = between(rng, 0.15, 0.4)
    shape = outline(
        "gear",
        int(rng.integers(7, 15)),
        between(rng, 0.14, 0.24),
        between(rng, 0.4, 0.6),
        holes=[(0, 0, hole)],
    )
    return [whole(shape, relief=0.2)]


LETTERS = MappingProxyType(
    {  # paths on a grid of 0..4 across and 0..6 down
        "A": ("0,6 2,0 4,6", "0.9,3.7 3.1,3.7"),
        "C": ("4,1 3,0 1,0 0,1.4 0,4.6 1,6 3,6 4,5",),
        "E": ("4,0 0,0 0,6 4,6", "0,3 3,3"),
        "F": ("4,0 0,0 0,6", "0,3 3,3"),
        "H": ("0,0 0,6", "4,0 4,6", "0,3 4,3"),
        "K": ("0,0 0,6", "4,0 0,3.2 4,6"),
        "L": ("0,0 0,6 4,6",),
        "M": ("0,6 0,0 2,3.4 4,0 4,6",),
        "N": ("0,6 0,0 4,6 4,0",),
        "P": ("0,6 0,0 3,0 4,1 4,2.2 3,3.2 0,3.2",),
        "R": ("0,6 0,0 3,0 4,1 4,2.2 3,3.2 0,3.2", "1.8,3.2 4,6"),
        "S": ("4,1 3,0 1,0 0,1 0,2 1,3 3,3 4,4 4,5 3,6 1,6 0,5",),
        "T": ("0,0 4,0", "2,0 2,6"),
        "U": ("0,0 0,4.6 1,6 3,6 4,4.6 4,0",),
        "W": ("0,0 1,6 2,2.6 3,6 4,0",),
        "X": ("0,0 4,6", "4,0 0,6"),
        "Y": ("0,0 2,3 4,0", "2,3 2,6"),
        "Z": ("0,0 4,0 0,6 4,6",),
        "3": ("0,0 4,0 2,2.6 4,4 4,5 3,6 1,6 0,5",),
        "7": ("0,0 4,0 1.4,6",),
    }
)


def letter_shape(letter: str, radius: float) -> Shape:
    """A letter as strokes of a radius."""
    numbers: list[float] = []
    for path in LETTERS[letter]:
        points = [tuple(float(each) for each in point.split(",")) for point in path.split()]
        numbers += stroke_path([((x - 2) / 3.4, (y - 3) / 3.4) for x, y in points], radius)
    return outline("strokes", *numbers)


def letter(rng: Random) -> list[Part]:
    """A letter; the name of the whole says which."""
    which = str(rng.choice(sorted(LETTERS)))
    return [whole(letter_shape(which, between(rng, 0.07, 0.17)), relief=0.3, name=which)]


def arrow(rng: Random) -> list[Part]:
    """An arrow: one polygon."""
    half, head, wing = between(rng, 0.08, 0.2), between(rng, 0.05, 0.45), between(rng, 0.4, 0.65)
    upper = [(-0.95, -half), (head, -half), (head - 0.1, -wing), (0.95, 0.0)]
    lower = [(x, -y) for x, y in reversed(upper[:3])]
    return [
        whole(outline("polygon", *(v for point in upper + lower for v in point), smooth=0.02), relief=0.3)
    ]


def snake(rng: Random) -> list[Part]:
    """A winding body with a head."""
    turns, high, phase = between(rng, 1.0, 2.4), between(rng, 0.16, 0.4), between(rng, 0, 6.28)
    along = np.linspace(-1, 1, 22)
    points = [(float(t), high * math.sin(turns * math.pi * t + phase)) for t in along]
    radius = between(rng, 0.045, 0.11)
    x, y = points[-1]
    head = Pose(x=x, y=y, scale=radius * 1.9)
    return [
        whole(outline("strokes", *stroke_path(points, radius * 0.4, radius)), relief=0.5),
        Part(name="head", shape=outline("ellipse", 1.15, 0.85), pose=head, relief=0.8),
    ]


def comb(rng: Random) -> list[Part]:
    """A back with many teeth."""
    teeth, radius, long = int(rng.integers(6, 15)), between(rng, 0.025, 0.05), between(rng, 0.5, 1.0)
    numbers = [-0.9, -0.45, 0.9, -0.45, radius * 2, radius * 2]
    for x in np.linspace(-0.87, 0.87, teeth):
        numbers += [float(x), -0.45, float(x), -0.45 + long, radius, radius]
    return [whole(outline("strokes", *numbers), relief=0.3)]


def ladder(rng: Random) -> list[Part]:
    """Two rails and rungs."""
    half, radius = between(rng, 0.2, 0.36), between(rng, 0.03, 0.055)
    lean = between(rng, 0, 0.1)
    numbers = [
        -half,
        0.95,
        lean - half,
        -0.95,
        radius,
        radius,
        half,
        0.95,
        half - lean,
        -0.95,
        radius,
        radius,
    ]
    for y in np.linspace(-0.8, 0.8, int(rng.integers(4, 9))):
        inset = lean * (0.95 - float(y)) / 1.9
        numbers += [inset - half, float(y), half - inset, float(y), radius * 0.8, radius * 0.8]
    return [whole(outline("strokes", *numbers), relief=0.3)]


def spiral(rng: Random) -> list[Part]:
    """A coil from the middle outwards."""
    turns, radius = between(rng, 1.6, 2.8), between(rng, 0.04, 0.075)
    angle = np.linspace(0, turns * 2 * math.pi, 34)
    away = 0.08 + 0.85 * angle / angle[-1]
    points = [(float(r * math.cos(a)), float(r * math.sin(a))) for a, r in zip(angle, away, strict=True)]
    return [whole(outline("strokes", *stroke_path(points, radius)), relief=0.4)]


def fence(rng: Random) -> list[Part]:
    """Pales on two rails."""
    pales, radius = int(rng.integers(5, 10)), between(rng, 0.03, 0.06)
    numbers: list[float] = []
    for x in np.linspace(-0.92, 0.92, pales):
        top = -0.55 + float(rng.normal(0, 0.03))
        numbers += [float(x), 0.6, float(x), top, radius, radius * 0.8]
    for y in (-0.25, 0.3):
        numbers += [-0.98, y, 0.98, y, radius * 0.7, radius * 0.7]
    return [whole(outline("strokes", *numbers), relief=0.3)]


def branch(rng: Random) -> list[Part]:
    """A bare branch that forks."""
    numbers: list[float] = []

    def grow(x: float, y: float, angle: float, long: float, radius: float, left: int) -> None:
        x1, y1 = x + long * math.cos(angle), y + long * math.sin(angle)
        numbers.extend([x, y, x1, y1, radius, radius * 0.72])
        if left:
            for side in (-1, 1):
                turn = side * between(rng, 0.25, 0.7)
                grow(x1, y1, angle + turn, long * between(rng, 0.6, 0.8), radius * 0.7, left - 1)

    grow(0.0, 0.95, -math.pi / 2, 0.62, between(rng, 0.05, 0.09), 3)
    return [whole(outline("strokes", *numbers), relief=0.4)]


SIMPLE: MappingProxyType[str, Plan] = MappingProxyType(
    {
        **{"disc": disc, "ring": ring, "block": block, "triangle": triangle, "star": star, "heart": heart},
        **{"moon": moon, "cross": cross, "pebble": pebble, "blob": blob, "leaf": leaf, "gear": gear},
        **{"letter": letter, "arrow": arrow, "snake": snake, "comb": comb, "ladder": ladder},
        **{"spiral": spiral, "fence": fence, "branch": branch},
    }
)
