"""What things stand in: backgrounds with horizons and regions, light, and what the camera does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from segma.worlds.motion import Random
from segma.worlds.objects import Coat
from segma.worlds.scene import TEXTURES, Background, Colour, Degradations, Light, Pose, Region, Shape, Texture
from segma.worlds.textures import draw_colour, draw_texture, shaded_colours

_GROUNDS = ("brown", "green", "grey", "grey", "white", "yellow", "blue", "teal", "orange", "black")
_SKIES = ("blue", "blue", "white", "grey", "orange", "pink", "purple")
_FIELD = (0.12, 0.24, 0.16, 0.08, 0.06, 0.09, 0.1, 0.04, 0.11)


def draw_ground(
    rng: Random, *, vivid: float, contrast: float, colour: str | None = None, texture: str | None = None
) -> tuple[Coat, Texture]:
    """A surface for a background: its coat (for what hides before it), and the texture."""
    name = colour or str(rng.choice(_GROUNDS))
    kind = texture or str(rng.choice(TEXTURES, p=_FIELD))
    colours = shaded_colours(draw_colour(name, vivid * 0.8, rng), float(rng.uniform(0.3, 1.0)), rng)
    if rng.random() < 0.35:  # two colours that meet, as moss on stone
        other = draw_colour(str(rng.choice(_GROUNDS)), vivid * 0.8, rng)
        colours = (_mixed(colours[0], other, 0.6), colours[1], colours[2])
    scale = float(np.exp(rng.uniform(math.log(0.7), math.log(4.5))))
    spread = float(np.clip(rng.normal(contrast, 0.2), 0.15, 1.0))
    return Coat(colour=name, texture=kind, colours=colours), draw_texture(
        kind, colours, rng, scale=scale, contrast=spread
    )


def _mixed(a: Colour, b: Colour, share: float) -> Colour:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def _wall(rng: Random, vivid: float, contrast: float) -> tuple[Coat, Background]:
    coat, texture = draw_ground(rng, vivid=vivid, contrast=contrast)
    return coat, Background(texture=texture, depth=float(rng.uniform(1.6, 3)))


def _waves(rng: Random, size: float, count: int) -> tuple[float, ...]:
    numbers: list[float] = []
    for i in range(count):
        numbers += [
            float(rng.normal(0, size / (1 + i))),
            float((i + 1) * rng.uniform(1.5, 4)),
            float(rng.uniform(0, 6.28)),
        ]
    return tuple(numbers)


def _horizon(rng: Random, vivid: float, contrast: float) -> tuple[Coat, Background]:
    """A sky, hills, and ground that runs away from the viewer."""
    sky = draw_colour(str(rng.choice(_SKIES)), vivid * 0.6, rng)
    pale = _mixed(sky, (0.95, 0.93, 0.9), 0.65)
    clouds = draw_texture(
        "clouded", (sky, _mixed(sky, pale, 0.5), pale), rng, scale=float(rng.uniform(0.8, 2)), contrast=0.7
    )
    level = float(rng.uniform(-0.25, 0.15))
    regions: list[Region] = []
    far = draw_colour(str(rng.choice(("green", "blue", "grey", "brown", "purple"))), vivid * 0.6, rng)
    for i in range(int(rng.integers(0, 4))):
        tone = _mixed(far, pale, 0.6 - 0.2 * i)
        texture = draw_texture("clouded", shaded_colours(tone, 0.5, rng), rng, scale=3.0, contrast=0.5)
        shape = Shape(kind="below", numbers=_waves(rng, 0.05, 4))
        regions.append(
            Region(
                name="hill",
                shape=shape,
                texture=texture,
                pose=Pose(y=level - 0.12 + 0.04 * i),
                softness=0.002,
            )
        )
    coat, texture = draw_ground(rng, vivid=vivid, contrast=contrast)
    laid = replace(texture, perspective=True, angle=float(rng.normal(0, 0.2)), scale=texture.scale * 0.5)
    ground = Shape(kind="below", numbers=_waves(rng, 0.006, 2))
    regions.append(Region(name="ground", shape=ground, texture=laid, pose=Pose(y=level), softness=0.002))
    return coat, Background(texture=clouds, regions=tuple(regions), depth=float(rng.uniform(2.5, 4)))


def _room(rng: Random, vivid: float, contrast: float) -> tuple[Coat, Background]:
    """A wall, things that hang on it, and a floor or table."""
    coat, wall = draw_ground(rng, vivid=vivid, contrast=contrast * 0.7)
    regions: list[Region] = []
    for _ in range(int(rng.integers(0, 5))):
        _, texture = draw_ground(rng, vivid=vivid, contrast=contrast)
        shape = Shape(
            kind="superellipse", numbers=(float(rng.uniform(0.4, 1)), float(rng.uniform(0.4, 1)), 20.0)
        )
        pose = Pose(
            x=float(rng.uniform(-0.6, 0.6)),
            y=float(rng.uniform(-0.5, 0.05)),
            scale=float(rng.uniform(0.08, 0.3)),
        )
        regions.append(Region(name="panel", shape=shape, texture=texture, pose=pose, softness=0.001))
    level, tilt = float(rng.uniform(0.02, 0.3)), float(rng.normal(0, 0.05))
    _, floor = draw_ground(rng, vivid=vivid, contrast=contrast)
    if rng.random() < 0.6:
        floor = replace(floor, perspective=True, scale=floor.scale * 0.5)
    shape = Shape(kind="below", numbers=(0.0, 1.0, 0.0))
    regions.append(
        Region(name="floor", shape=shape, texture=floor, pose=Pose(y=level, angle=tilt), softness=0.001)
    )
    return coat, Background(texture=wall, regions=tuple(regions), depth=float(rng.uniform(1.4, 2.5)))


def _patches(rng: Random, vivid: float, contrast: float) -> tuple[Coat, Background]:
    """Regions of many sizes over one another: fields, rubble, cloth."""
    coat, base = draw_ground(rng, vivid=vivid, contrast=contrast)
    regions: list[Region] = []
    soft = float(rng.choice((0.001, 0.004, 0.02)))
    for _ in range(int(rng.integers(4, 11))):
        _, texture = draw_ground(rng, vivid=vivid, contrast=contrast)
        if rng.random() < 0.55:
            shape = Shape(
                kind="fourier", numbers=tuple(float(rng.normal(0, 0.2) / (1 + i // 2)) for i in range(10))
            )
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            corners = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.6, 1.2, (len(angles), 1))
            shape = Shape(kind="polygon", numbers=tuple(corners.ravel().tolist()), smooth=0.02)
        pose = Pose(
            x=float(rng.uniform(-0.6, 0.6)),
            y=float(rng.uniform(-0.6, 0.6)),
            angle=float(rng.uniform(0, 6.28)),
            scale=float(np.exp(rng.uniform(math.log(0.06), math.log(0.5)))),
        )
        regions.append(Region(name="patch", shape=shape, texture=texture, pose=pose, softness=soft))
    return coat, Background(texture=base, regions=tuple(regions), depth=float(rng.uniform(1.3, 2.5)))


_SETTINGS: MappingProxyType[str, Callable[[Random, float, float], tuple[Coat, Background]]] = (
    MappingProxyType({"wall": _wall, "horizon": _horizon, "room": _room, "patches": _patches})
)


def draw_background(
    rng: Random,
    *,
    vivid: float,
    contrast: float,
    settings: tuple[str, ...] = ("wall", "horizon", "room", "patches"),
) -> tuple[Coat, Background]:
    """A background, and the coat of its largest surface; a fifth of them are out of focus."""
    coat, found = _SETTINGS[str(rng.choice(settings))](rng, vivid, contrast)
    if rng.random() < 0.8:
        return coat, found
    blur = float(rng.uniform(0.005, 0.03))
    regions = tuple(
        replace(
            each, softness=max(each.softness, blur), texture=_unfocused(each.texture, blur / each.pose.scale)
        )
        for each in found.regions
    )
    return coat, replace(found, texture=_unfocused(found.texture, blur), regions=regions)


def _unfocused(texture: Texture, blur: float) -> Texture:
    return replace(texture, blur=blur * texture.scale)


def draw_light(rng: Random, *, dim: bool = False) -> Light:
    """Light of any hour: from above rather than below, warm or cool, hard or soft."""
    warm = float(rng.normal(0, 0.05))
    hard = float(rng.uniform(0, 1))
    spot = (float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.3, 0.3)), float(rng.uniform(0.25, 0.5)))
    return Light(
        angle=float(rng.normal(-math.pi / 2, 0.9)),
        height=float(rng.uniform(0.35, 0.9)),
        ambient=float(rng.uniform(0.3, 0.8)),
        colour=(1 + warm, 1.0, 1 - warm),
        shadow=float(rng.uniform(0.15, 0.65)) if rng.random() < 0.8 else 0.0,
        reach=float(rng.uniform(0.008, 0.05)),
        softness=0.003 + 0.04 * (1 - hard) ** 2,
        falloff=float(rng.uniform(0, 0.8)),
        dapple=float(rng.uniform(0.2, 0.65)) if rng.random() < 0.2 else 0.0,
        spot=spot if dim else (0.0, 0.0, 0.0),
    )


def draw_degradations(rng: Random, *, moving: bool, low_contrast: bool = False) -> Degradations:
    """Defects of a camera: a third of the pictures are clean, the others have some of them."""
    clean = rng.random() < 0.33

    def some(share: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if not clean and rng.random() < share else 0.0

    angle, length = rng.uniform(0, math.pi), some(0.12, 0.006, 0.03)
    return Degradations(
        defocus=some(0.25, 0.0015, 0.007),
        streak=(length * math.cos(angle), length * math.sin(angle)),
        aperture=some(0.3, 0.004, 0.02),
        focus=float(rng.uniform(0.8, 1.3)),
        shutter=some(0.22, 0.3, 0.9) if moving else 0.0,
        noise=some(0.5, 0.01, 0.08),
        compression=some(0.45, 0.08, 0.9),
        vignette=some(0.35, 0.1, 0.55),
        exposure=float(np.exp(rng.normal(0, 0.14))),
        contrast=float(rng.uniform(0.25, 0.5) if low_contrast else np.clip(rng.normal(1.0, 0.15), 0.6, 1.35)),
        saturation=0.0 if rng.random() < 0.05 else float(np.clip(rng.normal(1, 0.2), 0.3, 1.5)),
        haze=float(rng.uniform(0.1, 0.5)) if low_contrast and rng.random() < 0.5 else some(0.12, 0.05, 0.25),
    )
