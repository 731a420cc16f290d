"""Checkpoint files and folders as named tensors. No code from a file ever runs.

What a file is, is found from its first bytes and never from its suffix.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from segma.checkpoints.detect import ARGUMENTS_KEY, HUB_CONFIG_KEY
from segma.checkpoints.pickles import read_pickled
from segma.errors import InputError, ModelError

SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".bin", ".ckpt"})

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# Where training programs put the weights inside what they save, best first; `ema` goes before them all where
# it holds a moving average of the whole network.
_NESTED_UNDER = ("state_dict", "model", "model_state_dict", "ema", "module")
_FIRST_BYTES = 512
_LFS_MARK = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Named tensors on the CPU, mostly memory-mapped, so that reading a file costs little.

    `origin` is the file or folder that was asked for, `files` are those that hold the tensors.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    origin: Path
    files: tuple[Path, ...] = field(default=())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def read_checkpoint(path: Path) -> Checkpoint:
    """The tensors of a file (safetensors, or pickled by torch) or of a folder of the hub.

    Raises `InputError` input.not_found; `ModelError` model.unreadable for what is empty, cut short or
    something else, model.pickle for a file with code in it; `InputError` input.outside for a folder
    whose index points out of it.
    """
    if not path.exists():
        raise InputError(
            "input.not_found", f"{path.name}: no such file.", f"Looked in {path.parent.resolve()}."
        )
    try:
        if path.is_dir():
            return _read_folder(path)
        tensors, metadata = _read_file(path)
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror or error}") from error
    return Checkpoint(tensors=tensors, metadata=metadata, origin=path, files=(path,))


def _read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with path.open("rb") as file:
        head = file.read(_FIRST_BYTES)
    if head[8:9] == b"{":
        return _read_safetensors(path)
    problem = _not_a_checkpoint(head)
    if problem:
        raise _unreadable(path, problem)
    found = read_pickled(path)
    return _named_tensors(path, found), _arguments(found)


def _not_a_checkpoint(head: bytes) -> str:
    """What else a file with these first bytes is; empty when it may be a pickled checkpoint."""
    text = head.lstrip().lower()
    if not head:
        return "is empty"
    if head.startswith(_LFS_MARK):
        return "is a Git LFS pointer, not the weights. Run: git lfs pull"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not weights: a download was answered with an error. Fetch it again"
    if head.startswith((b"\x1f\x8b", b"\x89HDF", b"7z\xbc\xaf", b"\xfd7zXZ", b"BZh", b"Rar!")):
        return "is an archive or another program's file, not a checkpoint. Unpack or convert it"
    if not head.startswith((b"PK", b"\x80")):
        printable = all(byte >= 0x80 or 32 <= byte < 127 or byte in b"\t\r\n\f" for byte in head)
        return "is text, not weights" if printable else "is no checkpoint: neither safetensors nor torch"
    return ""


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with cast(Any, safe_open)(path, framework="pt", device="cpu") as file:  # it declares no types
            metadata: dict[str, str] = dict(file.metadata() or {})
            names: list[str] = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, metadata
    except (SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise _unreadable(path, f"is a cut short or damaged safetensors file ({error})") from error


def _named_tensors(path: Path, found: object) -> dict[str, Tensor]:
    """The tensors of an unpickled file, wherever the training program nested them."""
    for _ in range(len(_NESTED_UNDER)):
        if not isinstance(found, Mapping):
            break
        values = cast("Mapping[object, object]", found)
        inner = _average(values) or next(
            (values[key] for key in _NESTED_UNDER if isinstance(values.get(key), Mapping)), None
        )
        if inner is None:
            break
        found = inner
    entries: Mapping[object, object] = {}
    if isinstance(found, Mapping):
        entries = cast("Mapping[object, object]", found)
    tensors = {
        name: value.detach()
        for name, value in entries.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not tensors:
        raise _unreadable(path, "holds no named tensors")
    for name, tensor in tensors.items():
        _check_stored(path, name, tensor)
    return tensors


def _average(values: Mapping[object, object]) -> Mapping[object, object] | None:
    """The moving average of a network beside that network, if there is one with as many tensors."""
    found, beside = values.get("ema"), values.get("model")
    if not isinstance(found, Mapping) or not isinstance(beside, Mapping):
        return None
    average = cast("Mapping[object, object]", found)
    is_whole = len(average) >= len(cast("Mapping[object, object]", beside))
    return average if is_whole and all(isinstance(value, Tensor) for value in average.values()) else None


def _arguments(found: object) -> dict[str, str]:
    """The plain values among a training program's arguments, as metadata; {} where there is no Namespace."""
    if not isinstance(found, Mapping):
        return {}
    values = cast("Mapping[object, object]", found)
    hyper = values.get("hyper_parameters")
    inner = cast("Mapping[object, object]", hyper).get("args") if isinstance(hyper, Mapping) else hyper
    for arguments in (inner, values.get("args")):
        if isinstance(arguments, argparse.Namespace):
            plain = {
                name: value
                for name, value in cast("dict[object, object]", vars(arguments)).items()
                if isinstance(name, str) and isinstance(value, str | int | float | None)
            }
            return {ARGUMENTS_KEY: json.dumps(plain)}
    return {}


def _check_stored(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse what is no plain array, or is larger than its numbers in the file (a stride of 0)."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise _unreadable(path, f'holds "{name}" as something besides a plain tensor')
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise _unreadable(path, f'says that "{name}" is larger than what the file holds of it')


def _read_folder(folder: Path) -> Checkpoint:
    files = _weight_files(folder)
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for path in files:
        if not path.is_file():
            raise _unreadable(folder, f"lacks {path.name}, which its index names. Fetch it again")
        found, said = _read_file(path)
        tensors.update(found)
        metadata.update(said)
    checkpoint = Checkpoint(tensors=tensors, metadata=metadata, origin=folder, files=files)
    config = folder / "config.json"
    if config.is_file():
        text = json.dumps(_read_json(config))
        checkpoint = replace(checkpoint, metadata={**metadata, HUB_CONFIG_KEY: text})
    return checkpoint


def _weight_files(folder: Path) -> tuple[Path, ...]:
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return (folder / name,)
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _shards(index)
    single = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if len(single) == 1:
        return (single[0],)
    found = f"{len(single)} weight files" if single else "no weight file"
    raise _unreadable(folder, f"holds {found}; expected model.safetensors, or one file to choose")


def _shards(index: Path) -> tuple[Path, ...]:
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise _unreadable(index, "is no index: it has no weight_map")
    names = {str(value) for value in cast("dict[str, Any]", weight_map).values()}  # JSON
    for name in names:
        # by name, not by resolving: files of the hub's cache are links to another folder
        parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
        if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
            raise InputError("input.outside", f'{index}: names the file "{name}", outside its folder.')
    return tuple(index.parent / name for name in sorted(names))


def _read_json(path: Path) -> dict[str, Any]:  # JSON
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, f"is broken JSON ({error})") from error
    if not isinstance(found, dict):
        raise _unreadable(path, "is JSON, but no object")
    return cast("dict[str, Any]", found)  # JSON


def _unreadable(path: Path, what: str) -> ModelError:
    return ModelError("model.unreadable", f"{path} {what}.")
