"""Which of the decoder's masks is the answer: the single one, or the best of several where that is unsure."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from segma.models.interfaces import Decoded, InputSpec, Promptable


def first_candidate(spec: InputSpec) -> int:
    """The lowest number of the masks that one click may mean: 1, or 0 where the single mask hedges."""
    return 0 if spec.hedges else 1


def best_candidate(model: Promptable, decoded: Decoded) -> Int[Tensor, " batch"]:
    """The number of the mask of highest predicted IoU among those one click may mean, for every prompt."""
    first = first_candidate(model.input_spec)
    return first + decoded.predicted_iou[:, first:].argmax(1)


def single_masks(model: Promptable, decoded: Decoded) -> Int[Tensor, " batch"]:
    """0 for every prompt, or the best ambiguous mask where the single one is unsure (SAM 2 section 4).

    Which is unsure is the model's `dynamic_choice`; without one the single mask always stands.
    """
    batch, device = len(decoded.predicted_iou), decoded.predicted_iou.device
    zeros = torch.zeros(batch, dtype=torch.long, device=device)
    choice = model.dynamic_choice
    if choice is None:
        return zeros
    logits = model.render_masks(decoded, torch.arange(batch, device=device), zeros)
    sure = stability(logits, choice.offset) >= choice.threshold
    return torch.where(sure, zeros, best_candidate(model, decoded))


def stability(logits: Float[Tensor, "batch side side"], offset: float) -> Float[Tensor, " batch"]:
    """Pixels above the offset over pixels above its negative; 1 where there are none."""
    inner = (logits > offset).flatten(1).sum(1).float()
    outer = (logits > -offset).flatten(1).sum(1).float()
    return torch.where(outer > 0, inner / outer.clamp(min=1), torch.ones_like(outer))
