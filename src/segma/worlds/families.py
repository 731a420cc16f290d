"""Families of scenes: a name says how crowded, how hidden, how thin, and how things move.

A new family is one line in `FAMILIES`. Families marked `exam` are never drawn for training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import count as counting
from types import MappingProxyType
from zlib import crc32

import numpy as np

from segma.errors import InputError
from segma.worlds.motion import Path, Random, draw_camera, draw_drift, draw_motion
from segma.worlds.objects import Coat, Dress, Order, draw_coat, draw_object, upright
from segma.worlds.plans import between
from segma.worlds.reserved import RESERVED_PAIRS, is_reserved_pair
from segma.worlds.scene import CLASSES, Pose, Scene, SceneObject, Shot
from segma.worlds.scene_json import rounded
from segma.worlds.surroundings import draw_background, draw_degradations, draw_light

_ASPECTS = (1.0, 4 / 3, 3 / 2, 16 / 9, 3 / 4, 2 / 3)
_THIN = (
    "comb",
    "ladder",
    "spiral",
    "fence",
    "branch",
    "snake",
    "letter",
    "chain",
    "key",
    "glasses",
    "beetle",
    "umbrella",
)
_PARTED = (*CLASSES[22:], "chain", "key", "leaf")
_CALM = (
    "straight",
    "wandering",
    "turning",
    "deforming",
    "articulated",
    "approaching",
    "accelerating",
    "still",
)
_LIVELY = (
    "straight",
    "accelerating",
    "bouncing",
    "circling",
    "wandering",
    "turning",
    "approaching",
    "deforming",
    "articulated",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """How scenes of a family are drawn.

    `count` and `scale` are the least and most of wholes and of their sizes (lengths, drawn evenly in their
    logarithm); `kinds` limits how many classes occur in a scene, `alike` is the chance that a whole takes
    after another; `hidden` is the chance that a whole wears what the background does; `apart` makes wholes
    keep a distance; `thin` multiplies strokes; `way` is how far things go in a clip.
    """

    video: bool = False
    exam: bool = False
    count: tuple[int, int] = (2, 7)
    scale: tuple[float, float] = (0.07, 0.26)
    classes: tuple[str, ...] = CLASSES
    kinds: int = 40
    alike: float = 0.1
    hidden: float = 0.0
    seen_through: float = 0.03
    dark: bool = False
    dim: bool = False
    low_contrast: bool = False
    apart: float = 0.8
    thin: float = 1.0
    settings: tuple[str, ...] = ("wall", "horizon", "room", "patches")
    motions: tuple[str, ...] = _CALM
    special: tuple[str, int] = ("", 0)
    cameras: tuple[str, ...] = ("still", "still", "pan", "zoom", "shake", "drift")
    cuts: int = 0
    way: tuple[float, float] = (0.2, 0.7)


FAMILIES: MappingProxyType[str, Family] = MappingProxyType(
    {
        "plain": Family(),
        "parts": Family(classes=_PARTED, count=(1, 5), scale=(0.14, 0.38)),
        "crowded": Family(count=(12, 26), scale=(0.05, 0.15), kinds=4, alike=0.5, apart=0.35),
        "camouflaged": Family(count=(2, 6), hidden=0.85, scale=(0.09, 0.28), settings=("wall", "patches")),
        "thin": Family(classes=_THIN, count=(2, 6), scale=(0.16, 0.42), thin=0.5, apart=0.4),
        "letters": Family(classes=("letter",), count=(4, 14), scale=(0.05, 0.2), alike=0.3),
        "clutter": Family(count=(14, 30), scale=(0.03, 0.24), apart=0.25, settings=("patches", "room")),
        "translucent": Family(count=(3, 8), seen_through=0.8, apart=0.2, scale=(0.1, 0.3)),
        "low_contrast": Family(low_contrast=True, hidden=0.3),
        "silhouettes": Family(exam=True, dark=True, count=(3, 9), apart=0.4, settings=("horizon", "wall")),
        "night": Family(exam=True, dim=True, count=(3, 9)),
        "moving": Family(video=True, motions=_LIVELY),
        "cuts": Family(video=True, motions=_LIVELY, cuts=2),
        "long_absence": Family(video=True, count=(3, 6), special=("absent", 2)),
        "lookalikes": Family(
            video=True, count=(3, 6), special=("crossing", 2), kinds=2, alike=0.8, scale=(0.09, 0.2)
        ),
        "fast_small": Family(
            video=True,
            count=(3, 7),
            scale=(0.025, 0.08),
            motions=("darting", "bouncing", "circling", "straight"),
            way=(0.9, 1.6),
        ),
        "thin_moving": Family(
            video=True, classes=_THIN, scale=(0.14, 0.36), thin=0.6, count=(2, 5), motions=_LIVELY
        ),
        "crowded_moving": Family(
            video=True, count=(9, 16), scale=(0.05, 0.14), kinds=4, alike=0.5, apart=0.3, motions=_LIVELY
        ),
        "swarm": Family(
            video=True,
            exam=True,
            count=(12, 20),
            scale=(0.03, 0.07),
            kinds=1,
            alike=0.9,
            apart=0.3,
            motions=("wandering", "darting"),
        ),
        "orbit": Family(
            video=True, exam=True, count=(4, 9), motions=("circling",), way=(0.5, 1.0), apart=0.3
        ),
        "errands": Family(
            video=True,
            count=(4, 8),
            scale=(0.07, 0.15),
            kinds=4,
            alike=0.4,
            apart=1.0,
            motions=("starting", "stopping", "doubling", "straight"),
            cameras=("still",),
            way=(0.4, 0.9),
        ),
        "race": Family(
            video=True,
            count=(4, 7),
            scale=(0.06, 0.12),
            kinds=3,
            alike=0.3,
            apart=1.0,
            motions=("racing",),
            cameras=("still",),
        ),
        "pairs": Family(
            exam=True,
            count=(6, 10),
            scale=(0.08, 0.2),
            kinds=5,
            alike=0.4,
            apart=0.9,
            classes=tuple(sorted({name for name, _ in RESERVED_PAIRS})),
        ),
    }
)
IMAGE_TRAINING = tuple(name for name, each in FAMILIES.items() if not each.video and not each.exam)
VIDEO_TRAINING = tuple(name for name, each in FAMILIES.items() if each.video and not each.exam)
EXAM_ONLY = tuple(name for name, each in FAMILIES.items() if each.exam)


def draw_scene(family: str, seed: int, *, num_frames: int | None = None) -> Scene:
    """The scene of a family and a seed, always the same. Raises InputError for a family that is not there.

    `num_frames` is 1 for families of images and 16 for those of videos, unless given. A scene for training
    that joins a class and a colour of the exam's is drawn again.
    """
    if family not in FAMILIES:
        raise InputError(
            "input.value", f"there is no family {family!r}.", f"Families are {', '.join(FAMILIES)}."
        )
    if seed < 0:
        raise InputError("input.value", f"the seed is {seed}, expected 0 or more.")
    plan = FAMILIES[family]
    frames = num_frames if num_frames is not None else (16 if plan.video else 1)
    if frames < 1:
        raise InputError("input.value", f"{frames} frames were asked for, expected 1 or more.")
    for attempt in counting():
        again = (attempt,) if attempt else ()
        rng = np.random.default_rng((crc32(family.encode()), seed, *again))
        scene = _draw(family, seed, frames, rng)
        pairs = ((each.class_name, each.attributes.colour) for each in scene.wholes)
        if plan.exam or not any(is_reserved_pair(*pair) for pair in pairs):
            return rounded(scene)
    raise AssertionError("counting never ends")


def _draw(family: str, seed: int, frames: int, rng: Random) -> Scene:
    plan = FAMILIES[family]
    aspect = float(rng.choice(_ASPECTS))
    size = (1 / math.sqrt(aspect), math.sqrt(aspect))
    mood = _Mood(
        plan=plan,
        size=size,
        time=np.linspace(0, 1, frames) if frames > 1 else np.zeros(1),
        vivid=float(rng.beta(1.3, 1.3)),
        contrast=between(rng, 0.25, 0.9),
    )
    cuts = _draw_cuts(plan, frames, rng)
    coat, shots = _draw_shots(mood, cuts, rng)
    return Scene(
        seed=seed,
        family=family,
        size=size,
        num_frames=frames,
        fps=12.0 if frames > 1 else 1.0,
        objects=_draw_objects(mood, coat, shots[0].background.texture.scale, rng),
        camera=draw_camera(str(rng.choice(plan.cameras)), mood.time, cuts, rng),
        degradations=draw_degradations(rng, moving=frames > 1, low_contrast=plan.low_contrast),
        shots=shots,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mood:
    """What all of a scene shares while it is drawn."""

    plan: Family
    size: tuple[float, float]
    time: np.ndarray
    vivid: float
    contrast: float


def _draw_cuts(plan: Family, frames: int, rng: Random) -> tuple[int, ...]:
    """Frames at which a shot begins, besides the first."""
    if not plan.cuts or frames < 4:
        return ()
    count = int(rng.integers(1, plan.cuts + 1))
    return tuple(sorted({int(each) for each in rng.integers(2, frames - 1, count)}))


def _draw_shots(mood: _Mood, cuts: tuple[int, ...], rng: Random) -> tuple[Coat, tuple[Shot, ...]]:
    """The shots, and the coat of the first one's background."""
    shots: list[Shot] = []
    first: Coat | None = None
    for start in (0, *cuts):
        coat, background = draw_background(
            rng, vivid=mood.vivid, contrast=mood.contrast, settings=mood.plan.settings
        )
        background = replace(background, motion=draw_drift(mood.time, rng))
        shots.append(Shot(start=start, background=background, light=draw_light(rng, dim=mood.plan.dim)))
        first = first or coat
    assert first is not None, "there is a first shot"
    return first, tuple(shots)


def _draw_objects(mood: _Mood, ground: Coat, fine: float, rng: Random) -> tuple[SceneObject, ...]:
    plan = mood.plan
    count = int(rng.integers(plan.count[0], plan.count[1] + 1))
    classes = rng.choice(plan.classes, min(plan.kinds, len(plan.classes)), replace=False)
    spread = between(rng, 0.3, 1.0)  # how much sizes differ within the scene
    low, high = math.log(plan.scale[0]), math.log(plan.scale[1])
    middle = between(rng, low, high)
    found: list[SceneObject] = []
    taken: list[Pose] = []
    last: tuple[str, Coat] | None = None
    kinds = _motion_kinds(plan, count, rng)
    for i in range(count):
        scale = math.exp(middle + (between(rng, low, high) - middle) * spread)
        class_name, body = str(rng.choice(classes)), None
        if last is not None and rng.random() < plan.alike:
            class_name, body = last
        rest = _place(mood, scale, class_name, taken, rng)
        taken.append(rest)
        dress = replace(_draw_dress(mood, ground, rng), hide_scale=fine)
        body = body if body is not None and dress.hide is None else draw_coat(dress, rng)
        last = (class_name, body)
        target = (taken[0].x * 0.5, taken[0].y * 0.5) if i else (0.0, 0.0)
        path = Path(
            rest=rest,
            half=(mood.size[0] / 2, mood.size[1] / 2),
            time=mood.time,
            way=between(rng, *plan.way),
            target=target,
        )
        order = Order(
            first_id=len(found) + 1,
            class_name=class_name,
            motion=draw_motion(kinds[i], path, rng),
            depth=float(rng.uniform(0.6, 1.6)),
            dress=dress,
            time=mood.time,
            body=body,
            swing=between(rng, 0.6, 1.2) if kinds[i] == "articulated" else between(rng, 0, 0.4),
            thin=plan.thin,
        )
        found += draw_object(order, rng)
    return tuple(found)


def _motion_kinds(plan: Family, count: int, rng: Random) -> list[str]:
    """A kind of motion for each whole; the first ones get the family's special kind."""
    kinds = [str(rng.choice(plan.motions)) for _ in range(count)]
    special, how_many = plan.special
    for i in range(min(how_many, count) if special else 0):
        kinds[i] = str(rng.choice(("leaving", "vanishing"))) if special == "absent" else special
    return kinds


def _draw_dress(mood: _Mood, ground: Coat, rng: Random) -> Dress:
    plan = mood.plan
    return Dress(
        vivid=mood.vivid,
        contrast=mood.contrast,
        hide=ground if rng.random() < plan.hidden else None,
        dark=plan.dark,
        opacity=between(rng, 0.3, 0.75) if rng.random() < plan.seen_through else 1.0,
        gloss=between(rng, 0.15, 0.8) if rng.random() < 0.35 else 0.0,
    )


def _place(mood: _Mood, scale: float, class_name: str, taken: list[Pose], rng: Random) -> Pose:
    """A pose in the frame, away from those before as far as the family wants it."""
    half_y, half_x = mood.size[0] / 2, mood.size[1] / 2
    best, room = (0.0, 0.0), -math.inf
    for _ in range(8):
        x, y = between(rng, -0.92, 0.92) * half_x, between(rng, -0.92, 0.92) * half_y
        gap = min(
            (math.hypot(x - each.x, y - each.y) - mood.plan.apart * (scale + each.scale) for each in taken),
            default=1.0,
        )
        if gap > room:
            best, room = (x, y), gap
        if gap > 0:
            break
    angle = float(rng.normal(0, 0.12)) if upright(class_name) else between(rng, -math.pi, math.pi)
    if class_name == "letter" and rng.random() < 0.7:
        angle = float(rng.normal(0, 0.25))
    return Pose(
        x=best[0],
        y=best[1],
        angle=angle,
        scale=scale,
        stretch=float(np.exp(rng.normal(0, 0.1))),
        bend=float(rng.normal(0, 0.12)) if rng.random() < 0.3 else 0.0,
        wave=between(rng, 0.02, 0.08) if rng.random() < 0.12 else 0.0,
        phase=between(rng, 0, 6.28),
    )
