"""The choice among the masks of one click at several scales, learned when the masks are finished.

Clicks on labelled objects are asked about as people would ask, and `nn.view_judge` learns which of all masks
found was the object. The masks themselves do not change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray

from segma.errors import SegmaError
from segma.media.image import read_picture
from segma.models.sam2.model import Sam2
from segma.nn.view_judge import ViewJudge
from segma.prompts.simulate import first_click as deepest_click
from segma.prompts.types import PromptSet
from segma.runtime import Runtime
from segma.samples import ImageSample
from segma.tasks import views
from segma.tasks.segment import ImageSession, usual_session
from segma.training.loader import Pool
from segma.training.prompting import first_click, weights_of_objects

_log = logging.getLogger(__name__)
# Objects asked about of a picture, shares of it that they may have, pictures tried for each click.
_OF_A_PICTURE, _SHARES, _TRIES = 3, (1e-4, 0.9), 20
# Share of clicks in the middle of their object; the others fall anywhere in it.
_DEEPEST = 0.6
_EPOCHS, _BATCH, _RATE, _DECAY = 60, 64, 2e-3, 0.02


@dataclass(frozen=True, slots=True)
class Clicks:
    """What is told of the masks that clicks found, and the IoU of each with the object that was meant."""

    features: Float[ndarray, "clicks features"]
    iou: Float[ndarray, "clicks masks"]


def learn_choice(
    model: Sam2,
    samples: Sequence[ImageSample],
    count: int,
    runtime: Runtime,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
    mix: Sequence[str] = (),
) -> dict[str, float]:
    """Fit the model's judge of views on so many clicks, and say what its choice is worth on them, in percent.

    `chosen` and `best` (of all) are mean IoUs of a fifth that was kept aside; the judge that stays has seen
    all. Empty where the model has no such judge, or hardly any object could be clicked on.
    """
    judge = model.view_judge
    if judge is None or not samples:
        return {}
    was_training = model.training
    model.eval()
    found = gather(model, samples, count, runtime, seed, on_progress, mix)
    numbers = np.arange(len(found.iou))
    kept, rest = (Clicks(found.features[w], found.iou[w]) for w in (numbers % 5 == 0, numbers % 5 > 0))
    told: dict[str, float] = {}
    if len(rest.iou) >= _BATCH:
        fit(judge, rest, seed)
        picked = _picked(judge, kept.features)
        chosen = kept.iou[np.arange(len(picked)), picked]
        told = {
            "clicks": float(len(found.iou)),
            "chosen": round(100 * float(chosen.mean()), 2),
            "best": round(100 * float(kept.iou.max(1).mean()), 2),
        }
        fit(judge, found, seed)
    model.train(was_training)
    return told


def gather(
    model: Sam2,
    samples: Sequence[ImageSample],
    count: int,
    runtime: Runtime,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
    mix: Sequence[str] = (),
) -> Clicks:
    """Click on about `count` objects of pictures drawn as in training, and look at what is found."""
    assert model.config.views
    pool, random = Pool.of(samples, mix), np.random.default_rng((seed, 0xC11C))
    features: list[ndarray] = []
    ious: list[ndarray] = []
    for _ in range(_TRIES * count):
        if len(ious) >= count:
            break
        try:
            for row, truth in _asked(model, pool.draw(random), runtime, random):
                features.append(row)
                ious.append(truth)
        except (SegmaError, OSError) as error:
            _log.warning("a picture was not clicked on (%s)", error)
        if on_progress:
            on_progress(len(ious))
    num_features, num_masks = len(model.view_judge.mean) if model.view_judge else 0, 0
    if not ious:
        return Clicks(np.zeros((0, num_features), np.float32), np.zeros((0, num_masks), np.float32))
    return Clicks(np.stack(features), np.stack(ious))


def _asked(
    model: Sam2, sample: ImageSample, runtime: Runtime, random: np.random.Generator
) -> Iterator[tuple[Float[ndarray, " features"], Float[ndarray, " masks"]]]:
    """Clicks on a few objects of a picture: what is told of the masks, and their IoUs."""
    assert sample.picture is not None
    areas = np.array([each.mask.area / (sample.size[0] * sample.size[1]) for each in sample.objects])
    usable = np.flatnonzero((areas > _SHARES[0]) & (areas < _SHARES[1]))
    if not len(usable):
        return
    image = read_picture(sample.picture)
    if image.shape[:2] != sample.size:
        return
    count = min(_OF_A_PICTURE, len(usable))
    session = usual_session(model, image, runtime)
    for index in random.choice(usable, count, replace=False, p=weights_of_objects(areas[usable])):
        truth = sample.objects[int(index)].mask.dense()
        if random.random() < _DEEPEST:
            click = deepest_click(truth)
            xy = (float(click.x), float(click.y))
        else:
            x, y = first_click(truth.astype(np.uint8), 0.0, random)
            xy = (float(x), float(y))
        prompt = PromptSet.of(points=[xy], labels=[1])
        with torch.inference_mode():
            found = session.views_of(prompt, model.config.view_shares)
        told = views.describe(found, sample.size)
        yield told, np.array([_iou(session, view, mask, prompt, truth)
                              for view in found for mask in range(len(view.predicted_iou))])  # fmt: skip


def _iou(session: ImageSession, view: views.View, mask: int, prompt: PromptSet, truth: ndarray) -> float:
    record = session.record_of(view, mask, 0.0, 0, prompt)
    answer = record.compact.dense()
    either = np.count_nonzero(answer | truth)
    return np.count_nonzero(answer & truth) / either if either else 1.0


def fit(judge: ViewJudge, clicks: Clicks, seed: int = 0) -> None:
    """Train a judge from nothing: cross-entropy of the IoU of every mask, AdamW, a rate that falls to 0."""
    device = judge.mean.device
    features, iou = (torch.as_tensor(each, dtype=torch.float32) for each in (clicks.features, clicks.iou))
    state = torch.get_rng_state()
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
    for layer in judge.layers:
        if isinstance(layer, torch.nn.Linear):
            layer.reset_parameters()
    judge.mean.copy_(features.mean(0))
    judge.spread.copy_(features.std(0) + 1e-3)
    judge.clicks.fill_(len(iou))
    judge.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=_RATE, weight_decay=_DECAY)
    for epoch in range(_EPOCHS):
        order = torch.randperm(len(iou))
        for start in range(0, len(iou), _BATCH):
            rows = order[start : start + _BATCH]
            logits = judge(features[rows].to(device))
            loss = F.binary_cross_entropy_with_logits(logits, iou[rows].to(device))
            optimizer.zero_grad()
            torch.autograd.backward([loss])
            optimizer.step()  # pyright: ignore[reportUnknownMemberType]  torch again
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - (epoch + 1) / _EPOCHS)
    torch.set_rng_state(state)
    judge.eval().requires_grad_(False)


def _picked(judge: ViewJudge, features: Float[ndarray, "clicks features"]) -> Int[ndarray, " clicks"]:
    """The mask that answers each click."""
    with torch.inference_mode():
        scores = judge(torch.as_tensor(features, device=judge.mean.device)).sigmoid().cpu().numpy()
    rows = zip(scores, features, strict=True)
    return np.array(
        [
            views.best_first(each, views.overlaps_in(row, len(each)), 1, views.cut_off(row, len(each)))[0]
            for each, row in rows
        ]
    )
