"""Scenes out of JSON again, and scenes with their numbers rounded so that every machine has the same ones."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from segma.errors import FormatError
from segma.worlds.scene import CLASSES, NOISE_TILES, TEXTURES, Scene

_DIGITS = 6
_Thing = TypeVar("_Thing")


def read_scene(text: str) -> Scene:
    """The scene that `Scene.to_json` wrote. Raises FormatError where it is none."""
    try:
        scene = cast(Scene, _read(Scene, json.loads(text), "scene"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError("format.bad", f"this is no scene: {error}.") from error
    for wrong in _contradictions(scene):
        raise FormatError("format.bad", f"this is no scene: {wrong}.")
    return scene


def _contradictions(scene: Scene) -> Iterator[str]:
    """What breaks the invariants of a scene."""
    counts = (1, scene.num_frames)
    starts = [shot.start for shot in scene.shots]
    if scene.num_frames < 1 or min(scene.size) <= 0:
        yield f"{scene.num_frames} frames of {scene.size[1]}x{scene.size[0]}"
    if starts[:1] != [0] or sorted(set(starts)) != starts:
        yield f"shots begin at {starts}"
    motions = [shot.background.motion for shot in scene.shots]
    if len(scene.camera.views) not in counts or any(len(each) not in counts for each in motions):
        yield f"there are neither 1 nor {scene.num_frames} views of the camera or poses of a background"
    if any(view.zoom <= 0 for view in scene.camera.views) or any(
        s.background.depth <= 0 for s in scene.shots
    ):
        yield "a zoom or a depth is not above 0"
    for place, each in enumerate(scene.objects, 1):
        where = f"object {each.object_id}"
        if each.object_id != place or (each.parent is not None and not 0 < each.parent < place):
            yield f"{where} stands at place {place} and has parent {each.parent}"
        if len(each.motion.poses) not in counts or len(each.motion.present) not in counts:
            yield f"{where} has neither 1 nor {scene.num_frames} poses"
        if each.depth <= 0 or any(pose.scale <= 0 or pose.stretch <= 0 for pose in each.motion.poses):
            yield f"{where} has a depth or a scale that is not above 0"
        if each.class_name not in CLASSES:
            yield f"{where} is a {each.class_name!r}"
    textures = [each.texture for each in scene.objects]
    for shot in scene.shots:
        textures += [shot.background.texture, *(region.texture for region in shot.background.regions)]
    for texture in textures:
        if texture.kind not in TEXTURES or not 0 <= texture.tile < NOISE_TILES:
            yield f"there is no texture {texture.kind!r} of tile {texture.tile}"


def rounded(thing: _Thing) -> _Thing:
    """The same with every float at six decimals: the last bits of a sine differ between machines."""
    return cast(_Thing, _rounded(thing))


def _rounded(thing: Any) -> Any:  # any of the nouns of a scene, or a number or tuple inside them
    if isinstance(thing, float):
        return round(thing, _DIGITS) + 0.0
    if isinstance(thing, tuple):
        return tuple(_rounded(each) for each in cast(tuple[Any, ...], thing))
    if is_dataclass(thing):
        names = _names(type(thing))
        return type(thing)(**{name: _rounded(getattr(thing, name)) for name in names})
    return thing


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


@cache
def _types(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((name, hints[name]) for name in _names(kind))


def _read(kind: Any, found: Any, where: str) -> Any:  # a type as written in a noun, and JSON
    if get_origin(kind) is UnionType:
        return _read_union(kind, found, where)
    if get_origin(kind) is tuple:
        return _read_tuple(get_args(kind), found, where)
    if is_dataclass(kind):
        return _read_noun(cast(type, kind), found, where)
    if kind is float and isinstance(found, float | int) and not isinstance(found, bool):
        if not math.isfinite(found):
            raise _bad(where, found, "a finite number")
        return float(found)
    if kind is float or type(found) is not kind:
        raise _bad(where, found, f"a {kind.__name__}")
    return found


def _read_union(kind: Any, found: Any, where: str) -> Any:  # of one type and None
    (one,) = (each for each in get_args(kind) if each is not NoneType)
    return None if found is None else _read(one, found, where)


def _read_tuple(kinds: tuple[Any, ...], found: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(found, list):
        raise _bad(where, found, "a list")
    rows = cast(list[Any], found)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(rows)
    if len(rows) != len(kinds):
        raise _bad(where, rows, f"{len(kinds)} values")
    return tuple(
        _read(each, row, f"{where}[{i}]") for i, (each, row) in enumerate(zip(kinds, rows, strict=True))
    )


def _read_noun(kind: type, found: Any, where: str) -> Any:
    types = _types(kind)
    rows = cast(dict[str, Any], found if isinstance(found, dict) else {})
    if set(rows) != {name for name, _ in types}:
        raise _bad(where, cast(Any, found), f"the fields of {kind.__name__}")
    return kind(**{name: _read(each, rows[name], f"{where}.{name}") for name, each in types})


def _bad(where: str, found: Any, expected: str) -> FormatError:
    shown = repr(found)
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    return FormatError("format.bad", f"{where} is {shown}, expected {expected}.")
