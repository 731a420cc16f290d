"""What a run says: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from segma.cli.exits import SOME_FAILED, bug_line, error_line, exit_code
from segma.errors import MemoryLimitError, SegmaError

_DOWNLOADS = "segma.checkpoints.download"


@dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    """Options that every verb has, and the printing that follows them."""

    json: Annotated[
        bool, typer.Option("--json", help="Results as JSON, one object a line, instead of text.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More notes.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="A stack trace with every error.")] = False

    def result(self, text: str, data: Mapping[str, Any]) -> None:  # JSON
        """One result: the text, or with --json the data on a line of its own."""
        print(json.dumps(data, allow_nan=False) if self.json else text, flush=True)

    def note(self, text: str) -> None:
        """Something worth knowing, unless --quiet was given."""
        if not self.quiet:
            say(text)

    def failure(self, error: Exception, where: str = "") -> int:
        """Tell of an error in one line, with --debug after its stack trace, and give its exit code.

        `where` is the picture it belongs to. What nobody expected is called a bug.
        """
        if self.debug:
            say("".join(traceback.format_exception(error)).rstrip())
        if isinstance(error, MemoryError) and not isinstance(error, SegmaError):
            error = MemoryLimitError(
                "memory.cpu", "Not enough main memory.", "Use a smaller model or picture."
            )
        if isinstance(error, SegmaError):
            say(error_line(error, where))
            return exit_code(error)
        say(bug_line(error, where))
        return SOME_FAILED

    @contextmanager
    def logging(self) -> Generator[None, None, None]:
        """While this lasts, what segma logs is shown as far as the options ask for it.

        What the download of weights has to say (their licence, say) is shown without being asked for.
        """
        level = logging.DEBUG if self.debug else logging.INFO if self.verbose else logging.WARNING
        level = logging.ERROR if self.quiet else level
        levels = {"segma": level, _DOWNLOADS: level if self.quiet else min(level, logging.INFO)}
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_LowerCase("%(levelname)s: %(message)s"))
        logging.getLogger("segma").addHandler(handler)
        before = {name: logging.getLogger(name).level for name in levels}
        _set_levels(levels)
        try:
            yield
        finally:
            logging.getLogger("segma").removeHandler(handler)
            _set_levels(before)


def _set_levels(levels: Mapping[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class _LowerCase(logging.Formatter):
    """Lines that begin "warning: ...", as all others begin."""

    def format(self, record: logging.LogRecord) -> str:
        level, _, rest = super().format(record).partition(":")
        return f"{level.lower()}:{rest}"


def say(text: str) -> None:
    """A line on standard error; characters that it cannot show are escaped."""
    print(text, file=sys.stderr, flush=True)


def table(rows: list[list[str]], right: frozenset[int] = frozenset()) -> str:
    """Rows as columns of equal width, two spaces apart; the columns in `right` end on one line.

    >>> print(table([["name", "n"], ["a", "12"]], frozenset({1})))
    name   n
    a     12
    """
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
