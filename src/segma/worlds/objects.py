"""One thing drawn from its plan: sizes, colours, textures, joints, and the motion of every part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from segma.worlds.compounds import PLANS, SHAPE_OF
from segma.worlds.motion import Random, Series, draw_swing
from segma.worlds.plans import LETTERS, Part
from segma.worlds.scene import (
    COLOURS,
    SIZES,
    TEXTURES,
    Attributes,
    Colour,
    Motion,
    SceneObject,
    Shape,
    Texture,
)
from segma.worlds.textures import draw_colour, draw_texture, shaded_colours

_THINNEST = 0.0027
"""Least radius of a stroke, a length: 0.7 pixels in a picture of 256."""
_SIZE_LIMITS = (0.035, 0.075, 0.14, 0.24)
"""Scales below which a thing is tiny, small, medium, large."""
_TEXTURE_SHARES = (0.2, 0.16, 0.08, 0.14, 0.09, 0.07, 0.12, 0.06, 0.08)
_LASTING = frozenset(
    {"house", "tree", "car", "cup", "bottle", "lamp", "flower", "mushroom", "boat", "figure"}
)
"""Classes that mostly stand upright."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coat:
    """A colour by name, the texture by name, and what they are in numbers."""

    colour: str
    texture: str
    colours: tuple[Colour, Colour, Colour]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dress:
    """What things of a scene may look like.

    `vivid` 0..1 from muted to saturated; `contrast` 0..1 of patterns; `hide` is a coat to take after
    (camouflage); `hide_scale` is how fine its pattern is, in repeats by length; `dark` makes a silhouette;
    `opacity` and `gloss` are those of all its parts; `fine` multiplies how fine patterns are.
    """

    vivid: float = 0.5
    contrast: float = 0.6
    hide: Coat | None = None
    dark: bool = False
    opacity: float = 1.0
    gloss: float = 0.0
    fine: float = 1.0
    hide_scale: float = 1.0


def upright(class_name: str) -> bool:
    """Whether things of a class mostly stand upright."""
    return class_name in _LASTING


def size_word(scale: float) -> str:
    """The word for how large a thing of a scale is."""
    return SIZES[int(np.searchsorted(_SIZE_LIMITS, scale, side="right"))]


def draw_coat(dress: Dress, rng: Random, *, colour: str | None = None, texture: str | None = None) -> Coat:
    """A coat of a dress; what is not given is drawn."""
    if dress.hide is not None:
        hidden = dress.hide
        moved = tuple(_nudged(each, 0.05, rng) for each in hidden.colours)
        return replace(hidden, colours=(moved[0], moved[1], moved[2]))
    colour = colour or str(rng.choice(COLOURS))
    texture = texture or str(rng.choice(TEXTURES, p=_TEXTURE_SHARES))
    middle = draw_colour(colour, dress.vivid, rng)
    low, middle, high = shaded_colours(middle, float(rng.uniform(0.25, 1.0)), rng)
    if texture in ("striped", "checked", "spotted", "cellular") and rng.random() < 0.5:
        low = draw_colour(str(rng.choice(COLOURS)), dress.vivid, rng)
    return Coat(colour=colour, texture=texture, colours=(low, middle, high))


def _nudged(colour: Colour, amount: float, rng: Random) -> Colour:
    shift = rng.normal(0, amount) + rng.normal(0, amount / 3, 3)
    red, green, blue = (float(each) for each in np.clip(np.array(colour) + shift, 0, 1))
    return (red, green, blue)


def draw_coats(dress: Dress, body: Coat, rng: Random) -> Mapping[str, Coat]:
    """The coats of a plan's roles, around that of its body."""
    plain = "plain" if rng.random() < 0.6 else None
    if dress.hide is not None:
        return {role: draw_coat(dress, rng) for role in ("second", "dark", "light", "accent")} | {
            "body": body
        }
    if rng.random() < 0.35:  # of one piece: parts are told by their form alone
        moved = tuple(_nudged(each, 0.06, rng) for each in body.colours)
        second = replace(body, colours=(moved[0], moved[1], moved[2]))
    else:
        second = draw_coat(dress, rng, texture=plain)
    dark = str(rng.choice(("black", "brown", "grey"), p=(0.6, 0.25, 0.15)))
    light = str(rng.choice(("white", "yellow", "grey"), p=(0.7, 0.15, 0.15)))
    return {
        "body": body,
        "second": second,
        "dark": draw_coat(dress, rng, colour=dark, texture=plain),
        "light": draw_coat(dress, rng, colour=light, texture=plain),
        "accent": draw_coat(dress, rng, texture=plain),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What to draw: the class, the whole's motion and depth, what it wears, and the clip's time 0..1.

    `first_id` is the id that the whole gets; `swing` multiplies how far joints turn; `thin` multiplies
    strokes.
    """

    first_id: int
    class_name: str
    motion: Motion
    depth: float
    dress: Dress
    time: Series
    body: Coat | None = None
    swing: float = 0.2
    thin: float = 1.0
    plan: tuple[Part, ...] | None = None


def draw_object(order: Order, rng: Random) -> list[SceneObject]:
    """A whole and its parts, in painting order."""
    plan = order.plan or tuple(PLANS[order.class_name](rng))
    body = order.body or draw_coat(order.dress, rng)
    coats = draw_coats(order.dress, body, rng)
    fine = float(np.exp(rng.normal(0.2, 0.5))) * order.dress.fine
    if order.dress.hide is not None:  # the pattern goes on over the outline
        fine = order.dress.hide_scale * order.motion.poses[0].scale
    textures = {role: _texture(coat, order.dress, fine, rng) for role, coat in coats.items()}
    scales: list[float] = []
    found: list[SceneObject] = []
    for i, part in enumerate(plan):
        scale = order.motion.poses[0].scale if part.parent < 0 else scales[part.parent] * part.pose.scale
        scales.append(scale)
        shape = None if part.shape is None else _thick_enough(part.shape, scale, order.thin)
        coat, texture = coats[part.role], textures[part.role]
        if part.parent >= 0 and part.pose.scale < 1:
            texture = replace(texture, scale=texture.scale * part.pose.scale)
        motion = order.motion
        if part.parent >= 0:
            motion = draw_swing(part.pose, part.swing * order.swing, order.time, rng)
        found.append(
            SceneObject(
                object_id=order.first_id + i,
                parent=None if part.parent < 0 else order.first_id + part.parent,
                class_name=order.class_name,
                part="" if part.parent < 0 else part.name,
                attributes=_attributes(order.class_name, part, coat, scale),
                shape=shape,
                texture=texture,
                depth=order.depth,
                motion=motion,
                opacity=order.dress.opacity,
                relief=part.relief,
                gloss=order.dress.gloss,
                shadow=part.shadow,
            )
        )
    return found


def _attributes(class_name: str, part: Part, coat: Coat, scale: float) -> Attributes:
    return Attributes(
        colour=coat.colour,
        texture=coat.texture,
        shape=SHAPE_OF[class_name],
        size=size_word(scale),
        letter=part.name if part.parent < 0 and part.name in LETTERS else "",
    )


def _texture(coat: Coat, dress: Dress, fine: float, rng: Random) -> Texture:
    colours = coat.colours
    if dress.dark:
        low, middle, high = (tuple(each * 0.16 for each in colour) for colour in colours)
        colours = ((low[0], low[1], low[2]), (middle[0], middle[1], middle[2]), (high[0], high[1], high[2]))
    least = 0.15 if coat.texture == "plain" else 0.3
    contrast = float(np.clip(rng.normal(dress.contrast, 0.2), least, 1.0)) * (
        0.45 if coat.texture == "plain" else 1
    )
    return draw_texture(coat.texture, colours, rng, scale=fine, contrast=contrast)


def _thick_enough(shape: Shape, scale: float, thin: float) -> Shape:
    """Strokes made thinner by a factor, but not so thin that they break into dots."""
    if shape.kind != "strokes":
        return shape
    rows = np.array(shape.numbers).reshape(-1, 6)
    rows[:, 4:] = np.maximum(rows[:, 4:] * thin, _THINNEST / scale)
    return replace(shape, numbers=tuple(rows.ravel().tolist()))
