"""Checkpoints out: safetensors with config, origin and licence inside, a .pth, or a folder for transformers.

Every file appears complete or not at all: it is written beside its place and then moved there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  a bare PathLike
from torch import Tensor, nn

from segma.checkpoints.detect import CONFIG_KEY, SYSTEM_KEY, config_module, layout_module
from segma.checkpoints.disk import readable_bytes
from segma.errors import InputError, StoreError
from segma.models.catalog import System, all_systems

ORIGIN_KEY = "segma_origin"
LICENCE_KEY = "segma_licence"
PICKLED_SUFFIXES = (".pt", ".pth")


def save(
    module: nn.Module,
    config: Any,  # each system's own dataclass
    path: Path,
    *,
    origin: str,
    licence: str,
    layout: Literal["official", "transformers"] = "official",
) -> Path:
    """Write the weights of a network, and return the path.

    With layout "official", `path` is a file: `.safetensors`, whose metadata also hold the config, `origin`
    (where the weights come from) and `licence`, or `.pt` and `.pth` with the tensors alone. With
    "transformers" it is a folder that `from_pretrained` reads. What is there is replaced. Raises
    `InputError` input.value, `StoreError` disk.full or disk.unwritable.
    """
    system = _system_of(config)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    values = config_module(system).to_json_dict(config)
    metadata = {
        "format": "pt",
        SYSTEM_KEY: system.name,
        CONFIG_KEY: json.dumps(values, sort_keys=True),
        ORIGIN_KEY: origin,
        LICENCE_KEY: licence,
    }
    if layout == "transformers":
        _save_folder(system, config, state, metadata, path)
    elif path.suffix == ".safetensors":
        _write(path, _bytes_of(state), lambda draft: save_file(state, draft, metadata))
    elif path.suffix in PICKLED_SUFFIXES:
        _write(path, _bytes_of(state), lambda draft: torch.save(state, draft))
    else:
        known = ", ".join((".safetensors", *PICKLED_SUFFIXES))
        raise InputError("input.value", f"{path.name}: weights are written to {known}.")
    return path


def _save_folder(
    system: System,
    config: Any,  # each system's own dataclass
    state: Mapping[str, Tensor],
    metadata: dict[str, str],
    folder: Path,
) -> None:
    layout = layout_module(system)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    # a tensor that stands under two names is written twice: safetensors knows no links
    seen: set[int] = set()
    named: dict[str, Tensor] = {}
    for name, tensor in layout.to_transformers(state).items():
        named[name] = tensor.clone() if id(tensor) in seen else tensor
        seen.add(id(tensor))
    text = json.dumps(layout.transformers_config(config), indent=2) + "\n"
    _write(folder / "model.safetensors", _bytes_of(named), lambda draft: save_file(named, draft, metadata))
    _write(folder / "config.json", len(text), lambda draft: draft.write_text(text, encoding="utf-8"))


def _bytes_of(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in state.values())


def _system_of(config: Any) -> System:  # each system's own dataclass
    home = type(config).__module__
    found = next((system for system in all_systems().values() if system.config_module == home), None)
    if found is None:
        raise InputError("input.value", f"{type(config).__name__} is no configuration of a model.")
    return found


def _write(path: Path, size: int, write: Callable[[Path], object]) -> None:
    """Let `write` fill a draft of about `size` bytes beside the path, then move it there in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        free = shutil.disk_usage(path.parent).free
        if free < size:
            needed = f"{path.name} needs about {readable_bytes(size)}"
            raise StoreError(
                "disk.full",
                f"Only {readable_bytes(free)} left in {path.parent}; {needed}. Nothing was written.",
            )
        write(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except StoreError:
        raise
    # torch and safetensors tell of a disk's troubles in errors of their own
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _unwritable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)


def _unwritable(path: Path, error: Exception) -> StoreError:
    return StoreError("disk.unwritable", f"{path} cannot be written ({error}).", "Choose another folder.")
