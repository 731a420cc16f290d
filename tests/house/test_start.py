"""Nothing heavy is imported before it is needed."""

from __future__ import annotations

import re
import resource
import subprocess
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]
HELP = ("-c", "from segma.cli.main import main; main()", "--help")
HELP_SECONDS = 0.3


def test_importing_segma_imports_neither_torch_nor_numpy(run_python: Run) -> None:
    assert imported(run_python, "-c", "import segma") & {"torch", "numpy"} == set()


def test_an_import_of_torch_would_be_seen(run_python: Run) -> None:
    assert "numpy" in imported(run_python, "-c", "import numpy")


def test_help_imports_nothing_heavy(run_python: Run) -> None:
    heavy = {"torch", "numpy", "transformers", "cv2", "av", "huggingface_hub"}
    assert imported(run_python, *HELP) & heavy == set()


def test_help_answers_at_once(run_python: Run) -> None:
    def seconds() -> float:
        """Of computing: other tests run beside this one."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run_python(*HELP)
        assert done.returncode == 0, done.stderr
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(seconds() for _ in range(5)) < HELP_SECONDS


def imported(run_python: Run, *arguments: str) -> set[str]:
    """Top-level names of what a run imports."""
    done = run_python("-X", "importtime", *arguments)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^import time:.*\|\s+(\w+)", done.stderr, flags=re.MULTILINE))
