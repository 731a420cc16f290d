"""Scenes of one thing on a ground, and short sentences that are true of them: what a generator learns.

Other families are made to be hard to take apart; these are made to be plain: the thing is large and near the
middle, light and camera are always the same, and few words say nearly all there is to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count as counting
from types import MappingProxyType

import numpy as np

from segma.worlds.motion import Random
from segma.worlds.objects import Coat, Dress, Order, draw_coat, draw_object
from segma.worlds.plans import LETTERS
from segma.worlds.reserved import EXAM_STREAM, is_reserved_pair, stream_of
from segma.worlds.scene import (
    CLASSES,
    COLOURS,
    Background,
    Camera,
    Degradations,
    Light,
    Motion,
    Pose,
    Scene,
    SceneObject,
    Shot,
    Texture,
)
from segma.worlds.scene_json import rounded
from segma.worlds.textures import draw_colour, draw_texture, shaded_colours
from segma.worlds.ways import ways

FAMILY = "portrait"
MATERIALS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "wood": ("brown", "striped"),
        "marble": ("white", "marbled"),
        "grass": ("green", "grained"),
        "sand": ("yellow", "grained"),
        "sky": ("blue", "clouded"),
        "stone": ("grey", "cellular"),
    }
)
"""Grounds with a name: their colour, and their texture."""
_MATERIAL_SHARE = 0.3
_TEXTURES: Mapping[str, float] = MappingProxyType(
    {"plain": 0.5, "shaded": 0.14, "striped": 0.12, "spotted": 0.12, "checked": 0.12}
)
_SPOKEN_TEXTURES = ("striped", "spotted", "checked")
_GROUND_CONTRAST, _CONTRAST = 0.25, 0.6
_SCALES = (0.13, 0.38)
# How often a word is said that could be said.
_SIZE_SAID, _COLOUR_SAID, _TEXTURE_SAID, _GROUND_SAID = 0.25, 0.75, 0.7, 0.6
_OWN_NAME = 0.7  # and not another name of the class
_MANY = "glasses"  # a class whose name is a plural


@dataclass(frozen=True, kw_only=True, slots=True)
class Portrait:
    """One thing on a ground: the scene, the thing's class, and what the ground is (colour or material)."""

    scene: Scene
    class_name: str
    ground: str

    @property
    def thing(self) -> SceneObject:
        """The one whole of the scene."""
        return self.scene.wholes[0]


def draw_portrait(seed: int, class_name: str | None = None) -> Portrait:
    """The portrait of a seed, always the same, of a class (None: of one that is drawn).

    No portrait joins a class and a colour of the exam's, but where `seed` is one of the exam's.
    """
    for attempt in counting():
        rng = np.random.default_rng((seed, 0x9047, attempt))
        found = _draw(seed, class_name or str(rng.choice(CLASSES)), rng)
        looks = found.thing.attributes
        if stream_of(seed) == EXAM_STREAM or not is_reserved_pair(found.class_name, looks.colour):
            return found
    raise AssertionError("counting never ends")


def _draw(seed: int, class_name: str, rng: Random) -> Portrait:
    ground, hidden, texture = _draw_ground(rng)
    colour = str(rng.choice([each for each in COLOURS if each != hidden]))
    dress = Dress(vivid=0.8, contrast=_CONTRAST)
    kind = str(rng.choice(list(_TEXTURES), p=list(_TEXTURES.values())))
    pose = Pose(
        x=float(np.clip(rng.normal(0, 0.06), -0.12, 0.12)),
        y=float(np.clip(rng.normal(0, 0.06), -0.12, 0.12)),
        angle=float(np.clip(rng.normal(0, 0.12), -0.3, 0.3)),
        scale=float(rng.uniform(*_SCALES)),
    )
    order = Order(
        first_id=1,
        class_name=class_name,
        motion=Motion(poses=(pose,)),
        depth=1.0,
        dress=dress,
        time=np.zeros(1),
        body=_one_colour(draw_coat(dress, rng, colour=colour, texture=kind)),
    )
    scene = Scene(
        seed=seed,
        family=FAMILY,
        size=(1.0, 1.0),
        num_frames=1,
        fps=1.0,
        objects=tuple(draw_object(order, rng)),
        camera=Camera(),
        degradations=Degradations(),
        shots=(Shot(start=0, background=Background(texture=texture), light=Light(shadow=0.35)),),
    )
    return Portrait(scene=rounded(scene), class_name=class_name, ground=ground)


def _one_colour(coat: Coat) -> Coat:
    """The coat in shades of its own colour: a second colour would have to be said."""
    middle = coat.colours[1]
    darker, lighter = (tuple(float(np.clip(each * share, 0, 1)) for each in middle) for share in (0.45, 1.3))
    return replace(coat, colours=((*darker,), middle, (*lighter,)))  # pyright: ignore[reportArgumentType]  three


def _draw_ground(rng: Random) -> tuple[str, str, Texture]:
    """What the ground is called, its colour, and how it looks."""
    if rng.random() < _MATERIAL_SHARE:
        name = str(rng.choice(list(MATERIALS)))
        colour, kind = MATERIALS[name]
        contrast = 1.6 * _GROUND_CONTRAST
    else:
        name = colour = str(rng.choice(COLOURS))
        kind, contrast = "plain", _GROUND_CONTRAST
    colours = shaded_colours(draw_colour(colour, 0.6, rng), 0.5, rng)
    texture = draw_texture(kind, colours, rng, scale=float(rng.uniform(1.0, 2.0)), contrast=contrast)
    if name == "wood":  # boards and their grain lie across
        texture = replace(texture, angle=float(rng.normal(np.pi / 2, 0.05)), warp=0.3)
    return name, colour, texture


def draw_sentence(portrait: Portrait, rng: Random) -> str:
    """A sentence that is true of a portrait, as "a striped red star on wood"; it may leave things out.

    Words are those of `ways`, without the exam's.
    """
    looks = portrait.thing.attributes
    words: list[str] = []
    if rng.random() < _SIZE_SAID:
        words.append(_way(f"size {looks.size}", rng))
    if looks.texture in _SPOKEN_TEXTURES and rng.random() < _TEXTURE_SAID:
        words.append(_way(f"texture {looks.texture}", rng))
    if rng.random() < _COLOUR_SAID:
        words.append(looks.colour)
    said_plainly = rng.random() < _OWN_NAME
    words.append(portrait.class_name if said_plainly else _way(f"class {portrait.class_name}", rng))
    if looks.letter and rng.random() < _COLOUR_SAID:
        words.append(looks.letter)
    if rng.random() < _GROUND_SAID:
        words += ["on", portrait.ground]
    return _with_article(" ".join(words))


def class_sentence(class_name: str) -> str:
    """The sentence that asks for a class and nothing else: "a star", "an arrow"."""
    return _with_article(class_name)


def vocabulary() -> tuple[str, ...]:
    """All words of all sentences but the articles, in alphabetic order."""
    texts = ["on", *COLOURS, *MATERIALS, *CLASSES, *LETTERS]
    sizes = [way for size in ("medium", "large", "huge") for way in ways(f"size {size}", reserved=False)]
    textures = [way for each in _SPOKEN_TEXTURES for way in ways(f"texture {each}", reserved=False)]
    names = [way for each in CLASSES for way in ways(f"class {each}", reserved=False)]
    return tuple(sorted({word for text in (*texts, *sizes, *textures, *names) for word in text.split()}))


def _way(key: str, rng: Random) -> str:
    return str(rng.choice(ways(key, reserved=False)))


def _with_article(text: str) -> str:
    if _MANY in text.split() and "pair" not in text.split():
        return text
    return f"{'an' if text[0].lower() in 'aeiou' else 'a'} {text}"
