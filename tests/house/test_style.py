"""Format, lint and types are as pyproject.toml wants them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=["lint", "format"])
def test_ruff(run_python: Run, arguments: tuple[str, ...]) -> None:
    done = run_python("-m", "ruff", *arguments, "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_types(run_python: Run) -> None:
    done = run_python("-m", "pyright", "--pythonpath", sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
