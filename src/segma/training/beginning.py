"""Where a network begins: a size by its name, weights of the right kind, and the tokenizer beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from segma.checkpoints.load import LoadedModel, load
from segma.errors import ModelError
from segma.models.interfaces import VisualTokenizer
from segma.training.config import TrainConfig

_Sizes = TypeVar("_Sizes")
_Module = TypeVar("_Module", bound=nn.Module)


def size_named(config: TrainConfig, variants: Mapping[str, _Sizes]) -> _Sizes:
    """The variant that the config names. Raises ModelError for one that is not there."""
    if config.variant not in variants:
        raise ModelError("model.unknown", f'No size "{config.variant}".', f"Sizes: {', '.join(variants)}.")
    return variants[config.variant]


def weights_named(config: TrainConfig, kind: type[_Module], system: str) -> tuple[LoadedModel, _Module]:
    """What the config starts from, and its module. Raises ModelError where it is of another system."""
    found = load(config.start)
    if not isinstance(found.module, kind):
        raise ModelError("model.task", f"{found.name} is of the system {found.system}, not {system}.")
    return found, found.module


def copied(module: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def tokenizer_named(name: str, setting: str) -> tuple[LoadedModel, VisualTokenizer]:
    """The tokenizer that a setting names, and its module. Raises ModelError where it is none."""
    found = load(name)
    if not isinstance(found.module, VisualTokenizer):
        raise ModelError("model.task", f"{found.name} is no tokenizer.", f"Name one: {setting}=FILE.")
    return found, found.module
