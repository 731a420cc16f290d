"""What a step of a generator is given: codes or latents with sentences, or pixels with classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int, Shaped, UInt8
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceBatch:
    """Codes or latents that were made before, and the words of what they show (ids, zeros after the last).

    Codes are (rows, codes), latents (rows, channels, h, w).
    """

    values: Shaped[Tensor, "rows ..."]
    words: Int[Tensor, "rows sentence"]
    unreadable: int = 0

    @property
    def pixels(self) -> Tensor:
        """What stands here for pictures, by which rows are counted."""
        return self.values

    @property
    def asked(self) -> Int[Tensor, "rows sentence"]:
        """What the rows are asked for."""
        return self.words

    def to(self, device: torch.device) -> SentenceBatch:
        """The batch on a device."""
        return replace(self, values=self.values.to(device), words=self.words.to(device))


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledBatch:
    """Pictures (clips of one frame) or clips, and their classes (-1: none is known)."""

    pixels: UInt8[Tensor, "rows frames 3 size size"]
    labels: Int[Tensor, " rows"]
    unreadable: int = 0

    @property
    def asked(self) -> Int[Tensor, " rows"]:
        """What the rows are asked for."""
        return self.labels

    def to(self, device: torch.device) -> LabelledBatch:
        """The batch on a device."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))


GeneratorBatch = SentenceBatch | LabelledBatch
