"""Scenes out of JSON again, and scenes with their numbers rounded so that every machine has the same ones."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from segma.errors import FormatError
from segma.worlds.scene import Scene

_DIGITS = 6
_Thing = TypeVar("_Thing")


def read_scene(text: str) -> Scene:
    """The scene that `Scene.to_json` wrote. Raises FormatError where it is none."""
    try:
        return cast(Scene, _read(Scene, json.loads(text), "scene"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError("format.bad", f"this is no scene: {error}.") from error


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
