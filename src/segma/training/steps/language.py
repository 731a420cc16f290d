"""What a language model learns by: the cross entropy of each code after those before (section 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor, nn

from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import BARE, WORDED, GptConfig
from segma.training.steps.result import StepResult


def cross_entropy(
    network: nn.Module,
    values: Int[Tensor, "rows codes"],
    asked: Int[Tensor, "rows ..."],
    is_blank: Bool[Tensor, " rows"],
    chance: torch.Generator,
) -> StepResult:
    """The mean cross entropy, in nats a code, of codes after the words or classes of their rows.

    What is no code is never drawn from weights of ours, and has no share here.
    """
    assert isinstance(network, Gpt)
    config = network.config
    ids, shown = _begun(config, asked, is_blank)
    ids = torch.cat([ids, values[:, :-1] + config.first_code], 1)
    if shown is not None:
        shown = F.pad(shown, (0, ids.shape[1] - shown.shape[1]), value=True)
    last = config.before - 1
    is_late = config.order == "start_class"  # there a class that is left out leaves a gap before the codes
    logits = network(ids, shown, since=last - is_late)
    if is_late:
        first = torch.where(is_blank[:, None], logits[:, 0], logits[:, 1])
        logits = torch.cat([first[:, None], logits[:, 2:]], 1)
    logits = logits[..., config.first_code :].float()
    loss = F.cross_entropy(logits.flatten(0, 1), values.flatten())
    return StepResult(loss, {"nats": float(loss.detach())})


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
