"""Every error code is raised somewhere, is in the table, and stands in the manual."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from segma.errors import CODES, SegmaError

KNOW_THEIR_CODE = {"MissingExtraError", "Cancelled"}  # their first argument is a text for people


def test_every_code_is_raised_somewhere(package: dict[str, ast.Module]) -> None:
    words = {word for tree in package.values() for word in texts_outside_the_table(tree)}
    assert sorted(set(CODES) - words) == []


def test_every_code_that_is_raised_is_in_the_table(package: dict[str, ast.Module]) -> None:
    kinds = {kind.__name__ for kind in SegmaError.__subclasses__()} - KNOW_THEIR_CODE
    raised = {(path, code) for path, tree in package.items() for code in first_arguments(tree, kinds)}
    assert {(path, code) for path, code in raised if code not in CODES} == set()


def test_every_code_and_class_stands_in_the_manual(repository: Path) -> None:
    page = (repository / "docs/reference/errors.md").read_text(encoding="utf-8")
    names = {*CODES, *(kind.__name__ for kind in SegmaError.__subclasses__())}
    assert {name for name in names if f"`{name}`" not in page} == set()


def texts_outside_the_table(tree: ast.Module) -> Iterator[str]:
    """The string constants of a module, without those of an assignment to `CODES`."""
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "CODES":
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def first_arguments(tree: ast.Module, names: set[str]) -> Iterator[str]:
    """The first argument, where it is a text, of every call of one of `names`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value
