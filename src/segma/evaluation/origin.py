"""What made a report: program, commit, model and its weights, machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import segma
from segma.api import Model
from segma.evaluation.protocols.speed import machine_facts

_HASH_LENGTH = 40


def origin_of(model: Model) -> dict[str, Any]:  # JSON
    """JSON-ready facts. Reads the weights once more, for their hash."""
    return {
        "segma": segma.__version__,
        "commit": commit_of(Path(segma.__file__).resolve().parents[2]),
        "model": model.name,
        "weights_hash": model.facts.weights_hash,
        "runtime": model.runtime.describe(),
        "machine": machine_facts(("torch", "numpy", "opencv-python-headless")),
    }


def commit_of(root: Path) -> str | None:
    """The commit that is checked out in a folder with the source tree `src/segma`; None where there is none.

    What is changed since is not seen.
    """
    git = root / ".git"
    try:
        if git.is_file():  # a second work tree
            git = (root / git.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")).resolve()
        if not (root / "src" / "segma").is_dir():
            return None
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if head.startswith("ref: "):
            head = _resolved(git, head.removeprefix("ref: "))
    except (OSError, UnicodeDecodeError):
        return None
    return head if len(head) == _HASH_LENGTH else None


def _resolved(git: Path, name: str) -> str:
    """The commit of a branch; "" where it is not found. Raises OSError."""
    shared = git / "commondir"
    top = (git / shared.read_text(encoding="utf-8").strip()).resolve() if shared.is_file() else git
    if (top / name).is_file():
        return (top / name).read_text(encoding="utf-8").strip()
    for line in (top / "packed-refs").read_text(encoding="utf-8").splitlines():
        commit, _, found = line.partition(" ")
        if found == name:
            return commit
    return ""
