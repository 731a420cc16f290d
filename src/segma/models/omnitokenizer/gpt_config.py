"""The sizes of a language model over codes, and those of the official ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from segma.models import sizes

NAME = "OmniTokenizer language model"
ORDERS = ("class_start", "start_class", "codes")
_LIMIT = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class GptConfig:
    """A language model over codes. Raises `ModelError` model.unreadable when the numbers contradict."""

    vocabulary: int = 9193
    """Start symbol, classes and codes."""
    block: int = 1025
    """Positions."""
    dim: int = 1536
    """Channels of a token."""
    layers: int = 24
    """Blocks."""
    heads: int = 16
    """Attention heads; no tensor shows them."""
    order: str = "codes"
    """What stands before the codes: "class_start" (ImageNet), "start_class" (UCF-101), or, where ids are the
    codes themselves ("codes"), nothing; in training a 0, which is also a code."""
    num_classes: int = 0
    """Classes; none in the order "codes"."""
    class_names: tuple[str, ...] = ()
    """What the classes are called, where it is known."""
    side: int = 32
    """Rows and columns of codes of a latent frame."""
    parity: bool = True
    """Whether to sample with the slips of the official program, by which official weights were measured; see
    `tasks.sample_codes`."""

    def __post_init__(self) -> None:
        """Check sizes, and that order and classes fit each other."""
        for name in ("vocabulary", "block", "dim", "layers", "heads", "side"):
            sizes.check_size(NAME, name, getattr(self, name), _LIMIT)
        sizes.check_multiple(NAME, self, "dim", "heads")
        if self.order not in ORDERS:
            sizes.refuse(NAME, f"order is {self.order!r}, not one of {', '.join(ORDERS)}")
        if (self.order == ORDERS[-1]) != (self.num_classes == 0):
            sizes.refuse(NAME, f"{self.num_classes} classes in the order {self.order}")
        if self.num_classes and not 0 < self.num_classes < self.vocabulary - 1:
            sizes.refuse(NAME, f"{self.num_classes} classes in a vocabulary of {self.vocabulary}")
        if self.class_names and len(self.class_names) != self.num_classes:
            sizes.refuse(NAME, f"{len(self.class_names)} names of {self.num_classes} classes")


_OFFICIAL = GptConfig(order="class_start", num_classes=1000)

VARIANTS: Mapping[str, GptConfig] = MappingProxyType(
    {
        "omnitokenizer_gpt_imagenet": _OFFICIAL,
        "omnitokenizer_gpt_ucf": replace(
            _OFFICIAL, vocabulary=8294, block=5121, order="start_class", num_classes=101
        ),
        "omnitokenizer_gpt_k600": GptConfig(vocabulary=8192, block=5120),
    }
)
"""Images of a class, clips of a class, and what follows on a clip (specification, section 7)."""


def to_json_dict(config: GptConfig) -> dict[str, Any]:  # JSON
    """The config as plain JSON values."""
    return sizes.to_json(config)


def from_json_dict(values: Mapping[str, Any]) -> GptConfig:  # JSON
    """The config of `to_json_dict`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    return sizes.from_json(GptConfig, NAME, values)
