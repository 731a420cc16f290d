"""The sizes of a diffusion transformer on latents, and those of the official ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from segma.models import sizes
from segma.models.omnitokenizer.gpt_words import CLASSES, SENTENCE, WORDS

NAME = "diffusion transformer"


@dataclass(frozen=True, kw_only=True, slots=True)
class DitConfig:
    """A diffusion transformer on latents. Raises `ModelError` model.unreadable for wrong numbers."""

    channels: int = 8
    """Numbers of a latent token."""
    side: int = 32
    """Rows and columns of a latent."""
    patch: int = 2
    """Side of a patch of it."""
    groups: int = 0
    """Latent frames, of a model of clips (Latte); 0 for one of images (DiT)."""
    dim: int = 1152
    """Channels of a token."""
    layers: int = 28
    """Blocks; of a model of clips every other one attends over time."""
    heads: int = 16
    """Attention heads; no tensor shows them."""
    num_classes: int = 1000
    """Classes; one more row is for none. With words they are asked for by their names."""
    class_names: tuple[str, ...] = ()
    """What the classes are called, where it is known."""
    latent_scale: float = 0.18215
    """What latents of the tokenizer are multiplied by before noise is added."""
    guided_channels: int = 0
    """Channels of the noise that guidance changes; 0: all. Officially 3 (DiT) and 4 (Latte) of 8."""
    cover: int = 0
    """Shares of the cover x cover parts of each latent token that the thing covers, -1 to 1, are made first,
    and then the latents beside them (ours). 0: the latents at once."""
    outline_dim: int = 0
    """Channels of the network of outlines, a whole one being one vector."""
    outline_layers: int = 0
    """Its blocks."""
    near: bool = False
    """Whether each block begins with a convolution of each channel with its eight neighbours (ours)."""
    velocity: bool = False
    """Whether velocities (Salimans and Ho 2022, section 4) are found, and not, as officially, noise."""
    words: tuple[str, ...] = ()
    """The words of sentences, of a network that is asked by them (ours)."""
    sentence: int = 0
    """Places for words."""
    tokenizer: str = field(default="", compare=False)
    """The hash of the weights of the tokenizer whose latents were learned; "" where it is not known."""

    @property
    def seen_channels(self) -> int:
        """Channels of what is looked at: the latents', then the outline's parts, row by row."""
        return self.channels + self.cover**2

    def __post_init__(self) -> None:
        """Check sizes."""
        for name in ("channels", "side", "patch", "dim", "layers", "heads", "num_classes"):
            sizes.check_size(NAME, name, getattr(self, name))
        for name in ("groups", "guided_channels", "cover", "outline_dim", "outline_layers"):
            if getattr(self, name) != 0:
                sizes.check_size(NAME, name, getattr(self, name))
        if self.guided_channels > self.channels:
            sizes.refuse(NAME, f"guidance of {self.guided_channels} of {self.channels} channels")
        if not bool(self.cover) == bool(self.outline_dim) == bool(self.outline_layers):
            sizes.refuse(NAME, "outlines want cover, outline_dim and outline_layers together")
        if self.groups and (self.cover or self.near):
            sizes.refuse(NAME, "outlines and neighbours are of pictures, not of clips")
        if bool(self.words) != bool(self.sentence):
            sizes.refuse(NAME, f"{len(self.words)} words, {self.sentence} places for them")
        if self.sentence:
            sizes.check_size(NAME, "sentence", self.sentence)
        if self.words and not self.class_names:
            sizes.refuse(NAME, f"{self.num_classes} classes that words ask for have no names")
        if self.class_names and len(self.class_names) != self.num_classes:
            sizes.refuse(NAME, f"{len(self.class_names)} names of {self.num_classes} classes")
        if not 0 < self.latent_scale < float("inf"):
            sizes.refuse(NAME, f"latents times {self.latent_scale}")
        for whole, part in (("dim", "heads"), ("side", "patch")):
            sizes.check_multiple(NAME, self, whole, part)
        if self.dim % 4:
            sizes.refuse(NAME, f"dim {self.dim} is no multiple of 4")


VARIANTS: Mapping[str, DitConfig] = MappingProxyType(
    {
        "omnitokenizer_dit_xl": DitConfig(guided_channels=3),
        "omnitokenizer_latte_xl": DitConfig(groups=5, num_classes=101, guided_channels=4),
        "omnitokenizer_dit_small": DitConfig(
            side=16, dim=160, layers=3, heads=5, num_classes=len(CLASSES), class_names=CLASSES,
            latent_scale=0.55, cover=2, outline_dim=224, outline_layers=3, near=True, velocity=True,
            words=WORDS, sentence=SENTENCE,
        ),
    }
)  # fmt: skip
"""DiT-XL/2 on images, Latte-XL/2 on clips (specification, section 9); and a small one of ours that makes
worlds by a sentence."""


def to_json_dict(config: DitConfig) -> dict[str, Any]:  # JSON
    """The config as plain JSON values."""
    return sizes.to_json(config)


def from_json_dict(values: Mapping[str, Any]) -> DitConfig:  # JSON
    """The config of `to_json_dict`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    return sizes.from_json(DitConfig, NAME, values)
