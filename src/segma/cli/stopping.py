"""Ctrl-C and SIGTERM: work stops between two frames, so that what is done is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Stop:
    """A context in which a signal interrupts at once, or, inside `gently`, at the next frame (or `what`).

    `event` is set once somebody has asked to stop; asking a second time interrupts whatever goes on.
    """

    def __init__(self, tell: Callable[[str], None], what: str = "frame") -> None:
        """`what` is told to be finished before the work stops."""
        self._what = what
        self.event = threading.Event()
        self._tell = tell
        self._is_gentle = False
        self._before: dict[int, Any] = {}  # whatever handled the signal before

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def gently(self) -> Generator[threading.Event, None, None]:
        """While this lasts the first signal only sets the event, for work that looks at it."""
        self._is_gentle = True
        try:
            yield self.event
        finally:
            self._is_gentle = False

    @contextmanager
    def waiting(self) -> Generator[None, None, None]:
        """While this lasts a signal interrupts at once, also inside `gently`: nothing is half done."""
        before, self._is_gentle = self._is_gentle, False
        try:
            if self.event.is_set():
                raise KeyboardInterrupt
            yield
        finally:
            self._is_gentle = before

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.event.is_set() or not self._is_gentle:
            self.event.set()
            raise KeyboardInterrupt
        self.event.set()
        self._tell(f"stopping after this {self._what}; again to stop at once")
