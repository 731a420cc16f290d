"""What of a language model's checkpoint is the network, and what its names and shapes tell.

There is one naming, "official". A released file holds the tokenizer as well, under `TOKENIZER_PREFIX`, and
with each block a mask of positions that nothing reads; `to_official` leaves both out. Everything here is pure
and works on shapes as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar

from segma.errors import ModelError
from segma.models.naming import Shape, count_blocks, strip_prefixes
from segma.models.omnitokenizer.gpt_config import VARIANTS, GptConfig
from segma.models.omnitokenizer.layout import usual_heads
from segma.models.omnitokenizer.official_only import (
    to_transformers,
    transformers_config,
    with_transformers_config,
)

__all__ = [
    "TOKENIZER_PREFIX",
    "detect",
    "layout_of",
    "strip_wrapping",
    "to_official",
    "to_transformers",
    "transformers_config",
    "with_arguments",
    "with_transformers_config",
]

T = TypeVar("T")

TOKENIZER_PREFIX = "first_stage_model."
_OTHERS = (TOKENIZER_PREFIX, "cond_stage_model.")
_UNUSED = ".attn.mask"
_MARK = "blocks.0.attn.key.weight"
_WRAPPINGS = ("module.", "model.", "_orig_mod.", "transformer.")
# Channels of a head in the official sizes.
_HEAD_DIM = 96


def layout_of(names: Iterable[str]) -> Literal["official"] | None:
    """Which naming these are, by a name of the first block; None when it is another."""
    return "official" if _MARK in set(names) else None


def strip_wrapping(state: Mapping[str, T]) -> dict[str, T]:
    """The same entries without the prefixes that training code puts before names."""
    return strip_prefixes(state, _WRAPPINGS)


def to_official(state: Mapping[str, T]) -> dict[str, T]:
    """The entries that belong to the network, without the tokenizer and the masks."""
    kept = (name for name in state if not name.startswith(_OTHERS) and not name.endswith(_UNUSED))
    return {name: state[name] for name in kept}


def detect(shapes: Mapping[str, Shape]) -> GptConfig | None:
    """The sizes of the network with these official names and shapes; None when it is no such language model.

    No tensor shows the heads: they are those of the variant of this width, else a guess in its manner, which
    the arguments of the training program put right (`with_arguments`). Nor do they show the classes: they are
    those of the variant of this vocabulary and length, else none. Of ours the variant of this vocabulary.
    """
    try:
        vocabulary, dim = shapes["tok_emb.weight"]
        if "places.rows" in shapes:
            return next(each for each in VARIANTS.values() if each.axes and each.vocabulary == vocabulary)
        block = shapes["pos_emb"][1]
        alike = next((known.heads for known in VARIANTS.values() if known.dim == dim), None)
        sizes = (vocabulary, block)
        known = next(
            (each for each in VARIANTS.values() if (each.vocabulary, each.block) == sizes), GptConfig()
        )
        return replace(
            known,
            vocabulary=vocabulary,
            block=block,
            dim=dim,
            layers=count_blocks(shapes, r"blocks\.(\d+)\.ln1\.weight"),
            heads=alike or usual_heads(dim, _HEAD_DIM),
        )
    except (KeyError, IndexError, ValueError, StopIteration, ModelError):
        return None  # a name is not there, a shape has other axes, or the sizes contradict each other


def with_arguments(config: GptConfig, values: Mapping[str, Any]) -> GptConfig:  # JSON
    """The config with the heads of the arguments of the official training program.

    Raises `ModelError` model.unreadable where the width is no multiple of them.
    """
    heads = values.get("n_head")
    return replace(config, heads=heads) if isinstance(heads, int) else config
