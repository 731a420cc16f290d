"""What the names and shapes of an enhancer's checkpoint tell.

There is one naming, "official". Everything here is pure and works on shapes as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from segma.errors import ModelError
from segma.models.naming import Shape, count_blocks
from segma.models.omnitokenizer.enhancer_config import EnhancerConfig
from segma.models.omnitokenizer.official_only import (
    strip_wrapping,
    to_official,
    to_transformers,
    transformers_config,
    with_transformers_config,
)

__all__ = [
    "detect",
    "layout_of",
    "strip_wrapping",
    "to_official",
    "to_transformers",
    "transformers_config",
    "with_transformers_config",
]

_STEM, _LATENTS = "stem.weight", "from_latents.weight"
_MARKS = frozenset({_STEM, "blocks.0.first.weight"})


def layout_of(names: Iterable[str]) -> Literal["official"] | None:
    """Which naming these are, by two names that go together; None when it is another."""
    return "official" if set(names) >= _MARKS else None


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
