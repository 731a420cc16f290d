"""Checks that the configs of all systems share, and their way to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields
from math import isfinite
from typing import Any, NoReturn, TypeVar, cast

from segma.errors import ModelError

# A file may say anything: beyond these, building the network would only waste the reader's time.
LIMIT = 1 << 16
DEPTH_LIMIT = 512


C = TypeVar("C")


def refuse(system: str, what: str) -> NoReturn:
    """Raises `ModelError` model.unreadable: a configuration of this system contradicts itself."""
    raise ModelError("model.unreadable", f"A {system} configuration makes no sense: {what}.")


def check_size(system: str, name: str, value: object, limit: int = LIMIT) -> None:
    """`ModelError` model.unreadable unless the value is a whole number from 1 to the limit."""
    if not _is_int(value) or not 0 < value <= limit:  # pyright: ignore[reportOperatorIssue]  # checked
        refuse(system, f"{name} is {value!r}, not a whole number from 1 to {limit}")


def check_multiple(system: str, config: object, whole: str, part: str) -> None:
    """`ModelError` model.unreadable unless one field is a multiple of another."""
    if getattr(config, whole) % getattr(config, part):
        refuse(system, f"{whole} {getattr(config, whole)} is no multiple of {part} {getattr(config, part)}")


def to_json(config: Any) -> dict[str, Any]:  # any dataclass; JSON
    """The fields as plain JSON values; tuples become lists."""
    values = asdict(config)
    return {name: [*value] if isinstance(value, tuple) else value for name, value in values.items()}


def from_json(
    kind: type[C], system: str, values: Mapping[str, Any], zeros: tuple[str, ...] = ()
) -> C:  # JSON
    """The config of `to_json`. `ModelError` model.unreadable on unknown, missing or wrong fields.

    `zeros` names the numbers that may be 0 though it is not what is usual.
    """
    known = {field.name: field for field in fields(cast(Any, kind))}  # any dataclass
    unknown = sorted(str(name) for name in values.keys() - known.keys())
    lacking = [name for name, field in known.items() if field.default is MISSING and name not in values]
    if unknown or lacking:
        refuse(system, f"it has no field {unknown[0]}" if unknown else f"{lacking[0]} is not given")
    return kind(**{name: _field(system, known[name], value, name in zeros) for name, value in values.items()})


def _field(system: str, field: Field[Any], value: Any, may_be_zero: bool) -> Any:  # JSON
    if field.type in ("bool", bool):
        if not isinstance(value, bool):
            refuse(system, f"{field.name} is {value!r}, neither true nor false")
    elif field.type in ("str", str):
        if not isinstance(value, str):
            refuse(system, f"{field.name} is {value!r}, not a text")
    elif field.type in ("int", int):
        may_be_zero = may_be_zero or field.default == 0  # where nothing is the usual number
        if not (may_be_zero and _is_int(value) and value == 0):
            check_size(system, field.name, value)
    elif field.type in ("float", float):
        if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
            refuse(system, f"{field.name} is {value!r}, not a number")
    elif field.type == "tuple[str, ...]":
        texts = cast("list[object]", value) if isinstance(value, list | tuple) else [None]
        if not all(isinstance(text, str) for text in texts):
            refuse(system, f"{field.name} is not a list of texts")
        return tuple(texts)
    else:
        if not isinstance(value, list | tuple) or not all(map(_is_int, cast("list[Any]", value))):
            refuse(system, f"{field.name} is not a list of whole numbers")
        return tuple(cast("list[int]", value))
    return value


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
