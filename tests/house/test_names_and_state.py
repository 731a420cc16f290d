"""File names say what is inside, package files are empty, and modules hold no state."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

BANNED = {"utils", "util", "misc", "common", "base", "helpers"}
CONTAINERS = {"list", "dict", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque"}
LITERALS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def test_no_file_or_folder_has_a_name_that_says_nothing(texts: dict[str, str]) -> None:
    parts = {path: {PurePosixPath(part).stem for part in path.split("/")} for path in texts}
    assert {path for path, names in parts.items() if names & BANNED} == set()


def test_package_files_are_empty(texts: dict[str, str]) -> None:
    filled = {path for path, text in texts.items() if path.endswith("/__init__.py") and text.strip()}
    assert filled == {"src/segma/__init__.py"}


def test_modules_hold_no_mutable_values(package: dict[str, ast.Module]) -> None:
    found = [f"{path}:{line} {what}" for path, tree in package.items() for line, what in state(tree)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "cache = {}",
        "seen: set[int] = set()",
        "_rows = [1]",
        "if True:\n    counts = collections.Counter()",
        "def count():\n    global total\n    total = 1",
    ],
)
def test_state_is_found(text: str) -> None:
    assert len(list(state(ast.parse(text)))) == 1


@pytest.mark.parametrize(
    "text",
    ["TABLE = {'a': 1}", "size = 3", "def rows():\n    found = []\n    return found", "__all__ = ['a']"],
)
def test_constants_and_locals_are_no_state(text: str) -> None:
    assert list(state(ast.parse(text))) == []


def state(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every mutable lower-case value of a module, and of every `global` statement."""
    for node in at_import(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and is_mutable(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            yield from ((node.lineno, name) for name in names if name.islower() and name != "__all__")
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}"


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The statements that run in the module's own scope."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from at_import(child)


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return name in CONTAINERS
    return isinstance(value, LITERALS)
