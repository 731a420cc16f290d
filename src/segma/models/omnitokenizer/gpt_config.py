"""The sizes of a language model over codes, and those of the official ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from segma.models import sizes
from segma.models.omnitokenizer.gpt_words import CLASSES, SENTENCE, WORDS

NAME = "OmniTokenizer language model"
BARE, WORDED = "codes", "words"
ORDERS = ("class_start", "start_class", BARE, WORDED)
_LIMIT = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class GptConfig:
    """A language model over codes. Raises `ModelError` model.unreadable when the numbers contradict."""

    vocabulary: int = 9193
    """Start symbol, classes or words, and codes."""
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
    codes themselves ("codes"), nothing; in training a 0, which is also a code. Ours: "words", as many places
    as `sentence` says, those after the last word filled with 0, and then a 0."""
    num_classes: int = 0
    """Classes; none in the order "codes". In the order "words" they are asked for by their names."""
    class_names: tuple[str, ...] = ()
    """What the classes are called, where it is known."""
    side: int = 32
    """Rows and columns of codes of a latent frame."""
    parity: bool = True
    """Whether to sample with the slips of the official program, by which official weights were measured; see
    `tasks.sample_codes`."""
    words: tuple[str, ...] = ()
    """The words of sentences, of the order "words"."""
    sentence: int = 0
    """Places for words before the codes."""
    tied: bool = False
    """Whether ids are told by the vectors that they are read as (ours)."""
    axes: bool = False
    """Whether the place of a code is the sum of those of its latent frame, row and column (ours)."""
    neighbours: bool = False
    """Whether the codes above the next one, and in its place in the latent frame before, are read beside the
    last one (ours)."""
    tokenizer: str = field(default="", compare=False)
    """The hash of the weights of the tokenizer whose codes were learned; "" where it is not known."""

    def __post_init__(self) -> None:
        """Check sizes, and that order and classes fit each other."""
        for name in ("vocabulary", "block", "dim", "layers", "heads", "side"):
            sizes.check_size(NAME, name, getattr(self, name), _LIMIT)
        sizes.check_multiple(NAME, self, "dim", "heads")
        if self.order not in ORDERS:
            sizes.refuse(NAME, f"order is {self.order!r}, not one of {', '.join(ORDERS)}")
        if (self.order == BARE) != (self.num_classes == 0) and self.order != WORDED:
            sizes.refuse(NAME, f"{self.num_classes} classes in the order {self.order}")
        if not (self.order == WORDED) == bool(self.words) == bool(self.sentence):
            told = f"{len(self.words)} words, {self.sentence} places for them"
            sizes.refuse(NAME, f"{told} in the order {self.order}")
        if self.words and not len(self.words) < self.vocabulary - 1:
            sizes.refuse(NAME, f"{len(self.words)} words in a vocabulary of {self.vocabulary}")
        if self.sentence:
            sizes.check_size(NAME, "sentence", self.sentence, _LIMIT)
        if self.codes_at_most < 1:
            sizes.refuse(NAME, f"{self.block} positions leave no place for codes")
        if self.words and self.num_classes and not self.class_names:
            sizes.refuse(NAME, f"{self.num_classes} classes that words ask for have no names")
        if self.axes and self.codes_at_most % self.side**2:
            sizes.refuse(NAME, f"{self.codes_at_most} places are no whole latent frames")
        if self.num_classes and not 0 < self.num_classes < self.vocabulary - 1:
            sizes.refuse(NAME, f"{self.num_classes} classes in a vocabulary of {self.vocabulary}")
        if self.class_names and len(self.class_names) != self.num_classes:
            sizes.refuse(NAME, f"{len(self.class_names)} names of {self.num_classes} classes")

    @property
    def before(self) -> int:
        """Ids that stand before the first code."""
        if self.order == WORDED:
            return self.sentence + 1
        return 1 if self.order == BARE else 2

    @property
    def codes_at_most(self) -> int:
        """Codes that there are positions for; nothing follows on the last one."""
        return self.block + 1 - self.before

    @property
    def first_code(self) -> int:
        """The id of code 0."""
        return 0 if self.order == BARE else 1 + (len(self.words) or self.num_classes)


_OFFICIAL = GptConfig(order="class_start", num_classes=1000)

_SMALL = GptConfig(
    vocabulary=1 + len(WORDS) + 4096, block=SENTENCE + 256, dim=192, layers=4, heads=6, order=WORDED,
    num_classes=len(CLASSES), class_names=CLASSES, side=16, parity=False, words=WORDS, sentence=SENTENCE,
    tied=True, axes=True, neighbours=True,
)  # fmt: skip

VARIANTS: Mapping[str, GptConfig] = MappingProxyType(
    {
        "omnitokenizer_gpt_imagenet": _OFFICIAL,
        "omnitokenizer_gpt_ucf": replace(
            _OFFICIAL, vocabulary=8294, block=5121, order="start_class", num_classes=101
        ),
        "omnitokenizer_gpt_k600": GptConfig(vocabulary=8192, block=5120),
        "omnitokenizer_gpt_small": _SMALL,
    }
)
"""Images of a class, clips of a class, and what follows on a clip (specification, section 7); and a small one
of ours that makes worlds by a sentence."""


def to_json_dict(config: GptConfig) -> dict[str, Any]:  # JSON
    """The config as plain JSON values."""
    return sizes.to_json(config)


def from_json_dict(values: Mapping[str, Any]) -> GptConfig:  # JSON
    """The config of `to_json_dict`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    return sizes.from_json(GptConfig, NAME, values)
