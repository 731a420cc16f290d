"""A step of any generator: values of a batch, some rows asked for nothing, and the loss of its kind."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor, nn

from segma.models.interfaces import VisualTokenizer
from segma.training.batch import scaled
from segma.training.generator_batch import GeneratorBatch, SentenceBatch
from segma.training.steps.result import StepResult

Loss = Callable[[nn.Module, Tensor, Tensor, Tensor, torch.Generator], StepResult]
"""What a kind of generator learns by: the mean over rows for a network, the rows' values, what they are asked
for, which of them are asked for nothing (bool), and chance, which is on the CPU."""


class GeneratorStudent(nn.Module):
    """A generator in training; the tokenizer, of which nothing is learned, is not saved with the run."""

    def __init__(self, network: nn.Module, tokenizer: nn.Module, *, latents: bool) -> None:
        super().__init__()
        self.network, self.latents = network, latents
        self.unsaved = (tokenizer,)  # in a tuple, so that it is none of the module's own

    def values_of(self, batch: GeneratorBatch) -> Shaped[Tensor, "rows ..."]:
        """The codes or latents of a batch, on its device."""
        if isinstance(batch, SentenceBatch):
            return batch.values.float() if self.latents else batch.values
        (tokenizer,) = self.unsaved
        tokenizer.to(batch.pixels.device)
        assert isinstance(tokenizer, VisualTokenizer)
        with torch.autocast(batch.pixels.device.type, enabled=False):  # the values that everybody gets
            values = encoded(tokenizer, batch.pixels, latents=self.latents)
        return values.clone()  # not of inference mode: gradients go through


@torch.inference_mode()
def encoded(
    tokenizer: VisualTokenizer, pixels: UInt8[Tensor, "rows frames 3 size size"], *, latents: bool = False
) -> Shaped[Tensor, "rows ..."]:
    """The codes of pictures or clips, (rows, codes), on their device.

    Or their most likely latents, as diffusion takes them: (rows, channels, h, w), of clips (rows, groups,
    channels, h, w).
    """
    if not latents:
        return tokenizer.encode_codes(scaled(pixels)).flatten(1)
    found = tokenizer.encode_latent(scaled(pixels)).movedim(-1, 2)
    return found[:, 0] if pixels.shape[1] == 1 else found


def generator_step(
    student: GeneratorStudent, batch: GeneratorBatch, blank: float, chance: torch.Generator, loss: Loss
) -> StepResult:
    """The loss of a batch, of which a share of `blank` rows is asked for nothing."""
    values = student.values_of(batch)
    is_blank = (torch.rand(len(values), generator=chance) < blank).to(values.device)
    return loss(student.network, values, batch.asked, is_blank, chance)
