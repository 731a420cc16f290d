"""What can be said of a scene: its wholes with the words that fit them, where they are, what happens.

A word may be doubtful (a size near a limit, a colour that light has changed). So each attribute has all
values that somebody might give it; one value alone is certain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.worlds.courses import Courses, courses_of
from segma.worlds.events import KINDS, Event, find_events
from segma.worlds.render import Rendered
from segma.worlds.scene import COLOURS, SIZES, TEXTURES, SceneObject

ATTRIBUTES = ("class", "colour", "texture", "size", "letter")
_HUE_NAMES = (
    *((11, "red"), (38, "orange"), (68, "yellow"), (156, "green"), (198, "teal")),
    *((248, "blue"), (302, "purple"), (340, "pink"), (360, "red")),
)
_CERTAIN, _NOTED = 0.55, 0.2
"""Shares of a thing's pixels from which a colour is its colour, and from which it might be called so."""
_LEAST_CHROMA = 0.12
"""Saturation times value below which nobody calls a pixel coloured."""
_SIZE_AREAS = (0.004, 0.015, 0.05, 0.14)
"""Shares of the picture below which a thing is tiny, small, medium, large."""
_LIKE_TEXTURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "shaded": ("plain",),
        "clouded": ("plain", "marbled", "cellular"),
        "grained": ("plain", "spotted", "clouded"),
        "cellular": ("spotted", "marbled", "clouded"),
        "spotted": ("cellular",),
        "marbled": ("clouded", "cellular", "striped"),
        "plain": ("shaded", "clouded"),
        "striped": ("marbled",),
        "checked": (),
    }
)
_LEAST_AREA, _LEAST_SHARE = 0.0015, 0.45
_FAINT = 0.45  # contrast of a pattern that may be overlooked
_CERTAIN_TEXTURES = ("striped", "spotted", "checked")
_ALIKE_CLASSES = ("blob", "pebble", "disc", "block", "leaf")
"""Outlines of these classes may be taken for one another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """A whole: its id, and for each of ATTRIBUTES the values it may be given; smaller `depth` is nearer."""

    object_id: int
    class_name: str
    said: Mapping[str, frozenset[str]]
    depth: float = 1.0

    def is_called(self, attribute: str, value: str) -> bool | None:
        """Whether a word fits; None where it is doubtful."""
        values = self.said[attribute]
        return None if value in values and len(values) > 1 else value in values


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The wholes that are seen, their courses, and what happens: the events and hints of `events`."""

    things: tuple[Thing, ...]
    courses: Courses
    events: tuple[Event, ...]
    hints: tuple[Event, ...]
    fps: float = 12.0

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return self.courses.num_frames

    def ids(self, places: frozenset[int]) -> tuple[int, ...]:
        """Object ids of things by their places in `things`."""
        return tuple(self.things[place].object_id for place in sorted(places))

    def reordered(self, order: Sequence[int], kinds: Collection[str] = KINDS) -> Facts:
        """What would be true if the frames came in another order; only events of `kinds` are found."""
        return with_courses(self.things, self.courses.reordered(order), self.fps, kinds)


def with_courses(
    things: tuple[Thing, ...], courses: Courses, fps: float, kinds: Collection[str] = KINDS
) -> Facts:
    """Facts of things that go these courses, with events of `kinds`."""
    events, hints = find_events(courses, kinds) if courses.num_frames > 1 else ((), ())
    return Facts(things=things, courses=courses, events=events, hints=hints, fps=fps)


def facts_of(rendered: Rendered, index: int = 0) -> Facts:
    """The facts of a scene, as its pictures show it."""
    scene = rendered.scenes[index]
    ids, courses = courses_of(rendered, index)
    images = rendered.images[index].permute(0, 2, 3, 1).cpu().numpy()
    visible = rendered.visible(index)[[each - 1 for each in ids]].cpu().numpy()
    step = max(1, courses.num_frames // 4)
    things: list[Thing] = []
    for row, object_id in enumerate(ids):
        each = scene.objects[object_id - 1]
        pixels = np.concatenate([images[i][visible[row, i]] for i in range(0, courses.num_frames, step)])
        areas = courses.areas[row][courses.areas[row] > 0]
        said = {
            "class": _classes(each, is_plain_to_see(courses, row)),
            "colour": called_colours(pixels, each.attributes.colour),
            "texture": _textures(each, parted=any(scene.parts(object_id))),
            "size": _sizes(float(areas.min()), float(areas.max())),
            "letter": frozenset({each.attributes.letter}),
        }
        things.append(Thing(object_id=object_id, class_name=each.class_name, said=said, depth=each.depth))
    return with_courses(tuple(things), courses, scene.fps)


def called_colours(pixels: UInt8[ndarray, "pixels 3"], drawn: str) -> frozenset[str]:
    """The colours that something of these pixels may be called; the `drawn` one alone where most have it."""
    if not len(pixels):
        return frozenset(COLOURS)
    shares = colour_shares(pixels)
    noted = {name for name, share in shares.items() if share >= _NOTED}
    if shares.get(drawn, 0) >= _CERTAIN and noted == {drawn}:
        return frozenset(noted)
    close = {"grey", "white", "black"} if noted & {"grey", "white", "black"} else set[str]()
    return frozenset({drawn, *noted, *close})


def colour_shares(pixels: UInt8[ndarray, "pixels 3"]) -> dict[str, float]:
    """How much of some pixels has each colour, by its name; nothing for none."""
    if not len(pixels):
        return {}
    names, counts = np.unique(_colour_names(pixels), return_counts=True)
    return dict(zip(names.tolist(), (counts / len(pixels)).tolist(), strict=True))


def _colour_names(pixels: UInt8[ndarray, "pixels 3"]) -> ndarray:
    """The name of each pixel's colour."""
    hsv = cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[0]
    hue, saturation, value = hsv.T
    limits = [limit for limit, _ in _HUE_NAMES]
    found = np.array([name for _, name in _HUE_NAMES] + ["red"], dtype="<U6")[np.digitize(hue, limits)]
    found[(found == "orange") & (value < 0.55)] = "brown"
    found[(found == "red") & (value > 0.8) & (saturation < 0.5)] = "pink"
    found[(found == "pink") & (value < 0.5)] = "purple"
    pale = saturation * value < _LEAST_CHROMA
    found[pale & (value >= 0.75)] = "white"
    found[pale & (value < 0.75)] = "grey"
    found[(value < 0.2) | (pale & (value < 0.3))] = "black"
    return found


def is_plain_to_see(courses: Courses, thing: int) -> bool:
    """Whether enough of a thing is seen on some frame to tell what it is."""
    areas, wholes = courses.areas[thing], np.maximum(courses.wholes[thing], 1e-9)
    return bool(((areas >= _LEAST_AREA) & (areas >= _LEAST_SHARE * wholes)).any())


def _classes(each: SceneObject, plain: bool) -> frozenset[str]:
    """The class, and what it may be taken for ("?": for anything)."""
    if each.class_name in ("blob", "pebble"):
        return frozenset(_ALIKE_CLASSES)
    return frozenset({each.class_name} if plain else {each.class_name, "?"})


def _textures(each: SceneObject, *, parted: bool) -> frozenset[str]:
    """The texture, and what it may be taken for: anything where parts have their own."""
    texture = each.attributes.texture
    if parted:
        return frozenset(TEXTURES)
    if texture in _CERTAIN_TEXTURES and each.texture.contrast >= _FAINT and each.opacity == 1:
        return frozenset({texture})
    if texture in _CERTAIN_TEXTURES:
        return frozenset({texture, "plain"})
    return frozenset({texture, *_LIKE_TEXTURES[texture]}) & frozenset(TEXTURES)


def _sizes(least: float, most: float) -> frozenset[str]:
    """The sizes of areas between two shares of the picture, and those just beside."""
    low = int(np.searchsorted(_SIZE_AREAS, least / 1.3))
    high = int(np.searchsorted(_SIZE_AREAS, most * 1.3))
    return frozenset(SIZES[low : high + 1])
