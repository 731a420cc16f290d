"""The progress bar: on a terminal, after a second, and never among the results."""

from __future__ import annotations

import io
import os
import pty
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from segma.cli.progress import Bar

Segma = Callable[..., Any]  # conftest's Ended


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Standard error is a terminal while this lasts; afterwards the list holds what was shown on it."""
    shown, ours = pty.openpty()
    text: list[str] = []
    with io.TextIOWrapper(io.FileIO(ours, "w"), write_through=True) as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        patch.setenv("TERM", "xterm")
        yield text
        stream.write("END")
        data = b""
        while not data.endswith(b"END"):
            data += os.read(shown, 1 << 16)
    os.close(shown)
    text.append(data.decode().removesuffix("END"))


def test_long_work_shows_a_bar(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with terminal(monkeypatch) as shown, Bar("pictures") as bar:
        for done in range(4):
            bar.update(done, 4)
            clock.now += 0.6
            with bar.paused():
                sys.stdout.write(f"result {done}\n")
    assert "pictures" in shown[0]
    assert "3/4" in shown[0]
    assert "1/4" not in shown[0], "the first second shows nothing"
    assert capsys.readouterr().out == "".join(f"result {done}\n" for done in range(4))


def test_short_work_shows_none(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as shown, Bar("pictures") as bar:
        bar.update(1, 2)
    assert shown == [""]


def test_quiet_shows_none(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as shown, Bar("pictures", quiet=True) as bar:
        clock.now += 9
        bar.update(1, 2)
    assert shown == [""]


def test_no_terminal_no_bar(segma: Segma, toy: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segma.cli.progress._PATIENCE_SECONDS", 0.0)
    done = segma("everything", photo, "--points-per-side", 4, "--model", toy)
    assert done.code == 0
    assert done.err.startswith("saved ")
    assert done.err.count("\n") == 1
