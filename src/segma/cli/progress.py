"""A progress bar on standard error: only on a terminal, only once the work has lasted a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE_SECONDS = 1.0


class Bar:
    """A bar that shows itself when it is needed. `update` may be called as often as one likes."""

    def __init__(self, what: str, *, quiet: bool = False, memory: bool = False) -> None:
        """With `memory` the most memory that was held so far stands at its end."""
        self._what, self._has_memory = what, memory
        self._is_wanted = not quiet and sys.stderr.isatty()
        self._start = time.monotonic()
        self._shown: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown is not None:
            self._shown[0].stop()

    def update(self, done: int, total: int | None, note: str = "") -> None:
        """So many of so many; None where nobody knows how many there are. `note` stands at the end."""
        if not self._is_wanted or time.monotonic() - self._start < _PATIENCE_SECONDS:
            return
        if self._shown is None:
            self._shown = self._show(total)
        progress, task = self._shown
        progress.update(task, completed=done, total=total, note=_memory() if self._has_memory else note)

    @contextmanager
    def paused(self) -> Generator[None, None, None]:
        """While this lasts the bar is away, so that lines can be printed."""
        if self._shown is None:
            yield
            return
        self._shown[0].stop()
        yield
        self._shown[0].start()

    def _show(self, total: int | None) -> tuple[Progress, TaskID]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=RichConsole(stderr=True),
            transient=True,
            redirect_stdout=False,  # rich would send results to standard error
            redirect_stderr=False,
        )
        progress.start()
        return progress, progress.add_task(self._what, total=total, note="")


def _memory() -> str:
    """The most memory that was held so far, for people."""
    from segma.evaluation.protocols.speed import peak_memory

    most = peak_memory()
    return "" if most is None else f"{most / 1e9:.1f} GB"
