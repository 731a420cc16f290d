"""The one door to weights: a name or a file in, a network out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segma.checkpoints.detect import Detection, advice, build, config_module, identify, layout_module
from segma.checkpoints.match import Misfit, compare, fit, shapes_of
from segma.checkpoints.origin import file_hashes
from segma.checkpoints.read import SUFFIXES, Checkpoint, read_checkpoint
from segma.checkpoints.save import LICENCE_KEY, ORIGIN_KEY
from segma.errors import ModelError
from segma.models.catalog import ALIASES, MODELS, Entry, find_system, lookup
from segma.runtime import Runtime

Progress = Callable[[int, int | None], object]
"""That of `checkpoints.download`, which is imported only where something is fetched."""
_UNKNOWN_LICENCE = "unknown"
# What begins a name that `hub.fetch` takes besides those of the catalog.
_REMOTE = ("hf:", "http://", "https://")


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network ready for use, and where it comes from.

    `config` is the system's own dataclass; `variant` is None for sizes without a name; `files` are those
    the weights were read from; `licence` is that of the weights, or "unknown".
    """

    module: nn.Module
    config: Any
    name: str
    system: str
    variant: str | None
    files: tuple[Path, ...]
    licence: str
    note: str = ""

    @cached_property
    def weights_hash(self) -> str:
        """sha256 of the file, hexadecimal. Read when first asked for."""
        return _hash_of(self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointFacts:
    """What a checkpoint is, told without putting it into use. `misfit` is false when everything fits."""

    path: Path
    system: str
    variant: str | None
    config: dict[str, Any]  # JSON
    """The sizes, by field."""
    layout: str
    """"official" or "transformers"."""
    num_tensors: int
    num_parameters: int
    """Numbers in all tensors that fit, without buffers."""
    dtypes: tuple[str, ...]
    size_bytes: int
    sha256: str
    licence: str
    origin: str
    """Where the file says that its weights come from; may be empty."""
    misfit: Misfit


def load(
    name_or_path: str | Path, runtime: Runtime | None = None, *, on_progress: Progress | None = None
) -> LoadedModel:
    """The network of a catalog name, of a file or of a folder, for evaluation, without gradients.

    A name is fetched first if need be; `on_progress(bytes, total)` hears of it. Without a runtime the
    network stays on the CPU, in float32. Raises `ModelError` model.unknown, model.unreadable,
    model.pickle and those of `hub.fetch`, `MisfitError`, `InputError` input.not_found.
    """
    path, entry = _resolve(name_or_path, on_progress)
    loaded = _from_checkpoint(read_checkpoint(path), entry)
    if runtime is not None:
        runtime.place(loaded.module)
    return loaded


def load_inside(
    name_or_path: str | Path,
    prefix: str,
    runtime: Runtime | None = None,
    *,
    on_progress: Progress | None = None,
) -> LoadedModel:
    """A network that a checkpoint holds besides its own, as `load` gives it: that under a prefix of names.

    OmniTokenizer's language models hold their tokenizer under `first_stage_model.`. Raises what `load`
    raises, and `ModelError` model.unreadable when there is nothing under the prefix.
    """
    path, entry = _resolve(name_or_path, on_progress)
    whole = read_checkpoint(path)
    tensors = {
        name.removeprefix(prefix): tensor for name, tensor in whole.tensors.items() if name.startswith(prefix)
    }
    if not tensors:
        raise ModelError("model.unreadable", f'{path.name} holds nothing under "{prefix}".')
    metadata = {key: whole.metadata[key] for key in (LICENCE_KEY, ORIGIN_KEY) if key in whole.metadata}
    loaded = _from_checkpoint(replace(whole, tensors=tensors, metadata=metadata), None)
    label = entry.name if entry else path.stem
    loaded = replace(
        loaded,
        name=f"{label}/{prefix.rstrip('.')}",
        licence=entry.licence if entry else loaded.licence,
    )
    if runtime is not None:
        runtime.place(loaded.module)
    return loaded


def inspect(path: Path) -> CheckpointFacts:
    """The facts of a checkpoint. A misfit is reported, not raised; else the errors are those of `load`."""
    checkpoint = read_checkpoint(path)
    found = identify(checkpoint.shapes, checkpoint.metadata)
    tensors = _official(checkpoint.tensors, found)
    module = _skeleton(found)
    wanted = shapes_of(module)
    parameters = {name for name, _ in module.named_parameters()}
    return CheckpointFacts(
        path=path,
        system=found.system,
        variant=found.variant,
        config=config_module(find_system(found.system)).to_json_dict(found.config),
        layout=found.layout,
        num_tensors=len(checkpoint.tensors),
        num_parameters=sum(tensor.numel() for name, tensor in tensors.items() if name in parameters),
        dtypes=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})),
        size_bytes=sum(file.stat().st_size for file in checkpoint.files),
        sha256=_hash_of(checkpoint.files),
        licence=checkpoint.metadata.get(LICENCE_KEY) or _UNKNOWN_LICENCE,
        origin=checkpoint.metadata.get(ORIGIN_KEY, ""),
        misfit=compare(wanted, {name: tuple(tensor.shape) for name, tensor in tensors.items()}),
    )


def _resolve(name_or_path: str | Path, on_progress: Progress | None) -> tuple[Path, Entry | None]:
    """The file and, if it was asked for by name, its catalog row.

    A catalog name goes before a folder of the same name; `./default` is the folder.
    """
    text = str(name_or_path)
    path = Path(name_or_path).expanduser()
    is_known = ALIASES.get(text, text) in MODELS
    if isinstance(name_or_path, str) and text.startswith(_REMOTE):
        return _fetched(text, on_progress), None
    looks_like_path = isinstance(name_or_path, Path) or path.suffix in SUFFIXES or "/" in text or "\\" in text
    if looks_like_path or (not is_known and path.exists()):
        return path, None
    entry = lookup(text)
    return _fetched(entry.name, on_progress), entry


def _fetched(name: str, on_progress: Progress | None) -> Path:
    # a machine lent for training reads files only, and need not have what downloads them
    from segma.checkpoints.hub import fetch

    return fetch(name, on_progress=on_progress)


def _from_checkpoint(checkpoint: Checkpoint, entry: Entry | None) -> LoadedModel:
    """A network with the weights of a checkpoint; of the size that its row promises, if it has a row."""
    path = checkpoint.origin
    found = identify(checkpoint.shapes, checkpoint.metadata)
    wanted = found if entry is None else _promised(entry, found)
    module = _skeleton(wanted)
    fit(module, _official(checkpoint.tensors, found), path, looks_like=advice(found, wanted))
    licence = checkpoint.metadata.get(LICENCE_KEY) or _UNKNOWN_LICENCE
    return LoadedModel(
        module=_ready(module),
        config=wanted.config,
        name=entry.name if entry else path.stem,
        system=wanted.system,
        variant=wanted.variant,
        files=checkpoint.files,
        licence=entry.licence if entry else licence,
        note=entry.note if entry else "",
    )


def _promised(entry: Entry, found: Detection) -> Detection:
    config = config_module(find_system(entry.system)).VARIANTS[entry.variant]
    # what does not count as size, such as where codes come from, the file knows better
    config = found.config if found.config == config else config
    return replace(found, system=entry.system, variant=entry.variant, config=config)


def _official(tensors: Mapping[str, Tensor], found: Detection) -> dict[str, Tensor]:
    layout = layout_module(find_system(found.system))
    return layout.to_official(layout.strip_wrapping(tensors))


def _skeleton(found: Detection) -> nn.Module:
    """The network with shapes and no numbers."""
    with torch.device("meta"):
        return build(find_system(found.system), found.config)


def _ready(module: nn.Module) -> nn.Module:
    """The filled network for evaluation; buffers that no checkpoint holds are computed by the network."""
    reset_buffers = getattr(module, "reset_buffers", None)
    if callable(reset_buffers):
        reset_buffers()
    hollow = [
        name for name, tensor in (*module.named_parameters(), *module.named_buffers()) if tensor.is_meta
    ]
    assert not hollow, f"without numbers after loading: {hollow}"
    return module.eval().requires_grad_(False)


def _hash_of(files: tuple[Path, ...]) -> str:
    """sha256 of the one file; of several, that of their names and hashes."""
    hashes = [file_hashes(file, ["sha256"])["sha256"] for file in files]
    if len(files) == 1:
        return hashes[0]
    lines = (f"{file.name} {value}\n" for file, value in zip(files, hashes, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
