"""Checkpoints of a run: one file that is whole or not there; the last good one outlives a full disk."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from segma.errors import ModelError, StoreError
from segma.training.config import TrainConfig

NAME = "checkpoint.pt"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Fields that may differ between the run that saved and the one that goes on.
_MAY_CHANGE = frozenset(
    {
        "minutes",
        "workers",
        "save_minutes",
        "validate_minutes",
        "validate_objects",
        "validate_clips",
        "data",
        "parallel",
    }
)


@dataclass(frozen=True, slots=True)
class Saved:
    """What a checkpoint holds. `states` are state dicts by name: model, mean, optimizer."""

    step: int
    seconds: float
    states: dict[str, Any]  # state dicts
    config: dict[str, Any]  # JSON
    scores: list[dict[str, Any]]  # JSON


def save(folder: Path, saved: Saved) -> Path:
    """Write the checkpoint beside its place, then move it there.

    Raises StoreError disk.full or disk.unwritable; the one that was there stays.
    """
    path, draft = folder / NAME, folder / (NAME + ".part")
    try:
        with draft.open("wb") as stream:
            torch.save(asdict_shallow(saved), stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except (OSError, RuntimeError) as error:
        draft.unlink(missing_ok=True)
        # torch tells of a full disk in an error of its own, without a number
        is_full = getattr(error, "errno", errno.ENOSPC) in _FULL
        raise StoreError(
            "disk.full" if is_full else "disk.unwritable",
            f"{path.name}: the checkpoint cannot be written ({error}).",
            "The last good one is still there; make room and start the same command again.",
        ) from error
    return path


def asdict_shallow(saved: Saved) -> dict[str, Any]:  # what torch.save gets
    """The fields by name, not copied."""
    return {name: getattr(saved, name) for name in Saved.__slots__}


def load(folder: Path, config: TrainConfig) -> Saved | None:
    """The checkpoint of a folder, None where there is none.

    Raises ModelError model.unreadable for a broken file, model.mismatch for one of another recipe.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        saved = Saved(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a truncated or foreign file may raise anything
        raise ModelError(
            "model.unreadable", f"{path}: no checkpoint of a run ({error}).", "Delete it to start anew."
        ) from error
    now, usual = as_json(config), as_json(TrainConfig(name=config.name))
    then = _filled(saved.config, usual)  # a field that is newer than the checkpoint had its usual value
    may_change = _MAY_CHANGE if config.video_share else _MAY_CHANGE | {"clips"}
    different = [name for name in now if name not in may_change and now[name] != then.get(name)]
    if different:
        raise ModelError(
            "model.mismatch",
            f"{path}: a checkpoint of another recipe (different: {', '.join(different)}).",
            "Choose another folder with -o, or the recipe and settings it was begun with.",
        )
    return saved


def _filled(values: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:  # JSON
    """The values, and the usual ones where there are none, at every depth."""
    deeper = {
        name: _filled(values[name], usual[name])
        for name, each in usual.items()
        if isinstance(each, dict) and isinstance(values.get(name), dict)
    }
    return usual | values | deeper


def as_json(config: TrainConfig) -> dict[str, Any]:  # JSON
    """The whole config as plain JSON values."""
    return json.loads(json.dumps(asdict(config)))
