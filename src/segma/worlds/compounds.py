"""Plans of classes with several parts: whole, part and sub-part, and joints between them."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np

from segma.worlds.creatures import LIVING
from segma.worlds.plans import (
    SIMPLE,
    Part,
    Plan,
    Random,
    between,
    box_shape,
    disc_shape,
    outline,
    stroke_path,
    whole,
)
from segma.worlds.scene import CLASSES, Pose


def chain(rng: Random) -> list[Part]:
    """Links, each a part that turns on the one before it."""
    count = int(rng.integers(5, 9))
    step = 1.9 / count
    radius = step * 0.42
    link = outline(
        "ellipse",
        step * 0.72,
        step * 0.46,
        holes=[(step * 0.2, 0, radius * 0.5), (-step * 0.2, 0, radius * 0.5)],
    )
    parts = [whole(None)]
    for i in range(count):
        turn = float(rng.normal(0, 0.3))
        parent = 0 if i == 0 else i
        pose = Pose(x=-0.95 + step / 2, angle=turn) if i == 0 else Pose(x=step, angle=turn)
        role = "body" if i % 2 == 0 else "second"
        parts.append(
            Part(name="link", shape=link, pose=pose, parent=parent, role=role, swing=0.3, shadow=True)
        )
    return parts


def key(rng: Random) -> list[Part]:
    """A bow with a hole, a shaft and bits."""
    bow, thick = between(rng, 0.26, 0.36), between(rng, 0.05, 0.08)
    numbers = [-0.5, 0.0, 0.95, 0.0, thick, thick]
    for x in np.linspace(0.55, 0.9, int(rng.integers(2, 5))):
        numbers += [float(x), 0.0, float(x), between(rng, 0.14, 0.32), thick * 0.9, thick * 0.9]
    head = Part(
        name="bow", shape=disc_shape(bow, hole=bow * 0.55), pose=Pose(x=-0.65), role="second", shadow=True
    )
    return [whole(outline("strokes", *numbers), relief=0.3), head]


def car(rng: Random) -> list[Part]:
    """A body, a cabin with windows, and wheels with hubs."""
    back, front = between(rng, -0.6, -0.4), between(rng, 0.25, 0.45)
    cabin = outline(
        "polygon", back - 0.1, 0.0, back + 0.12, -0.36, front - 0.15, -0.36, front + 0.12, 0.0, smooth=0.05
    )
    wheel, hub = disc_shape(1), disc_shape(0.5)
    size = between(rng, 0.19, 0.25)
    parts = [
        whole(box_shape(0.98, 0.25, 4), relief=0.4),
        Part(name="cabin", shape=cabin, pose=Pose(y=-0.17), relief=0.3, shadow=True),
        Part(
            name="window",
            shape=box_shape(0.19, 0.12, 5),
            pose=Pose(x=back + 0.25, y=-0.19),
            parent=1,
            role="dark",
        ),
        Part(
            name="window",
            shape=box_shape(0.17, 0.12, 5),
            pose=Pose(x=front - 0.22, y=-0.19),
            parent=1,
            role="dark",
        ),
    ]
    for x in (-0.55, 0.58):
        parts.append(
            Part(name="wheel", shape=wheel, pose=Pose(x=x, y=0.24, scale=size), role="dark", shadow=True)
        )
        parts.append(Part(name="hub", shape=hub, parent=len(parts) - 1, role="light"))
    parts.append(Part(name="light", shape=disc_shape(0.07, 0.05), pose=Pose(x=0.88, y=-0.06), role="second"))
    return parts


def cup(rng: Random) -> list[Part]:
    """A cup with a handle that has a hole, and a dark inside."""
    low = between(rng, 0.4, 0.58)
    body = outline("polygon", -0.6, -0.6, 0.6, -0.6, low, 0.7, -low, 0.7, smooth=0.06)
    handle = disc_shape(0.36, 0.42, hole=between(rng, 0.2, 0.26))
    return [
        whole(body, relief=0.7),
        Part(name="handle", shape=handle, pose=Pose(x=0.72, y=0.0), shadow=True),
        Part(name="rim", shape=disc_shape(0.64, 0.15), pose=Pose(y=-0.62), role="light", relief=0.2),
        Part(
            name="inside", shape=disc_shape(0.54, 0.1), pose=Pose(y=0.01), parent=2, role="dark", relief=0.0
        ),
    ]


def house(rng: Random) -> list[Part]:
    """Walls, a roof, a door with a knob, windows."""
    wide, high = between(rng, 0.6, 0.8), between(rng, 0.4, 0.6)
    roof = outline("polygon", -wide - 0.12, 0.0, between(rng, -0.2, 0.2), -0.5, wide + 0.12, 0.0, smooth=0.02)
    parts = [
        whole(box_shape(wide, high, 20), relief=0.1),
        Part(name="roof", shape=roof, pose=Pose(y=-high + 0.03), role="second", relief=0.2, shadow=True),
        Part(
            name="door",
            shape=box_shape(0.14, 0.26, 12),
            pose=Pose(x=between(rng, -0.2, 0.2), y=high - 0.26),
            role="accent",
            relief=0.1,
        ),
        Part(name="knob", shape=disc_shape(0.03), pose=Pose(x=0.08), parent=2, role="light"),
    ]
    for x in (-wide * 0.62, wide * 0.62):
        parts.append(
            Part(
                name="window",
                shape=box_shape(0.13, 0.13, 10),
                pose=Pose(x=x, y=-high * 0.3),
                role="dark",
                relief=0.1,
            )
        )
    return parts


def boat(rng: Random) -> list[Part]:
    """A hull with a mast and sails."""
    hull = outline("polygon", -0.95, 0.25, 0.95, 0.25, 0.62, 0.68, -0.6, 0.68, smooth=0.04)
    mast = outline("strokes", 0.0, 0.3, 0.0, -0.95, 0.035, 0.025)
    sail = outline("polygon", 0.07, -0.85, between(rng, 0.55, 0.8), 0.1, 0.07, 0.12, smooth=0.02)
    jib = outline("polygon", -0.08, -0.7, between(rng, -0.6, -0.4), 0.1, -0.08, 0.1, smooth=0.02)
    return [
        whole(hull, relief=0.4),
        Part(name="mast", shape=mast, role="accent"),
        Part(name="sail", shape=sail, role="light", swing=0.06, relief=0.3, shadow=True),
        Part(name="sail", shape=jib, role="second", swing=0.06, relief=0.3, shadow=True),
    ]


def lamp(rng: Random) -> list[Part]:
    """A foot, a thin pole and a shade."""
    top, low = between(rng, 0.18, 0.32), between(rng, 0.42, 0.6)
    shade = outline("polygon", -top, -0.3, top, -0.3, low, 0.3, -low, 0.3, smooth=0.03)
    return [
        whole(outline("strokes", 0.0, -0.4, 0.0, 0.88, 0.035, 0.035)),
        Part(
            name="foot", shape=outline("ellipse", 0.36, 0.09), pose=Pose(y=0.88), role="accent", shadow=True
        ),
        Part(
            name="shade", shape=shade, pose=Pose(y=-0.55), role="second", swing=0.1, relief=0.8, shadow=True
        ),
    ]


def balloon(rng: Random) -> list[Part]:
    """A balloon on a thin string."""
    wave = [(0.07 * math.sin(4 * t + between(rng, 0, 0.2)), 0.2 + 0.78 * t) for t in np.linspace(0, 1, 8)]
    return [
        whole(outline("ellipse", 0.5, between(rng, 0.52, 0.62)), relief=1.0),
        Part(
            name="string",
            shape=outline("strokes", *stroke_path(wave, 0.018)),
            pose=Pose(y=0.38),
            role="dark",
            swing=0.2,
        ),
    ]


def umbrella(rng: Random) -> list[Part]:
    """A canopy and a handle with a hook."""
    arc = [v for a in np.linspace(math.pi, 2 * math.pi, 12) for v in (0.9 * math.cos(a), 0.8 * math.sin(a))]
    hook = [(0, -0.1), (0, 0.75), (0.06, 0.87), (0.17, 0.88), (0.22, between(rng, 0.72, 0.8))]
    return [
        whole(outline("strokes", *stroke_path(hook, 0.035)), role="accent"),
        Part(
            name="canopy",
            shape=outline("polygon", *arc, smooth=0.03),
            role="body",
            swing=0.1,
            relief=0.5,
            shadow=True,
        ),
        Part(
            name="rib",
            shape=outline("polygon", 0, -0.78, 0.3, -0.02, -0.3, -0.02),
            parent=1,
            role="second",
            relief=0.3,
        ),
    ]


def bottle(rng: Random) -> list[Part]:
    """A bottle with a neck, a cap and a label."""
    wide, neck = between(rng, 0.28, 0.4), between(rng, 0.09, 0.14)
    body = outline(
        "polygon",
        -neck,
        -0.8,
        neck,
        -0.8,
        neck,
        -0.35,
        wide,
        -0.05,
        wide,
        0.9,
        -wide,
        0.9,
        -wide,
        -0.05,
        -neck,
        -0.35,
        smooth=0.05,
    )
    return [
        whole(body, relief=0.7),
        Part(
            name="cap",
            shape=box_shape(neck + 0.07, 0.09, 8),
            pose=Pose(y=-0.88),
            role="accent",
            relief=0.4,
            shadow=True,
        ),
        Part(
            name="label",
            shape=box_shape(wide + 0.03, between(rng, 0.18, 0.28), 20),
            pose=Pose(y=0.42),
            role="second",
            relief=0.2,
        ),
    ]


def glasses(rng: Random) -> list[Part]:
    """Two rims with holes, a bridge and temples; one sees through them."""
    size, thick = between(rng, 0.32, 0.4), between(rng, 0.05, 0.09)
    numbers = [
        -0.16,
        -0.05,
        0.16,
        -0.05,
        thick * 0.6,
        thick * 0.6,
        -0.8,
        -0.08,
        -1.0,
        -0.2,
        thick * 0.5,
        thick * 0.5,
    ]
    numbers += [0.8, -0.08, 1.0, -0.2, thick * 0.5, thick * 0.5]
    rim = disc_shape(size, hole=size - thick)
    rims = [Part(name="rim", shape=rim, pose=Pose(x=x), shadow=True, relief=0.3) for x in (-0.5, 0.5)]
    return [whole(outline("strokes", *numbers), relief=0.3), *rims]


def clock(rng: Random) -> list[Part]:
    """A case, a face, two hands that turn, and a hub."""
    hands = [
        Part(
            name="hand",
            shape=outline("strokes", 0, 0.1, 0, -long, 0.05, 0.03),
            pose=Pose(angle=between(rng, 0, 6.28)),
            parent=1,
            role="dark",
            swing=1.2,
        )
        for long in (0.45, 0.62)
    ]
    return [
        whole(disc_shape(1), relief=0.5),
        Part(name="face", shape=disc_shape(between(rng, 0.76, 0.86)), role="light", relief=0.0),
        *hands,
        Part(name="hub", shape=disc_shape(0.08), parent=1, role="accent"),
    ]


def kite(rng: Random) -> list[Part]:
    """A diamond of two tones with a tail of bows."""
    low = between(rng, 0.1, 0.4)
    sail = outline("polygon", 0, -0.95, 0.55, -0.3, 0, low, -0.55, -0.3, smooth=0.01)
    tail = [(0.1 * math.sin(5 * t), low + (1.2 - low) * t) for t in np.linspace(0, 1, 8)]
    parts = [
        whole(sail, relief=0.1),
        Part(
            name="half",
            shape=outline("polygon", 0, -0.93, 0.53, -0.3, 0, low - 0.02),
            role="second",
            relief=0.1,
        ),
        Part(name="tail", shape=outline("strokes", *stroke_path(tail, 0.02)), role="dark", swing=0.1),
    ]
    for x, y in tail[2::2]:
        bow = outline("polygon", -0.12, -0.06, 0, 0, -0.12, 0.06, 0.12, 0.06, 0, 0, 0.12, -0.06, smooth=0.01)
        parts.append(Part(name="bow", shape=bow, pose=Pose(x=x, y=y), parent=2, role="second"))
    return parts


PLANS: MappingProxyType[str, Plan] = MappingProxyType(
    {
        **SIMPLE,
        **LIVING,
        **{
            "chain": chain,
            "key": key,
            "car": car,
            "cup": cup,
        },
        **{
            "house": house,
            "boat": boat,
            "lamp": lamp,
        },
        **{"balloon": balloon, "umbrella": umbrella, "bottle": bottle, "glasses": glasses},
        **{"clock": clock, "kite": kite},
    }
)
"""How each class is put together."""

SHAPE_OF = MappingProxyType(
    {
        **dict.fromkeys(("disc", "heart", "gear", "clock", "balloon"), "round"),
        **dict.fromkeys(("snake", "key", "bottle", "lamp", "comb", "ladder"), "long"),
        **dict.fromkeys(("star", "triangle", "arrow", "leaf", "kite", "fish", "boat"), "pointed"),
        **dict.fromkeys(("block", "cross", "house", "car", "letter", "cup"), "angular"),
        **dict.fromkeys(("branch", "tree", "flower", "fence", "umbrella"), "branched"),
        **dict.fromkeys(("ring", "spiral", "glasses", "moon"), "hollow"),
        **dict.fromkeys(("pebble", "blob", "mushroom"), "irregular"),
        **dict.fromkeys(("chain", "beetle", "figure", "bird"), "jointed"),
    }
)
"""The shape word of each class."""

assert set(PLANS) == set(CLASSES) == set(SHAPE_OF)
