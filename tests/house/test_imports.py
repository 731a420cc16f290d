"""The contracts of pyproject.toml are kept, cover what they should, and bite when they are broken."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

PLAIN_DATA = ["geometry", "masks", "prompts", "samples", "results", "media", "text"]
NEED_NO_TORCH = [*PLAIN_DATA, "formats", "datasets", "models.catalog"]
BUILT_OF_OTHERS = {"videolisa"}  # the one system that holds another (its language model drives SAM)


@pytest.fixture(scope="session")
def contracts(repository: Path) -> dict[str, dict[str, Any]]:  # toml tables: text and lists mixed
    """Name -> contract."""
    config = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["name"]: contract for contract in config["tool"]["importlinter"]["contracts"]}


def test_contracts_are_kept(repository: Path) -> None:
    done = lint(repository / "src", repository / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_that_should_need_no_torch_is_in_the_contract(
    repository: Path, contracts: dict[str, dict[str, Any]]
) -> None:
    listed = set(contracts["plain data needs no torch"]["source_modules"])
    assert existing(repository, NEED_NO_TORCH) <= listed


def test_models_are_kept_from_all_plain_data(repository: Path, contracts: dict[str, dict[str, Any]]) -> None:
    listed = set(contracts["models are tensors in, tensors out"]["forbidden_modules"])
    assert existing(repository, PLAIN_DATA) <= listed


def test_systems_stand_alone_as_soon_as_there_are_two(
    repository: Path, contracts: dict[str, dict[str, Any]]
) -> None:
    folders = (repository / "src/segma/models").glob("*/__init__.py")
    systems = {
        f"segma.models.{path.parent.name}" for path in folders if path.parent.name not in BUILT_OF_OTHERS
    }
    if len(systems) > 1:
        assert set(contracts["systems stand alone"]["modules"]) == systems


def test_a_skeleton_of_the_tree_keeps_the_contracts(skeleton: Path, repository: Path) -> None:
    done = lint(skeleton, repository / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "text", "contract"),
    [
        ("errors", "import segma.masks", "layers"),
        ("media", "import segma.nn", "layers"),
        ("novelty", "", "layers"),
        ("nn", "import numpy", "models are tensors in, tensors out"),
        ("models", "import segma.media", "models are tensors in, tensors out"),
        ("masks", "import torch", "plain data needs no torch"),
        ("tasks", "import typer", "extras stay in their room"),
    ],
)
def test_contracts_bite(skeleton: Path, repository: Path, module: str, text: str, contract: str) -> None:
    write_package(skeleton / "segma" / module, text)
    done = lint(skeleton, repository / "pyproject.toml")
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout


@pytest.fixture
def skeleton(tmp_path: Path, contracts: dict[str, dict[str, Any]]) -> Path:
    """A folder with an empty package for each module that a contract names (planned ones left out)."""
    rows = [name.strip() for layer in contracts["layers"]["layers"] for name in layer.split("|")]
    modules = {f"segma.{name}" for name in rows if not name.startswith("(")}
    for contract in contracts.values():
        for key in ("source_modules", "forbidden_modules", "modules"):
            modules |= {name for name in contract.get(key, []) if name.startswith("segma.")}
    write_package(tmp_path / "segma", "")
    for module in modules:
        write_package(tmp_path / module.replace(".", "/"), "")
    return tmp_path


def write_package(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(text, encoding="utf-8")


def existing(repository: Path, names: list[str]) -> set[str]:
    """The modules among `names` that are there, as file or package."""
    root = repository / "src" / "segma"
    paths = {f"segma.{name}": root / name.replace(".", "/") for name in names}
    return {name for name, path in paths.items() if path.is_dir() or path.with_suffix(".py").exists()}


def lint(root: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the package `segma` below `root`."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", str(config)]
    env = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=60)
