"""What of an OmniTokenizer checkpoint is the network, and what its names and shapes tell.

There is one naming, "official". A released file also holds what only training needs: two discriminators, the
network of the perceptual loss and, in the KL models, a codebook; `to_official` leaves them out. Everything
here is pure and works on shapes as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isqrt
from typing import Any, Literal, TypeVar, cast

from torch import Tensor

from segma.errors import ModelError
from segma.models.naming import Shape, count_blocks
from segma.models.omnitokenizer.config import MOVING_WINDOW, NAME, PLAIN, WINDOW, OmniTokenizerConfig
from segma.models.omnitokenizer.official_only import (
    strip_wrapping,
    to_transformers,
    transformers_config,
    with_transformers_config,
)

__all__ = [
    "detect",
    "layout_of",
    "shape_of",
    "strip_wrapping",
    "to_official",
    "to_transformers",
    "transformers_config",
    "usual_heads",
    "with_arguments",
    "with_transformers_config",
]

T = TypeVar("T")

_FIRST = "encoder.to_patch_emb_first_frame."
_TRAINING = ("image_discriminator.", "video_discriminator.", "perceptual_model.")
_CODEBOOK = "codebook."
_JOINT, _SHORTCUT = "pre_kl_conv.1.weight", "shortcut.to_numbers.0.weight"
_MOVING = "encoder.enc_temporal_transformer.layers.0.5.4.weight"
_NUMBERS, _CHANNELS = "pre_vq_conv.1.weight", "post_vq_conv.1.weight"

# Fields of the config, and the transformers whose layers they name.
_STACKS = (
    ("encoder_spatial", "encoder.enc_spatial_transformer."),
    ("encoder_temporal", "encoder.enc_temporal_transformer."),
    ("decoder_temporal", "decoder.dec_temporal_transformer."),
    ("decoder_spatial", "decoder.dec_spatial_transformer."),
)
# Training arguments that no tensor shows, with what they must be. The first two have an old, misspelt name;
# an argument that a file does not have is as it must be.
_WANTED = (
    (("causal_in_temporal_transformer", "casual_in_temporal_transformer"), True),
    (("causal_in_peg", "casual_in_peg"), True),
    (("l2_code",), True),
    (("defer_temporal_pool",), False),
    (("defer_spatial_pool",), False),
    (("use_external_codebook",), False),
    (("gen_upscale",), None),
)


def layout_of(names: Iterable[str]) -> Literal["official"] | None:
    """Which naming these are, by the name of the first frame's patch embedding; None when it is another."""
    return "official" if any(name.startswith(_FIRST) for name in names) else None


def to_official(state: Mapping[str, T]) -> dict[str, T]:
    """The entries that belong to the network, without those of training."""
    unused = (*_TRAINING, _CODEBOOK) if _is_continuous(state) else _TRAINING
    return {name: value for name, value in state.items() if not name.startswith(unused)}


def detect(shapes: Mapping[str, Shape]) -> OmniTokenizerConfig | None:
    """The sizes of the network with these official names and shapes; None when it is no OmniTokenizer.

    Everything is read from shapes but `attention_bias` and `temporal_memory`, which none shows: they are as
    usual (of released weights only `imagenet_only` needs the bias: it must be asked for by its name).
    """
    try:
        return OmniTokenizerConfig(**_seen(shapes))
    except (KeyError, IndexError, ValueError, ZeroDivisionError, ModelError):
        return None  # a name is not there, a shape has other axes, or the sizes contradict each other


def with_arguments(config: OmniTokenizerConfig, values: Mapping[str, Any]) -> OmniTokenizerConfig:  # JSON
    """The config, held to the arguments of the official training program where no tensor shows a thing.

    Old files have `casual_` for `causal_`. Raises `ModelError` model.unreadable where they ask for something
    that the network lacks.
    """
    for names, wanted in _WANTED:
        if names == ("l2_code",) and config.is_continuous:
            continue
        for name in names:
            if values.get(name, wanted) != wanted:
                raise ModelError(
                    "model.unreadable",
                    f"The file was trained with {name} = {values[name]!r}; segma has {NAME} with {wanted!r}.",
                )
    return config


def _seen(shapes: Mapping[str, Shape]) -> dict[str, Any]:  # fields of a config
    """The fields that shapes show."""
    dim, frame = shapes[_FIRST + "2.weight"]
    stacks = {field: _letters(shapes, prefix) for field, prefix in _STACKS}
    attention = "encoder.enc_temporal_transformer.layers.0.1."
    head_dim = shapes[attention + "q_scale"][0]
    tables = [shape[0] for name, shape in shapes.items() if name.endswith(".relative_position_bias_table")]
    continuous = _is_continuous(shapes)
    usual = OmniTokenizerConfig()
    codes = shapes.get(_CODEBOOK + "embeddings", (usual.num_codes,))[0]
    return stacks | {
        "dim": dim,
        "heads": shapes[attention + "to_q.weight"][0] // head_dim,
        "head_dim": head_dim,
        "mlp_dim": shapes["encoder.enc_temporal_transformer.layers.0.3.4.weight"][1],
        "patch": isqrt(frame // 3),
        "temporal_patch": shapes["encoder.to_patch_emb.2.weight"][1] // frame,
        "window": (isqrt(tables[0]) + 1) // 2 if tables else usual.window,
        "code_dim": shapes[_CHANNELS][1],
        "num_codes": 0 if continuous else codes,
        "spatial_position": "relative" if _has_bias(shapes, "spatial") else "rope",
        "temporal_layout": "official" if _has_bias(shapes, "temporal") else "causal",
        "pixel_norm": _FIRST + "1.weight" in shapes,
        "joint": _JOINT in shapes,
        "shortcut": _SHORTCUT in shapes,
        "moving": _MOVING in shapes,
    }


def _letters(shapes: Mapping[str, Shape], prefix: str) -> str:
    """The kinds of the layers of a transformer, one letter each."""
    count = count_blocks(shapes, rf"{re.escape(prefix)}layers\.(\d+)\.3\.0\.weight")
    return "".join(_letter(shapes, f"{prefix}layers.{index}.") for index in range(count))


def _letter(shapes: Mapping[str, Shape], layer: str) -> str:
    if layer + "1.relative_position_bias_table" not in shapes:
        return PLAIN
    return MOVING_WINDOW if layer + "0.dsconv.weight" in shapes else WINDOW


def _has_bias(shapes: Iterable[str], axis: str) -> bool:
    """Whether the plain layers over space or over time have a network for relative biases."""
    return any(f"_{axis}_transformer." in name and ".spatial_rel_pos_bias." in name for name in shapes)


def _is_continuous(state: Mapping[str, T]) -> bool:
    """Whether the bottleneck gets twice as many numbers as it has channels: means and variances."""
    if _NUMBERS not in state or _CHANNELS not in state:
        return False
    numbers, channels = shape_of(state[_NUMBERS]), shape_of(state[_CHANNELS])
    return len(channels) == 2 and bool(numbers) and numbers[0] == 2 * channels[1]


def usual_heads(dim: int, head_dim: int) -> int:
    """Heads of a width that shows none: a divisor of it, of about so many channels each."""
    wanted = max(1, dim // head_dim)
    return next(heads for heads in range(wanted, 0, -1) if dim % heads == 0)


def shape_of(value: object) -> Shape:
    """The shape of a tensor, or the shape itself."""
    return tuple(value.shape) if isinstance(value, Tensor) else cast("Shape", value)
