"""Fields of a config changed by text: `steps=2000`, `optim.lr=3e-4`, checked against their types."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from segma.errors import InputError

_Config = TypeVar("_Config")
_TRUTHS: Mapping[str, bool] = MappingProxyType(
    {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
)


def changed(config: _Config, settings: Sequence[str]) -> _Config:
    """The config with fields set, each `NAME=VALUE`; a dot leads into a nested one, commas part a list.

    Raises InputError `input.value` for an unknown name (and names the nearest), and for a value of another
    type.

    >>> from segma.training.config import TrainConfig
    >>> made = changed(TrainConfig(name="mine"), ["steps=2000", "crop.aimed_share=0.2,0.8"])
    >>> made.steps, made.crop.aimed_share
    (2000, (0.2, 0.8))
    """
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign:
            raise InputError("input.value", f'"{setting}" sets nothing.', "Write NAME=VALUE: steps=2000.")
        config = _with(config, name.strip(), text.strip(), "")
    return config


def _with(config: Any, path: str, text: str, before: str) -> Any:  # dataclasses of any kind
    """The config with one field set; `before` is the path that led to this config."""
    name, dot, rest = path.partition(".")
    whole = before + path
    names = [field.name for field in fields(config)]
    if name not in names:
        raise InputError(
            "input.value", f'There is no setting "{whole}".', f"Nearest: {before}{_nearest(config, name)}."
        )
    value = getattr(config, name)
    if is_dataclass(value):
        if not dot:
            inner = ", ".join(f"{whole}.{field.name}" for field in fields(value))
            raise InputError("input.value", f'"{whole}" is a group of settings.', f"Set one of: {inner}.")
        return replace(config, **{name: _with(value, rest, text, f"{before}{name}.")})
    if dot:
        raise InputError("input.value", f'There is no setting "{whole}".', f'"{name}" has no parts.')
    owner: Any = type(config)  # pyright: ignore[reportUnknownVariableType]  a dataclass
    kind = get_type_hints(owner)[name]
    try:
        return replace(config, **{name: _value(kind, text)})
    except ValueError as error:
        raise InputError("input.value", f'{whole} is {_described(kind)}, not "{text}".') from error


def _value(kind: Any, text: str) -> Any:  # a type, and a value of it
    """The text as a value of a type. Raises ValueError."""
    if get_origin(kind) is tuple:
        return _values(get_args(kind), [part.strip() for part in text.split(",")] if text else [])
    if kind is bool:
        if text.lower() not in _TRUTHS:
            raise ValueError(text)
        return _TRUTHS[text.lower()]
    value = kind(text)
    if kind is float and not abs(value) < float("inf"):
        raise ValueError(text)
    return value


def _values(kinds: tuple[Any, ...], parts: list[str]) -> tuple[Any, ...]:  # types, and values of them
    if kinds[-1] is Ellipsis:
        return tuple(_value(kinds[0], part) for part in parts)
    if len(parts) != len(kinds):
        raise ValueError(parts)
    return tuple(_value(kind, part) for kind, part in zip(kinds, parts, strict=True))


def _described(kind: Any) -> str:  # a type
    """What is wanted, for people."""
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis:
            return "a list with commas"
        return f"{len(kinds)} numbers with commas"
    words: Mapping[Callable[..., Any], str] = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a text",
    }
    return words[kind]


def _nearest(config: Any, name: str) -> str:  # dataclasses of any kind
    """The nearest name, of this config or of a group in it."""
    own = {field.name: field.name for field in fields(config)}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            own |= {inner.name: f"{field.name}.{inner.name}" for inner in fields(value)}
    return own[difflib.get_close_matches(name, own, n=1, cutoff=0.0)[0]]
