"""A step of a language model: the cross entropy of each code after those before (section 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from segma.models.interfaces import VisualTokenizer
from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import BARE, WORDED, GptConfig
from segma.training.code_batch import LabelledBatch, SentenceBatch
from segma.training.made_codes import encoded
from segma.training.steps.result import StepResult


class Speaker(nn.Module):
    """A language model in training; the tokenizer, of which nothing is learned, is not saved with the run."""

    def __init__(self, network: Gpt, tokenizer: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.unsaved = (tokenizer,)  # in a tuple, so that it is none of the module's own

    def codes_of(self, batch: SentenceBatch | LabelledBatch) -> Int[Tensor, "rows codes"]:
        """The codes of a batch, on its device."""
        if isinstance(batch, SentenceBatch):
            return batch.codes
        (tokenizer,) = self.unsaved
        tokenizer.to(batch.pixels.device)
        assert isinstance(tokenizer, VisualTokenizer)
        with torch.autocast(batch.pixels.device.type, enabled=False):  # the codes that everybody gets
            codes = encoded(tokenizer, batch.pixels)
        return codes.clone()  # not of inference mode: gradients go through


def language_step(
    speaker: Speaker, batch: SentenceBatch | LabelledBatch, blank: float, generator: torch.Generator
) -> StepResult:
    """The mean loss of a batch, in nats a code; a share of `blank` rows is not asked for anything."""
    codes = speaker.codes_of(batch)
    asked = batch.words if isinstance(batch, SentenceBatch) else batch.labels
    is_blank = (torch.rand(len(codes), generator=generator) < blank).to(codes.device)
    loss = nats(speaker.network, codes, asked, is_blank)
    return StepResult(loss, {"nats": float(loss.detach())})


def nats(
    network: Gpt,
    codes: Int[Tensor, "rows codes"],
    asked: Int[Tensor, "rows ..."],
    is_blank: Bool[Tensor, " rows"],
) -> Float[Tensor, ""]:
    """The mean cross entropy of codes after the words or classes of their rows, but for the blank ones.

    What is no code is never drawn from weights of ours, and has no share here.
    """
    config = network.config
    ids, shown = _begun(config, asked, is_blank)
    ids = torch.cat([ids, codes[:, :-1] + config.first_code], 1)
    if shown is not None:
        shown = F.pad(shown, (0, ids.shape[1] - shown.shape[1]), value=True)
    last = config.before - 1
    is_late = config.order == "start_class"  # there a class that is left out leaves a gap before the codes
    logits = network(ids, shown, since=last - is_late)
    if is_late:
        first = torch.where(is_blank[:, None], logits[:, 0], logits[:, 1])
        logits = torch.cat([first[:, None], logits[:, 2:]], 1)
    logits = logits[..., config.first_code :].float()
    return F.cross_entropy(logits.flatten(0, 1), codes.flatten())


def _begun(config: GptConfig, asked: Tensor, is_blank: Tensor) -> tuple[Tensor, Tensor | None]:
    """What stands before the codes, and which of it is there (None: all)."""
    start = torch.zeros(len(asked), 1, dtype=torch.long, device=asked.device)
    if config.order == BARE:
        return start, None
    if config.order == WORDED:
        return torch.cat([asked.masked_fill(is_blank[:, None], 0), start], 1), None
    there, always = ~is_blank[:, None], torch.ones_like(start, dtype=torch.bool)
    classes = (1 + asked[:, None]).masked_fill(~there, 0)
    comes_first = config.order == "class_start"
    pairs = ((classes, start), (there, always)) if comes_first else ((start, classes), (always, there))
    ids, shown = (torch.cat(pair, 1) for pair in pairs)
    return ids, shown
