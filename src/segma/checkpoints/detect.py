"""Which system and variant a checkpoint is, from its names and shapes alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from torch import nn

from segma.errors import ModelError
from segma.models.catalog import System, all_models, all_systems, find_system

# Keys of a checkpoint's metadata. The first two are ours; the others hold a config.json beside the weights,
# and the arguments of the program that trained them.
SYSTEM_KEY = "segma_system"
CONFIG_KEY = "segma_config"
HUB_CONFIG_KEY = "config.json"
ARGUMENTS_KEY = "arguments"

T = TypeVar("T")
Shapes = Mapping[str, tuple[int, ...]]

_NAMES_SHOWN = 3


@runtime_checkable
class ConfigModule(Protocol):
    """What every system's config module offers. A config is that system's own dataclass."""

    VARIANTS: Mapping[str, Any]

    def to_json_dict(self, config: Any) -> dict[str, Any]:
        """The fields as plain JSON values."""
        ...

    def from_json_dict(self, values: Mapping[str, Any]) -> Any:
        """The config of `to_json_dict`, checked."""
        ...


@runtime_checkable
class LayoutModule(Protocol):
    """What every system's layout module offers; all of it works on tensors and on shapes."""

    def layout_of(self, names: Iterable[str]) -> str | None:
        """Which naming these are."""
        ...

    def strip_wrapping(self, state: Mapping[str, T]) -> dict[str, T]:
        """Names without the prefixes of training programs."""
        ...

    def to_official(self, state: Mapping[str, T]) -> dict[str, T]:
        """The entries under official names."""
        ...

    def to_transformers(self, state: Mapping[str, T]) -> dict[str, T]:
        """The entries under transformers names."""
        ...

    def detect(self, shapes: Shapes) -> Any:
        """The config of a network with these official names, or None."""
        ...

    def transformers_config(self, config: Any) -> dict[str, Any]:
        """The config.json of the transformers layout."""
        ...

    def with_transformers_config(self, config: Any, values: Mapping[str, Any]) -> Any:
        """The config, with what only a config.json can say."""
        ...


@runtime_checkable
class ReadsArguments(Protocol):
    """What the layout module of a system offers whose files hold arguments that matter."""

    def with_arguments(self, config: Any, values: Mapping[str, Any]) -> Any:
        """The config, with what only the arguments of the training program can say."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """What a checkpoint is: `config` holds its sizes, `variant` its name where the sizes have one.

    `layout` is "official" or "transformers".
    """

    system: str
    variant: str | None
    config: Any  # each system's own dataclass
    layout: str

    @property
    def label(self) -> str:
        """The name of the variant, or the system for sizes without a name."""
        return self.variant or f"{self.system} of unusual size"


def identify(shapes: Shapes, metadata: Mapping[str, str]) -> Detection:
    """What a checkpoint is, by what we wrote into its metadata if we did, else by `detect`.

    Whether the tensors agree with it is for `match.fit` to say. `ModelError` model.unreadable, or
    model.unknown for a system that this build lacks.
    """
    if SYSTEM_KEY not in metadata or CONFIG_KEY not in metadata:
        return _refined(detect(shapes), metadata)
    system = find_system(metadata[SYSTEM_KEY])
    config = config_module(system).from_json_dict(_json_object(metadata[CONFIG_KEY], CONFIG_KEY))
    layout = layout_module(system)
    naming = layout.layout_of(layout.strip_wrapping(shapes))
    if naming is None:
        raise _unknown(shapes)
    variant = variant_name(system, config)
    return Detection(system=system.name, variant=variant, config=config, layout=naming)


def detect(shapes: Shapes) -> Detection:
    """The system whose layout recognises these names and shapes, tried in the order of the catalog.

    `ModelError` model.unreadable when none does; it shows some of the names.
    """
    for system in all_systems().values():
        layout = layout_module(system)
        bare = layout.strip_wrapping(shapes)
        naming = layout.layout_of(bare)
        config = layout.detect(layout.to_official(bare)) if naming else None
        if naming and config is not None:
            return Detection(
                system=system.name, variant=variant_name(system, config), config=config, layout=naming
            )
    raise _unknown(shapes)


def advice(found: Detection, wanted: Detection) -> str:
    """What a file that was taken for another looks like, and the name to ask for instead."""
    if found == wanted or found.variant is None:
        return found.label
    rows = (row for row in all_models().values() if row.system == found.system and row.family)
    row = next((row for row in rows if row.variant == found.variant), None)
    return f"{row.family if row else found.label}, try --model {row.name if row else found.variant}"


def variant_name(system: System, config: Any) -> str | None:  # each system's own dataclass
    """The name of the variant with exactly these sizes."""
    variants = config_module(system).VARIANTS
    return next((name for name, known in variants.items() if known == config), None)


def config_module(system: System) -> ConfigModule:
    """The module with the sizes of a system."""
    return cast("ConfigModule", import_module(system.config_module))  # modules have no declared type


def layout_module(system: System) -> LayoutModule:
    """The module with the names of a system."""
    return cast("LayoutModule", import_module(system.layout_module))  # modules have no declared type


def build(system: System, config: Any) -> nn.Module:  # each system's own dataclass
    """The network of a config, as the current default device makes it."""
    module: nn.Module = getattr(import_module(system.model_module), system.model_class)(config)
    return module


def _refined(found: Detection, metadata: Mapping[str, str]) -> Detection:
    """The detection, with what only the config.json beside the weights, or arguments in them, can say."""
    system, config = find_system(found.system), found.config
    layout = layout_module(system)
    if HUB_CONFIG_KEY in metadata:
        values = _json_object(metadata[HUB_CONFIG_KEY], HUB_CONFIG_KEY)
        config = layout.with_transformers_config(config, values)
    if ARGUMENTS_KEY in metadata and isinstance(layout, ReadsArguments):
        config = layout.with_arguments(config, _json_object(metadata[ARGUMENTS_KEY], ARGUMENTS_KEY))
    return replace(found, config=config, variant=variant_name(system, config))


def _json_object(text: str, key: str) -> dict[str, Any]:  # JSON
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError("model.unreadable", f"{key} of the checkpoint is broken JSON ({error}).") from error
    if not isinstance(values, dict):
        raise ModelError("model.unreadable", f"{key} of the checkpoint is no JSON object.")
    return cast("dict[str, Any]", values)  # JSON


def _unknown(shapes: Shapes) -> ModelError:
    shown = ", ".join(list(shapes)[:_NAMES_SHOWN]) + ", ..." * (len(shapes) > _NAMES_SHOWN)
    return ModelError(
        "model.unreadable",
        f"Its tensors ({len(shapes)}) belong to no model that segma knows: {shown}",
        "See: segma model list",
    )
