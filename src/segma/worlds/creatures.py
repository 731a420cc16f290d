"""Plans of things that grow or live: plants, animals, a person."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np

from segma.worlds.plans import Part, Plan, Random, between, disc_shape, outline, stroke_path, whole
from segma.worlds.scene import Pose


def fish(rng: Random) -> list[Part]:
    """A body with tail, fins and an eye with a pupil."""
    high = between(rng, 0.3, 0.5)
    tail = outline("polygon", 0, 0, -0.42, -0.36, -0.3, 0, -0.42, 0.36, smooth=0.04)
    fin = outline("polygon", -0.3, 0.05, 0.05, -0.34, 0.3, 0.05, smooth=0.03)
    return [
        whole(outline("superellipse", 0.72, high, 1.8), relief=0.8),
        Part(name="tail", shape=tail, pose=Pose(x=-0.62), role="second", swing=0.5, shadow=True),
        Part(name="fin", shape=fin, pose=Pose(y=-high + 0.02), role="second", swing=0.15),
        Part(
            name="fin", shape=fin, pose=Pose(y=high * 0.35, scale=0.55, angle=2.6), role="second", swing=0.5
        ),
        Part(
            name="eye",
            shape=disc_shape(1),
            pose=Pose(x=0.45, y=-high * 0.25, scale=0.09),
            role="light",
            relief=0.8,
        ),
        Part(
            name="pupil", shape=disc_shape(1), pose=Pose(x=0.1, scale=0.5), parent=4, role="dark", relief=0.1
        ),
    ]


def tree(rng: Random) -> list[Part]:
    """A trunk with a crown, and fruit in it now and then."""
    wide = between(rng, 0.4, 0.62)
    trunk = outline("strokes", *stroke_path([(0, -0.1), (between(rng, -0.06, 0.06), 0.95)], 0.07, 0.12))
    crown = outline("fourier", *(float(rng.normal(0, 0.07)) for _ in range(16)))
    if rng.random() < 0.35:
        crown = outline("polygon", 0, -1.1, 0.9, 0.9, -0.9, 0.9, smooth=0.06)
    parts = [
        whole(None),
        Part(name="trunk", shape=trunk, role="accent", shadow=True),
        Part(name="crown", shape=crown, pose=Pose(y=-0.35, scale=wide), swing=0.06, relief=0.9, shadow=True),
    ]
    for _ in range(int(rng.integers(0, 5))):
        angle, away = between(rng, 0, 6.28), between(rng, 0.1, 0.6)
        place = Pose(x=away * math.cos(angle), y=away * math.sin(angle), scale=between(rng, 0.1, 0.16))
        parts.append(Part(name="fruit", shape=disc_shape(1), pose=place, parent=2, role="second", relief=1.0))
    return parts


def flower(rng: Random) -> list[Part]:
    """A stem, petals around a heart, and a leaf."""
    count, long = int(rng.integers(5, 10)), between(rng, 0.26, 0.34)
    stem = outline(
        "strokes", *stroke_path([(0, -0.4), (between(rng, -0.12, 0.12), 0.3), (0.0, 0.98)], 0.035, 0.05)
    )
    petal = outline("ellipse", long * 0.62, long * between(rng, 0.35, 0.5))
    parts = [
        whole(None),
        Part(name="stem", shape=stem, role="accent", shadow=True),
        Part(
            name="leaf",
            shape=outline("superellipse", 0.3, 0.11, 1.5),
            pose=Pose(x=0.22, y=0.5, angle=-0.5),
            role="accent",
            swing=0.3,
        ),
        Part(name="bloom", shape=disc_shape(0.16), pose=Pose(y=-0.5), role="second", shadow=True),
    ]
    for i in range(count):
        angle = 2 * math.pi * i / count
        place = Pose(x=0.33 * math.cos(angle), y=0.33 * math.sin(angle), angle=angle)
        parts.append(Part(name="petal", shape=petal, pose=place, parent=3, swing=0.1, shadow=True))
    parts.append(Part(name="heart", shape=disc_shape(0.17), parent=3, role="second", relief=0.9))
    return parts


def mushroom(rng: Random) -> list[Part]:
    """A stalk under a cap with spots."""
    wide = between(rng, 0.7, 0.95)
    cap = outline(
        "polygon",
        *(v for a in np.linspace(math.pi, 2 * math.pi, 14) for v in (wide * math.cos(a), 0.75 * math.sin(a))),
        smooth=0.05,
    )
    stalk = outline("polygon", -0.2, -0.1, 0.2, -0.1, 0.27, 0.85, -0.27, 0.85, smooth=0.05)
    parts = [
        whole(None),
        Part(name="stalk", shape=stalk, role="light", relief=0.7, shadow=True),
        Part(name="cap", shape=cap, relief=0.7, shadow=True),
    ]
    for _ in range(int(rng.integers(2, 7))):
        angle, away = between(rng, math.pi * 1.08, math.pi * 1.92), between(rng, 0.2, 0.7)
        place = Pose(
            x=wide * away * math.cos(angle),
            y=0.72 * away * math.sin(angle) - 0.05,
            scale=between(rng, 0.06, 0.12),
        )
        parts.append(
            Part(name="spot", shape=disc_shape(1, 0.8), pose=place, parent=2, role="light", relief=0.2)
        )
    return parts


def bird(rng: Random) -> list[Part]:
    """A body with head, beak, eye, wing, tail and thin legs."""
    wing = outline("superellipse", 0.42, between(rng, 0.16, 0.24), 1.6)
    legs = outline("strokes", -0.05, 0.3, -0.1, 0.85, 0.025, 0.022, 0.12, 0.3, 0.12, 0.85, 0.025, 0.022)
    return [
        whole(outline("superellipse", 0.6, 0.4, 1.9), relief=0.9),
        Part(name="legs", shape=legs, role="accent", swing=0.1),
        Part(
            name="tail",
            shape=outline("polygon", 0.1, -0.08, -0.5, -0.2, -0.5, 0.12, 0.1, 0.1, smooth=0.02),
            pose=Pose(x=-0.5, y=-0.08, angle=0.25),
            role="second",
            swing=0.3,
            shadow=True,
        ),
        Part(
            name="head",
            shape=disc_shape(0.27),
            pose=Pose(x=0.52, y=-0.36),
            swing=0.15,
            relief=0.9,
            shadow=True,
        ),
        Part(
            name="beak",
            shape=outline("polygon", 0.2, -0.09, 0.5, 0.02, 0.2, 0.1, smooth=0.01),
            parent=3,
            role="accent",
        ),
        Part(
            name="eye", shape=disc_shape(0.055), pose=Pose(x=0.09, y=-0.06), parent=3, role="dark", relief=0.1
        ),
        Part(
            name="wing",
            shape=wing,
            pose=Pose(x=-0.1, y=-0.05, angle=between(rng, -0.5, 0.2)),
            role="second",
            swing=0.6,
            relief=0.4,
        ),
    ]


def beetle(rng: Random) -> list[Part]:
    """A body with a head, six thin legs, feelers and wing cases."""
    parts = [whole(disc_shape(0.5, between(rng, 0.34, 0.44)), relief=0.9)]
    for x in (-0.28, 0.02, 0.3):
        for side in (-1, 1):
            numbers = stroke_path(
                [(0, 0), (between(rng, -0.1, 0.1), 0.36 * side), (between(rng, -0.3, 0.2), 0.62 * side)],
                0.04,
                0.025,
            )
            parts.append(
                Part(
                    name="leg",
                    shape=outline("strokes", *numbers),
                    pose=Pose(x=x, y=0.15 * side),
                    role="dark",
                    swing=0.35,
                )
            )
    feelers = stroke_path([(0.1, 0.08), (0.34, 0.2)], 0.025, 0.02) + stroke_path(
        [(0.1, -0.08), (0.34, -0.2)], 0.025, 0.02
    )
    head = len(parts)
    parts.append(
        Part(name="head", shape=disc_shape(0.2), pose=Pose(x=0.58), role="dark", swing=0.15, shadow=True)
    )
    parts.append(
        Part(name="feelers", shape=outline("strokes", *feelers), parent=head, role="dark", swing=0.2)
    )
    parts.append(Part(name="back", shape=disc_shape(0.44, 0.3), role="second", relief=0.9))
    parts.append(
        Part(
            name="seam",
            shape=outline("strokes", -0.4, 0, 0.4, 0, 0.02, 0.02),
            parent=len(parts) - 1,
            role="dark",
        )
    )
    return parts


def figure(rng: Random) -> list[Part]:
    """A person-like figure: trunk, head, arms and legs with lower halves."""
    limb = between(rng, 0.055, 0.085)
    parts = [
        whole(outline("superellipse", between(rng, 0.17, 0.24), 0.32, 3.5), relief=0.6),
        Part(
            name="head",
            shape=disc_shape(0.16, 0.18),
            pose=Pose(y=-0.52),
            role="light",
            swing=0.15,
            relief=0.9,
            shadow=True,
        ),
    ]
    for name, x, y, long in (("arm", 0.18, -0.24, 0.3), ("leg", 0.1, 0.28, 0.34)):
        for side in (-1, 1):
            turn = -side * between(rng, 0.05, 0.9 if name == "arm" else 0.35)
            role = "body" if name == "arm" else "second"
            upper = outline("strokes", 0, 0, 0, long, limb * 1.15, limb)
            lower = outline("strokes", 0, 0, 0, long * 0.95, limb, limb * 0.8)
            pose = Pose(x=x * side, y=y, angle=turn)
            parts.append(Part(name=name, shape=upper, pose=pose, role=role, swing=0.5, shadow=True))
            bend = Pose(y=long, angle=between(rng, -0.5, 0.5))
            lower_role = "light" if name == "arm" else "second"
            parts.append(
                Part(
                    name=f"lower {name}",
                    shape=lower,
                    pose=bend,
                    parent=len(parts) - 1,
                    role=lower_role,
                    swing=0.4,
                )
            )
    return parts


LIVING: MappingProxyType[str, Plan] = MappingProxyType(
    {
        **{"fish": fish, "tree": tree, "flower": flower, "mushroom": mushroom, "bird": bird},
        **{"beetle": beetle, "figure": figure},
    }
)
"""How each of them is put together."""
