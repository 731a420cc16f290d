"""The source of the repository, parsed once for all rules."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDERS = ("src", "tests", "scripts", "benchmarks", "examples")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def texts(repository: Path) -> dict[str, str]:
    """Path from the repository's root -> text, of every Python file of ours (scripts have no ending)."""
    files = [path for folder in FOLDERS for path in sorted((repository / folder).rglob("*.py"))]
    files += [path for path in sorted((repository / "scripts").iterdir()) if is_python_script(path)]
    return {path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8") for path in files}


def is_python_script(path: Path) -> bool:
    """Whether a file without an ending says in its first line that it is Python."""
    if path.suffix or not path.is_file():
        return False
    with path.open(encoding="utf-8") as file:
        return file.readline().rstrip().endswith("python3")


@pytest.fixture(scope="session")
def trees(texts: dict[str, str]) -> dict[str, ast.Module]:
    """The same files, parsed."""
    return {name: ast.parse(text) for name, text in texts.items()}


@pytest.fixture(scope="session")
def package(trees: dict[str, ast.Module]) -> dict[str, ast.Module]:
    """Those of them that users get."""
    return {name: tree for name, tree in trees.items() if name.startswith("src/segma/")}


@pytest.fixture(scope="session")
def run_python(repository: Path) -> Run:
    """Runs this interpreter on the source tree, with the arguments given; the result as text."""

    def run(*arguments: str, cwd: Path = repository) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(repository / "src")}
        return subprocess.run(
            [sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=480
        )

    return run
