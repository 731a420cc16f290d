"""A training step on pictures: encode once, ask about many objects, correct a few times (SAM appendix A)."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from segma.models.interfaces import ImageFeatures
from segma.models.sam2.model import Sam2
from segma.tasks.preprocess import normalize
from segma.training.batch import FIRST, ImageBatch
from segma.training.config import TrainConfig
from segma.training.heads import Student
from segma.training.losses.likeness import likeness_loss
from segma.training.steps.asking import Asking, Truth, ask, correct, logits_of, presence_loss
from segma.training.steps.result import StepResult


def image_step(
    model: Sam2,
    batch: ImageBatch,
    config: TrainConfig,
    generator: torch.Generator,
    student: Student | None = None,
) -> StepResult:
    """The loss of a batch: all rounds of all prompts, averaged over objects and rounds.

    `student` has the heads that learn beside, if there are any.
    """
    features = model.encode_image(normalize(batch.pixels.float(), model.input_spec))
    losses: list[Tensor] = []
    numbers: dict[str, float] = {}
    for place, first in enumerate(FIRST):
        rows = torch.nonzero(batch.first == place)[:, 0]
        if not len(rows):
            continue
        asking, truth = _begin(batch, rows, features, first), _truth(batch, rows)
        present = torch.ones(len(rows), device=rows.device)
        for number in range(config.prompts.rounds):
            answer = ask(model, asking, truth, config)
            loss = answer.loss + config.losses.presence * presence_loss(answer.decoded, present)
            losses.append(loss.sum() / config.prompts.rounds)
            kind = _kind(number, first)
            numbers[f"iou/{kind}"] = float(answer.iou.mean())
            if asking.is_ambiguous:
                numbers[f"best_iou/{kind}"] = float(answer.best_iou.mean())
            correct(asking, answer, truth, config, generator)
    loss = torch.stack(losses).sum() / max(1, len(batch.asked))
    if config.losses.likeness:
        levels, size = (features.embedding, *features.fine), batch.pixels.shape[-1]
        unlike = likeness_loss(levels, batch.picture, batch.places, batch.inside, size)
        numbers["likeness"] = float(unlike.detach())
        loss = loss + config.losses.likeness * unlike
    if student is not None:
        beside = student.losses(features, batch)
        numbers |= {"edges": float(beside.edges.detach()), "names": float(beside.names.detach())}
        loss = loss + config.losses.edges * beside.edges + config.losses.names * beside.names
    return StepResult(loss, numbers)


def _kind(number: int, first: str) -> str:
    """What was said by round `number`: click1, click2, ..., box, box+1, ..., mask, mask+1, ..."""
    if first == "click":
        return f"click{number + 1}"
    return f"{first}+{number}" if number else first


def _begin(batch: ImageBatch, rows: Int[Tensor, " n"], features: ImageFeatures, first: str) -> Asking:
    pictures = batch.picture[batch.asked[rows]]
    own = ImageFeatures(features.embedding[pictures], tuple(level[pictures] for level in features.fine))
    if first == "box":
        return Asking(own, boxes=batch.boxes[rows])
    if first == "click":
        return Asking.clicks(own, batch.clicks[rows])
    return Asking.nothing(own, len(rows), logits_of(batch.before[rows], features.fine[0].shape[-1]))


def _truth(batch: ImageBatch, rows: Int[Tensor, " n"]) -> Truth:
    under = batch.under[rows]
    known = under >= 0
    truths = torch.where(known, under, under[:, :1])
    return Truth(
        places=batch.places[truths],
        inside=batch.inside[truths].float(),
        weights=batch.weights[truths],
        known=known,
        masks=batch.masks[rows],
        tight=(~batch.loose[rows]).float(),
    )
