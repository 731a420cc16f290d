"""The sizes of a SAM network, and the sizes of the ones that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from segma.models import sizes

NAME = "SAM"
_LIMITS = MappingProxyType(
    {"encoder_depth": sizes.DEPTH_LIMIT, "decoder_depth": sizes.DEPTH_LIMIT, "num_multimask": 64}
)


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
                limit = _LIMITS.get(field.name, sizes.LIMIT)
                sizes.check_size(NAME, field.name, getattr(self, field.name), limit)
        blocks = self.global_blocks
        if not all(0 <= index < self.encoder_depth for index in blocks):
            sizes.refuse(NAME, f"global_blocks {blocks} are not all within 0..{self.encoder_depth - 1}")
        if len(set(blocks)) < len(blocks):
            sizes.refuse(NAME, f"global_blocks {blocks} name a block twice")
        for whole, part in (
            ("encoder_width", "encoder_heads"),
            ("image_size", "patch_size"),
            ("dim", "decoder_heads"),
        ):
            sizes.check_multiple(NAME, self, whole, part)
        if (self.dim // 2) % self.decoder_heads or self.dim % 8 or self.mask_channels % 4:
            sizes.refuse(
                NAME, f"dim {self.dim} or mask_channels {self.mask_channels} cannot be split as needed"
            )

    @property
    def grid_size(self) -> int:
        """Side of the image embedding, in tokens."""
        return self.image_size // self.patch_size

    @property
    def head_dim(self) -> int:
        """Channels of one encoder head."""
        return self.encoder_width // self.encoder_heads


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
    return sizes.to_json(config)


def from_json_dict(values: Mapping[str, Any]) -> SamConfig:  # JSON
    """The config of `to_json_dict`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    return sizes.from_json(SamConfig, NAME, values)
