"""A function as a command: groups of options become single ones, errors become exit codes.

A parameter whose type is a dataclass stands for all fields of it; their annotations hold typer's options.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

import typer

from segma.cli.console import Console
from segma.errors import Cancelled


def command(function: Callable[..., int]) -> Callable[..., None]:
    """What typer makes a command of. `function` gives the exit code; one parameter is a `Console`."""
    hints = get_type_hints(function, include_extras=True)
    # Any: dataclasses of all sorts, each made of its own options
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    console_name = next(name for name, kind in groups.items() if kind is Console)
    parameters: list[Parameter] = []
    for name, parameter in signature(function).parameters.items():
        if name in groups:
            parameters += _exploded(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))

    @wraps(function)
    def run(**values: Any) -> None:  # what typer parsed
        for name, kind in groups.items():
            values[name] = kind(**{each.name: values.pop(each.name) for each in fields(kind)})
        raise typer.Exit(guarded(values[console_name], lambda: function(**values)))

    del run.__wrapped__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__signature__ = Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]  what inspect reads
    return run


def guarded(console: Console, work: Callable[[], int]) -> int:
    """The exit code of `work`, or that of the error it ends with, which is told in one line."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if callable(reconfigure):
            reconfigure(errors="backslashreplace")  # a file's name may be no valid text
    with console.logging():
        try:
            return work()
        except KeyboardInterrupt:
            return console.failure(Cancelled("Interrupted."))
        except BrokenPipeError:
            raise  # whoever read our results has left; typer ends the program quietly
        except Exception as error:  # the last resort: one line instead of a stack trace
            return console.failure(error)


def _exploded(kind: Any) -> list[Parameter]:  # a dataclass
    """The fields of a group as parameters."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            default=_default(each),
            annotation=hints[each.name],
        )
        for each in fields(kind)
    ]


def _default(field: Field[Any]) -> Any:  # of any type
    return Parameter.empty if field.default is MISSING else field.default
