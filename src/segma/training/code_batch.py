"""What a step of a language model is given: codes with sentences, or pixels with classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceBatch:
    """Codes that were made before, and the words of what they show (ids, zeros after the last)."""

    codes: Int[Tensor, "rows codes"]
    words: Int[Tensor, "rows sentence"]
    unreadable: int = 0

    @property
    def pixels(self) -> Tensor:
        """What stands here for pictures, by which rows are counted."""
        return self.codes

    def to(self, device: torch.device) -> SentenceBatch:
        """The batch on a device."""
        return replace(self, codes=self.codes.to(device), words=self.words.to(device))


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledBatch:
    """Pictures (clips of one frame) or clips, and their classes (-1: none is known)."""

    pixels: UInt8[Tensor, "rows frames 3 size size"]
    labels: Int[Tensor, " rows"]
    unreadable: int = 0

    def scaled(self) -> Float[Tensor, "rows 3 frames size size"]:
        """The pixels as a tokenizer takes them, -0.5 to 0.5."""
        return self.pixels.float().transpose(1, 2) / 255 - 0.5

    def to(self, device: torch.device) -> LabelledBatch:
        """The batch on a device."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))
