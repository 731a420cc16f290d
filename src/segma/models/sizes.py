"""Checks that the configs of all systems share, and their way to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields
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


def from_json(kind: type[C], system: str, values: Mapping[str, Any]) -> C:  # JSON
    """The config of `to_json`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    known = {field.name: field for field in fields(cast(Any, kind))}  # any dataclass
    unknown = sorted(str(name) for name in values.keys() - known.keys())
    lacking = [name for name, field in known.items() if field.default is MISSING and name not in values]
    if unknown or lacking:
        refuse(system, f"it has no field {unknown[0]}" if unknown else f"{lacking[0]} is not given")
    return kind(**{name: _field(system, known[name], value) for name, value in values.items()})


def _field(system: str, field: Field[Any], value: Any) -> Any:  # JSON
    if field.type in ("bool", bool):
        if not isinstance(value, bool):
            refuse(system, f"{field.name} is {value!r}, neither true nor false")
    elif field.type in ("str", str):
        if not isinstance(value, str):
            refuse(system, f"{field.name} is {value!r}, not a text")
    elif field.type in ("int", int):
        if field.default != 0 or value != 0:  # where nothing is the usual number, nothing is allowed
            check_size(system, field.name, value)
    else:
        if not isinstance(value, list | tuple) or not all(map(_is_int, cast("list[Any]", value))):
            refuse(system, f"{field.name} is not a list of whole numbers")
        return tuple(cast("list[int]", value))
    return value


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
