"""The sizes of a network that enlarges pictures with the help of their tokens (ours)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from segma.models import sizes

NAME = "enhancer"


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhancerConfig:
    """A residual network on pixels and latents. Raises `ModelError` model.unreadable for wrong numbers."""

    dim: int = 48
    """Channels of a pixel."""
    blocks: int = 8
    """Residual blocks of two convolutions."""
    channels: int = 8
    """Numbers of a latent token; 0 for a network that looks at pixels alone."""
    patch: int = 8
    """Side of what a token stands for, in pixels; no tensor shows it."""
    scales: tuple[int, ...] = (2, 4)
    """How many times larger a picture can get, each with a head of its own."""
    tokenizer: str = field(default="", compare=False)
    """The hash of the weights of the tokenizer whose latents were learned; "" where it is not known."""

    def __post_init__(self) -> None:
        """Check sizes."""
        sizes.check_size(NAME, "dim", self.dim)
        sizes.check_size(NAME, "blocks", self.blocks, sizes.DEPTH_LIMIT)
        sizes.check_size(NAME, "patch", self.patch)
        if self.channels != 0:
            sizes.check_size(NAME, "channels", self.channels)
        if not self.scales or list(self.scales) != sorted(set(self.scales)):
            sizes.refuse(NAME, f"scales {self.scales}, not a list in order")
        for scale in self.scales:
            sizes.check_size(NAME, "scales", scale, 16)


VARIANTS: Mapping[str, EnhancerConfig] = MappingProxyType(
    {
        "omnitokenizer_enhancer_small": EnhancerConfig(dim=32),
        "omnitokenizer_enhancer_pixels": EnhancerConfig(dim=32, channels=0),
    }
)
"""A small one of ours, and the same without tokens, to be compared with."""


def to_json_dict(config: EnhancerConfig) -> dict[str, Any]:  # JSON
    """The config as plain JSON values."""
    return sizes.to_json(config)


def from_json_dict(values: Mapping[str, Any]) -> EnhancerConfig:  # JSON
    """The config of `to_json_dict`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    return sizes.from_json(EnhancerConfig, NAME, values, zeros=("channels",))
