"""What the names and shapes of a diffusion transformer's checkpoint tell (DiT on images, Latte on clips).

There is one naming, "official". Everything here is pure and works on shapes as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isqrt
from types import MappingProxyType
from typing import Literal

from segma.errors import ModelError
from segma.models.naming import Shape, count_blocks
from segma.models.omnitokenizer.dit_config import VARIANTS, DitConfig
from segma.models.omnitokenizer.layout import usual_heads
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

_MARKS = frozenset({"x_embedder.proj.weight", "blocks.0.adaLN_modulation.1.weight"})
# Heads by width in the sizes S, B, L and XL (Peebles and Xie 2023, table 1).
_HEADS = MappingProxyType({384: 6, 768: 12, 1024: 16, 1152: 16})
_HEAD_DIM = 64


def layout_of(names: Iterable[str]) -> Literal["official"] | None:
    """Which naming these are, by two names that go together; None when it is another."""
    return "official" if set(names) >= _MARKS else None


def detect(shapes: Mapping[str, Shape]) -> DitConfig | None:
    """The sizes of the network with these official names and shapes; None when it is no such transformer.

    No tensor shows the heads: they are those of the published size of this width, else a guess; nor what is
    guided: all channels, but as officially in the two official sizes. Of ours the variant of this width and
    so many words.
    """
    try:
        dim, channels, patch, _ = shapes["x_embedder.proj.weight"]
        if "y_embedder.words.weight" in shapes:
            words = shapes["y_embedder.words.weight"][0] - 1
            return next(each for each in VARIANTS.values() if (each.dim, len(each.words)) == (dim, words))
        found = DitConfig(
            channels=channels,
            side=isqrt(shapes["pos_embed"][1]) * patch,
            patch=patch,
            groups=shapes["temp_embed"][1] if "temp_embed" in shapes else 0,
            dim=dim,
            layers=count_blocks(shapes, r"blocks\.(\d+)\.attn\.qkv\.weight"),
            heads=_HEADS.get(dim) or usual_heads(dim, _HEAD_DIM),
            num_classes=shapes["y_embedder.embedding_table.weight"][0] - 1,
        )
        return next((known for known in VARIANTS.values() if _sizes(known) == found), found)
    except (KeyError, IndexError, ValueError, StopIteration, ModelError):
        return None  # a name is not there, a shape has other axes, or the sizes contradict each other


def _sizes(config: DitConfig) -> DitConfig:
    """The config without what no tensor shows."""
    return replace(config, guided_channels=0)
