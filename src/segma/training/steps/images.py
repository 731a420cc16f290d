"""A training step on pictures: encode once, ask about many objects, correct a few times (SAM appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from segma.models.interfaces import Decoded, ImageFeatures, PromptTensors
from segma.models.sam2.model import Sam2
from segma.tasks.preprocess import normalize
from segma.training.batch import ImageBatch
from segma.training.clicks import next_clicks
from segma.training.config import TrainConfig
from segma.training.losses.masks import at_places, iou_of, mask_costs, matched_loss


@dataclass(frozen=True, slots=True)
class StepResult:
    """The loss to go back from, and numbers to log (detached)."""

    loss: Float[Tensor, ""]
    numbers: dict[str, float]


@dataclass(slots=True)
class _Asking:
    """Prompts of one kind (all begin with a click, or all with a box) while they grow."""

    rows: Int[Tensor, " n"]  # of the batch's asked objects
    features: ImageFeatures  # one for each prompt
    coords: Tensor | None
    labels: Tensor | None
    boxes: Tensor | None
    logits: Tensor | None = None


def image_step(model: Sam2, batch: ImageBatch, config: TrainConfig, generator: torch.Generator) -> StepResult:
    """The loss of a batch: all rounds of all prompts, averaged over objects and rounds."""
    pixels = normalize(batch.pixels.float(), model.input_spec)
    features = model.encode_image(pixels)
    losses: list[Tensor] = []
    numbers: dict[str, list[Tensor]] = {}
    for by_box in (False, True):
        rows = torch.nonzero(batch.by_box == by_box)[:, 0]
        if not len(rows):
            continue
        asking = _begin(batch, rows, features, by_box=by_box)
        for number in range(config.prompts.rounds):
            loss, found = _round(model, batch, asking, config, generator, first=number == 0)
            losses.append(loss.sum() / config.prompts.rounds)
            kind = (
                "box" if by_box and number == 0 else f"{'box+' if by_box else 'click'}{number + 1 - by_box}"
            )
            for name, value in found.items():
                numbers.setdefault(f"{name}/{kind}", []).append(value)
    loss = torch.stack(losses).sum() / max(1, len(batch.asked))
    return StepResult(loss, {name: float(torch.cat(values).mean()) for name, values in numbers.items()})


def _begin(batch: ImageBatch, rows: Int[Tensor, " n"], features: ImageFeatures, *, by_box: bool) -> _Asking:
    pictures = batch.picture[batch.asked[rows]]
    own = ImageFeatures(features.embedding[pictures], tuple(level[pictures] for level in features.fine))
    if by_box:
        return _Asking(rows, own, None, None, batch.boxes[rows])
    ones = torch.ones(len(rows), 1, dtype=torch.long, device=rows.device)
    return _Asking(rows, own, batch.clicks[rows][:, None], ones, None)


def _round(
    model: Sam2,
    batch: ImageBatch,
    asking: _Asking,
    config: TrainConfig,
    generator: torch.Generator,
    *,
    first: bool,
) -> tuple[Float[Tensor, " n"], dict[str, Tensor]]:
    """Losses of one round, IoUs to log; afterwards `asking` holds the next correction."""
    prompts = PromptTensors(asking.coords, asking.labels, asking.boxes, asking.logits)
    decoded = model.decode(asking.features, prompts)
    drawn = model.render_all(decoded)
    several = first and asking.boxes is None
    if several:
        loss, iou, chosen = _candidate_losses(decoded, drawn, batch, asking.rows, config)
        found = {"iou": iou.gather(1, chosen[:, None])[:, 0], "best_iou": iou.amax(1)}
        answer = drawn[:, 1:].gather(1, chosen.view(-1, 1, 1, 1).expand(-1, 1, *drawn.shape[2:]))
    else:
        loss, iou = _single_losses(decoded, drawn, batch, asking.rows, config)
        found, answer = {"iou": iou}, drawn[:, :1]
    if decoded.object_score is not None:
        presence = F.binary_cross_entropy_with_logits(
            decoded.object_score, torch.ones_like(decoded.object_score), reduction="none"
        )
        loss = loss + config.losses.presence * presence
    _correct(asking, answer.detach(), batch, config, generator)
    return loss, {name: value.detach() for name, value in found.items()}


def _candidate_losses(
    decoded: Decoded, drawn: Tensor, batch: ImageBatch, rows: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of the three candidates, their IoUs with the asked truth, and the one the model prefers."""
    under = batch.under[rows]
    known = under >= 0
    truths = torch.where(known, under, under[:, :1])
    logits = at_places(drawn[:, 1:], batch.places[truths], batch.masks.shape[-1])
    inside, weights = batch.inside[truths].float(), batch.weights[truths]
    costs = mask_costs(logits, inside, weights, config.losses)
    asked = (
        logits[:, :, 0],
        inside[:, :1].expand_as(logits[:, :, 0]),
        weights[:, :1].expand_as(logits[:, :, 0]),
    )
    iou = iou_of(*asked)
    predicted = decoded.predicted_iou[:, 1:]
    tight = (~batch.loose[rows]).float()
    quality = (predicted - iou).abs().mean(1) * tight
    loss = matched_loss(costs, known, config.losses.others) + config.losses.iou * quality
    return loss, iou, predicted.detach().argmax(1)


def _single_losses(
    decoded: Decoded, drawn: Tensor, batch: ImageBatch, rows: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Losses of mask 0, and its IoU."""
    truths = batch.asked[rows]
    logits = at_places(drawn[:, :1], batch.places[truths][:, None], batch.masks.shape[-1])
    inside, weights = batch.inside[truths][:, None].float(), batch.weights[truths][:, None]
    costs = mask_costs(logits, inside, weights, config.losses)[:, 0, 0]
    iou = iou_of(logits[:, 0, 0], inside[:, 0], weights[:, 0])
    tight = (~batch.loose[rows]).float()
    quality = (decoded.predicted_iou[:, 0] - iou).abs() * tight
    return costs + config.losses.iou * quality, iou


def _correct(
    asking: _Asking, answer: Tensor, batch: ImageBatch, config: TrainConfig, generator: torch.Generator
) -> None:
    """Add the next click, and feed the answer back (now and then not)."""
    xy, labels = next_clicks(
        batch.masks[asking.rows], answer[:, 0], inner=config.prompts.inner, generator=generator
    )
    if asking.coords is None or asking.labels is None:
        asking.coords, asking.labels = xy[:, None], labels[:, None]
    else:
        asking.coords = torch.cat([asking.coords, xy[:, None]], 1)
        asking.labels = torch.cat([asking.labels, labels[:, None]], 1)
    fed = float(torch.rand((), generator=generator)) < config.prompts.feed_back
    asking.logits = answer if fed else None
