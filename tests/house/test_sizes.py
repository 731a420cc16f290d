"""Functions of at most 50 lines, files of at most 400; exceptions.toml lists what is longer, and why."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

FUNCTION_LINES = 50
FILE_LINES = 400


def test_functions_are_short_or_listed_with_their_length(trees: dict[str, ast.Module]) -> None:
    lengths = {f"{path}:{name}": n for path, tree in trees.items() for name, n in functions(tree)}
    assert over(lengths, FUNCTION_LINES) == listed("functions")


def test_files_are_short_or_listed_with_their_length(texts: dict[str, str]) -> None:
    lengths = {path: len(text.splitlines()) for path, text in texts.items()}
    assert over(lengths, FILE_LINES) == listed("files")


def test_every_exception_has_a_reason() -> None:
    for table in exceptions().values():
        for name, row in table.items():
            assert str(row["reason"]).strip(), f"{name} needs a reason"


def test_long_functions_are_found() -> None:
    body = "        pass\n" * FUNCTION_LINES
    tree = ast.parse(f"class Outer:\n    def long(self):\n{body}\ndef short():\n    pass\n")
    assert over(dict(functions(tree)), FUNCTION_LINES) == {"Outer.long": FUNCTION_LINES + 1}


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Qualified name and number of lines of every function below a node."""
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{child.name}".lstrip(".")
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, (child.end_lineno or child.lineno) - child.lineno + 1
        yield from functions(child, name)


def over(lengths: dict[str, int], limit: int) -> dict[str, int]:
    return {name: length for name, length in lengths.items() if length > limit}


def listed(table: str) -> dict[str, int]:
    return {name: int(row["lines"]) for name, row in exceptions()[table].items()}


def exceptions() -> dict[str, dict[str, dict[str, str | int]]]:
    return tomllib.loads(Path(__file__).with_name("exceptions.toml").read_text(encoding="utf-8"))
