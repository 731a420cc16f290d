"""The sizes of a SAM network, and the sizes of the ones that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, cast

from segma.errors import ModelError

# A file may say anything: beyond these, building the network would only waste the reader's time.
_LIMIT = 1 << 16
_LIMITS = MappingProxyType({"encoder_depth": 512, "decoder_depth": 512, "num_multimask": 64})


@dataclass(frozen=True, kw_only=True, slots=True)
class SamConfig:
    """Which weights exist: everything that decides a name or a shape in the state dict.

    Raises `ModelError` model.unreadable when the numbers contradict each other.
    """

    encoder_width: int
    """Channels of an image token."""
    encoder_depth: int
    """Blocks of the image encoder."""
    encoder_heads: int
    """Attention heads of each encoder block."""
    encoder_mlp_dim: int
    """Hidden channels of the encoder's MLP; officially 4 times the width."""
    global_blocks: tuple[int, ...]
    """Indices, from 0, of the blocks that attend over the whole image."""
    window_size: int = 14
    """Side of the attention window of the other blocks, in tokens."""
    patch_size: int = 16
    """Side of the square that becomes one token, in pixels."""
    image_size: int = 1024
    """Side of the square input, in pixels."""
    dim: int = 256
    """Channels of the image embedding, of prompt tokens and of the decoder."""
    decoder_depth: int = 2
    """Layers of the two-way transformer."""
    decoder_heads: int = 8
    """Attention heads of the two-way transformer; no tensor shows this number."""
    decoder_mlp_dim: int = 2048
    """Hidden channels of the decoder's MLP."""
    mask_channels: int = 16
    """Channels of a mask prompt before its last convolution."""
    iou_hidden_dim: int = 256
    """Hidden channels of the head that guesses the IoU."""
    num_multimask: int = 3
    """Masks of the ambiguous set; the single mask comes on top."""

    def __post_init__(self) -> None:
        """Check what the parts need of each other."""
        for field in fields(self):
            if field.name != "global_blocks":
                _check_size(field.name, getattr(self, field.name))
        blocks = self.global_blocks
        if not all(0 <= index < self.encoder_depth for index in blocks):
            raise _bad(f"global_blocks {blocks} are not all within 0..{self.encoder_depth - 1}")
        if len(set(blocks)) < len(blocks):
            raise _bad(f"global_blocks {blocks} name a block twice")
        for whole, part in (
            ("encoder_width", "encoder_heads"),
            ("image_size", "patch_size"),
            ("dim", "decoder_heads"),
        ):
            if getattr(self, whole) % getattr(self, part):
                raise _bad(f"{whole} {getattr(self, whole)} is no multiple of {part} {getattr(self, part)}")
        if (self.dim // 2) % self.decoder_heads or self.dim % 8 or self.mask_channels % 4:
            raise _bad(f"dim {self.dim} or mask_channels {self.mask_channels} cannot be split as needed")

    @property
    def grid_size(self) -> int:
        """Side of the image embedding, in tokens."""
        return self.image_size // self.patch_size

    @property
    def head_dim(self) -> int:
        """Channels of one encoder head."""
        return self.encoder_width // self.encoder_heads


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_size(name: str, value: object) -> None:
    limit = _LIMITS.get(name, _LIMIT)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= limit:
        raise _bad(f"{name} is {value!r}, not a whole number from 1 to {limit}")


def _bad(what: str) -> ModelError:
    return ModelError("model.unreadable", f"A SAM configuration makes no sense: {what}.")


VARIANTS: Mapping[str, SamConfig] = MappingProxyType(
    {
        "sam_vit_b": SamConfig(
            encoder_width=768,
            encoder_depth=12,
            encoder_heads=12,
            encoder_mlp_dim=3072,
            global_blocks=(2, 5, 8, 11),
        ),
        "sam_vit_l": SamConfig(
            encoder_width=1024,
            encoder_depth=24,
            encoder_heads=16,
            encoder_mlp_dim=4096,
            global_blocks=(5, 11, 17, 23),
        ),
        "sam_vit_h": SamConfig(
            encoder_width=1280,
            encoder_depth=32,
            encoder_heads=16,
            encoder_mlp_dim=5120,
            global_blocks=(7, 15, 23, 31),
        ),
        "sam_vit_demo": SamConfig(
            encoder_width=192,
            encoder_depth=4,
            encoder_heads=3,
            encoder_mlp_dim=768,
            global_blocks=(1, 3),
        ),
    }
)


def to_json_dict(config: SamConfig) -> dict[str, Any]:  # JSON
    """The fields as plain JSON values."""
    return {**asdict(config), "global_blocks": list(config.global_blocks)}


def from_json_dict(values: Mapping[str, Any]) -> SamConfig:  # JSON
    """The config of `to_json_dict`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    known = {field.name: field.default for field in fields(SamConfig)}
    unknown = sorted(str(name) for name in values.keys() - known.keys())
    lacking = [name for name, default in known.items() if default is MISSING and name not in values]
    if unknown or lacking:
        what = f"it has no field {unknown[0]}" if unknown else f"{lacking[0]} is not given"
        raise _bad(what)
    given: dict[str, Any] = dict(values)  # JSON
    blocks: Any = given.pop("global_blocks")  # JSON
    if not isinstance(blocks, list | tuple) or not all(map(_is_int, cast("list[Any]", blocks))):
        raise _bad("global_blocks is not a list of whole numbers")
    for name, value in given.items():
        _check_size(name, value)
    return SamConfig(**given, global_blocks=tuple(cast("list[int]", blocks)))
