"""Rounds of questions about objects: prompts, answers, their losses, the next correction.

Shared by the steps on pictures and on clips; SAM appendix A and SAM 2 section 12 of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from segma.models.interfaces import Decoded, ImageFeatures, PromptTensors
from segma.models.sam2.model import Sam2
from segma.tasks.choice import best_candidate, first_candidate
from segma.training.clicks import next_clicks
from segma.training.config import TrainConfig
from segma.training.losses.masks import (
    at_places,
    iou_of,
    mask_costs,
    matched_loss,
    overlap_loss,
    quality_loss,
)

# Logits that are fed back stay within this, as in tracking.
_CLAMP = 32.0
# The logit of a mask that is given.
_CERTAIN = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What is true of each prompt: up to three masks that it may mean, the asked one first.

    `known` says which of the three there are; where one is not, the asked one stands in its place. `tight` is
    False where masks are loose, so that a predicted IoU would learn their looseness.
    """

    places: Float[Tensor, "n 3 p 2"]
    inside: Float[Tensor, "n 3 p"]
    weights: Float[Tensor, "n 3 p"]
    known: Bool[Tensor, "n 3"]
    masks: UInt8[Tensor, "n size size"]
    tight: Float[Tensor, " n"]

    @classmethod
    def single(
        cls,
        places: Float[Tensor, "n p 2"],
        inside: Bool[Tensor, "n p"],
        weights: Float[Tensor, "n p"],
        masks: UInt8[Tensor, "n size size"],
    ) -> Truth:
        """The truth of prompts that can mean one mask only."""
        known = torch.tensor([True, False, False], device=masks.device).expand(len(masks), 3)
        return cls(
            places=places[:, None].expand(-1, 3, -1, -1),
            inside=inside[:, None].float().expand(-1, 3, -1),
            weights=weights[:, None].expand(-1, 3, -1),
            known=known,
            masks=masks,
            tight=torch.ones(len(masks), device=masks.device),
        )


@dataclass(slots=True)
class Asking:
    """Prompts of one kind (all begin with a click, all with a box, or all with nothing) while they grow."""

    features: ImageFeatures  # one for each prompt
    coords: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None
    logits: Tensor | None = None

    @classmethod
    def clicks(cls, features: ImageFeatures, xy: Float[Tensor, "n 2"]) -> Asking:
        """Questions that begin with a click on the object."""
        ones = torch.ones(len(xy), 1, dtype=torch.long, device=xy.device)
        return cls(features, xy[:, None], ones)

    @classmethod
    def nothing(cls, features: ImageFeatures, count: int, before: Tensor | None = None) -> Asking:
        """Questions without a prompt, as on tracked frames: one padding point, and the masks `before`."""
        device = features.embedding.device
        coords = torch.zeros(count, 1, 2, device=device)
        return cls(features, coords, torch.full((count, 1), -1, device=device), None, before)

    @property
    def is_ambiguous(self) -> bool:
        """Whether the candidates answer: to one click alone, or to nothing, as on tracked frames."""
        if self.boxes is not None or self.coords is None or self.labels is None or self.coords.shape[1] > 1:
            return False
        return self.logits is None or bool((self.labels < 0).all())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the network said: the chosen masks' logits, their losses and IoUs with the asked truth."""

    decoded: Decoded
    chosen: Tensor  # (n): the number of the mask
    logits: Float[Tensor, "n 1 side side"]
    loss: Float[Tensor, " n"]
    iou: Float[Tensor, " n"]
    best_iou: Float[Tensor, " n"]


def ask(model: Sam2, asking: Asking, truth: Truth, config: TrainConfig) -> Answer:
    """One round: mask and IoU losses of every prompt (presence is each step's own)."""
    prompts = PromptTensors(asking.coords, asking.labels, asking.boxes, asking.logits)
    decoded = model.decode(asking.features, prompts)
    drawn = model.render_all(decoded)
    if asking.is_ambiguous:
        first = first_candidate(model.input_spec)
        loss, iou = _candidate_losses(decoded, drawn, truth, config, first)
        chosen = best_candidate(model, decoded)
        rows = torch.arange(len(chosen), device=chosen.device)
        return Answer(
            decoded, chosen, drawn[rows, chosen][:, None], loss, iou[rows, chosen - first], iou.amax(1)
        )
    loss, iou = _single_losses(decoded, drawn, truth, config)
    return Answer(decoded, torch.zeros_like(loss, dtype=torch.long), drawn[:, :1], loss, iou, iou)


def logits_of(masks: UInt8[Tensor, "n size size"], side: int) -> Float[Tensor, "n 1 side side"]:
    """Logits of masks that are given, as a session would keep them."""
    return F.interpolate(masks[:, None].float(), (side, side), mode="area") * (2 * _CERTAIN) - _CERTAIN


def presence_loss(decoded: Decoded, present: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Cross-entropy of the object score."""
    assert decoded.object_score is not None
    return F.binary_cross_entropy_with_logits(decoded.object_score, present, reduction="none")


def correct(
    asking: Asking, answer: Answer, truth: Truth, config: TrainConfig, generator: torch.Generator
) -> None:
    """Add the next click, and feed the answer back (now and then not)."""
    logits = answer.logits.detach()
    xy, labels = next_clicks(truth.masks, logits[:, 0], inner=config.prompts.inner, generator=generator)
    clicked = asking.coords is not None and asking.labels is not None and bool((asking.labels[0] >= 0).all())
    if clicked and asking.coords is not None and asking.labels is not None:
        asking.coords = torch.cat([asking.coords, xy[:, None]], 1)
        asking.labels = torch.cat([asking.labels, labels[:, None]], 1)
    else:
        asking.coords, asking.labels = xy[:, None], labels[:, None]
    fed = float(torch.rand((), generator=generator)) < config.prompts.feed_back
    asking.logits = logits.clamp(-_CLAMP, _CLAMP) if fed else None


def _candidate_losses(
    decoded: Decoded, drawn: Tensor, truth: Truth, config: TrainConfig, first: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n masks"]]:
    """Losses of the candidates from number `first` on, and their IoUs with the asked truth."""
    logits = at_places(drawn[:, first:], truth.places, truth.masks.shape[-1])
    costs = mask_costs(logits[:, 1 - first :], truth.inside, truth.weights, config.losses)
    loss = matched_loss(costs, truth.known, config.losses.others)
    asked = logits[:, :, 0]
    inside, weights = (each[:, :1].expand_as(asked) for each in (truth.inside, truth.weights))
    if first == 0:
        loss = loss + config.losses.hedge * overlap_loss(asked[:, 0], inside[:, 0], weights[:, 0])
    iou = iou_of(asked, inside, weights)
    quality = quality_loss(decoded.predicted_iou[:, first:], iou).mean(1) * truth.tight
    return loss + config.losses.iou * quality, iou


def _single_losses(
    decoded: Decoded, drawn: Tensor, truth: Truth, config: TrainConfig
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Losses of mask 0, and its IoU."""
    logits = at_places(drawn[:, :1], truth.places[:, :1], truth.masks.shape[-1])
    costs = mask_costs(logits, truth.inside[:, :1], truth.weights[:, :1], config.losses)[:, 0, 0]
    iou = iou_of(logits[:, 0, 0], truth.inside[:, 0], truth.weights[:, 0])
    quality = quality_loss(decoded.predicted_iou[:, 0], iou) * truth.tight
    return costs + config.losses.iou * quality, iou
