"""The public names are those of api.json; they change on purpose only."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import segma


def test_public_names_equal_api_json(repository: Path) -> None:
    agreed = json.loads((repository / "api.json").read_text(encoding="utf-8"))
    assert agreed == {"segma": sorted(segma.__all__)}


@pytest.mark.parametrize("name", sorted(segma.__all__))
def test_a_public_name_is_there_and_explained(name: str) -> None:
    value = getattr(segma, name)
    assert isinstance(value, str) or value.__doc__, f"{name} has no docstring"


def test_type_checkers_see_the_same_names(package: dict[str, ast.Module]) -> None:
    tree = package["src/segma/__init__.py"]
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname for node in imports for alias in node.names}
    assert seen == set(segma.__all__) - {"__version__"}


def test_a_name_that_is_not_public_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        segma.nothing  # noqa: B018 - asking is the test
