"""Errors as exit codes and as one line of text: the only place that decides either."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from segma.errors import SegmaError

DONE, SOME_FAILED, WRONG_USE, UNREADABLE, MODEL, MEMORY, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        DONE: "done",
        SOME_FAILED: "some items failed or a run ended early, the rest is done (or a bug of segma)",
        WRONG_USE: "wrong use: options, prompts or output names that make no sense",
        UNREADABLE: "input unreadable, or output or project not writable",
        MODEL: "a problem with the model or the device",
        MEMORY: "out of memory",
        INTERRUPTED: "interrupted; what is done stays done",
    }
)

EXIT_CODES: Mapping[str, int] = MappingProxyType(
    {
        "input": UNREADABLE,
        "input.exists": WRONG_USE,
        "input.value": WRONG_USE,
        "prompt": WRONG_USE,
        "format": WRONG_USE,
        "format.bad": UNREADABLE,
        "model": MODEL,
        "memory": MEMORY,
        "db": UNREADABLE,
        "job": SOME_FAILED,
        "disk": UNREADABLE,
        "optional": WRONG_USE,
        "cancelled": INTERRUPTED,
    }
)
"""By error code, else by the word before its dot."""


def exit_code(error: SegmaError) -> int:
    """The exit code of an error.

    >>> exit_code(SegmaError("input.exists", "a.png exists."))
    2
    """
    family = error.code.partition(".")[0]
    return EXIT_CODES[error.code if error.code in EXIT_CODES else family]


def error_line(error: SegmaError, where: str = "") -> str:
    """One line for people; `where` (a path or address) goes in front, unless the message names it.

    >>> error_line(SegmaError("input.unreadable", "empty, 0 bytes."), "photos/a.jpg")
    'error: photos/a.jpg: empty, 0 bytes. [input.unreadable]'
    """
    name = where.replace("\\", "/").rpartition("/")[2]
    text = " ".join(str(error).split())
    place = f"{where}: " if where and name not in text else ""
    return f"error: {place}{text} [{error.code}]"


def bug_line(error: Exception, where: str = "") -> str:
    """The line for an exception that nobody expected."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    place = f"{where}: " if where else ""
    return f"error: {place}{text} This is a bug of segma; run again with --debug and report it. [bug]"
