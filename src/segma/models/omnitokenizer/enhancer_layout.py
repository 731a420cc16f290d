"""What the names and shapes of an enhancer's checkpoint tell.

There is one naming, "official". Everything here is pure and works on shapes as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from segma.errors import ModelError
from segma.models.naming import Shape, count_blocks, strip_prefixes
from segma.models.omnitokenizer.enhancer_config import NAME, EnhancerConfig
from segma.models.omnitokenizer.layout import refuse_transformers

T = TypeVar("T")

_STEM, _LATENTS = "stem.weight", "from_latents.weight"
_MARKS = frozenset({_STEM, "blocks.0.first.weight"})
_WRAPPINGS = ("module.", "model.", "_orig_mod.")


def layout_of(names: Iterable[str]) -> Literal["official"] | None:
    """Which naming these are, by two names that go together; None when it is another."""
    return "official" if set(names) >= _MARKS else None


def strip_wrapping(state: Mapping[str, T]) -> dict[str, T]:
    """The same entries without the prefixes that training code puts before names."""
    return strip_prefixes(state, _WRAPPINGS)


def to_official(state: Mapping[str, T]) -> dict[str, T]:
    """The entries as they are."""
    return dict(state)


def to_transformers(state: Mapping[str, T]) -> dict[str, T]:
    """`ModelError` model.mismatch: transformers knows no such network."""
    refuse_transformers(NAME)


def transformers_config(config: EnhancerConfig) -> dict[str, Any]:  # JSON
    """`ModelError` model.mismatch: transformers knows no such network."""
    refuse_transformers(NAME)


def with_transformers_config(config: EnhancerConfig, values: Mapping[str, Any]) -> EnhancerConfig:  # JSON
    """The config as it is: no config.json belongs to these weights."""
    return config


def detect(shapes: Mapping[str, Shape]) -> EnhancerConfig | None:
    """The sizes of the network with these official names and shapes; None when it is no enhancer."""
    try:
        scales = [
            name.split(".")[1] for name in shapes if name.startswith("heads.") and name.endswith("weight")
        ]
        return EnhancerConfig(
            dim=shapes[_STEM][0],
            blocks=count_blocks(shapes, r"blocks\.(\d+)\.first\.weight"),
            channels=shapes[_LATENTS][1] if _LATENTS in shapes else 0,
            scales=tuple(sorted(int(each) for each in scales)),
        )
    except (KeyError, IndexError, ValueError, ModelError):
        return None  # a name is not there, a shape has other axes, or the sizes contradict each other
