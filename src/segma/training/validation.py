"""How good a network is on what is kept aside: mean IoU of clicks and boxes on pictures, J&F on clips."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import nn

from segma.errors import InputError
from segma.evaluation.protocols import video
from segma.media.image import read_picture
from segma.models.interfaces import Promptable, WithMemory
from segma.prompts.simulate import Click, box_prompt, first_click, jittered_box, key_generator, next_click
from segma.results import MaskRecord
from segma.runtime import Runtime
from segma.samples import ImageSample, VideoSample
from segma.tasks.segment import ImageSession, usual_session

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """One object of a picture to ask about."""

    sample: ImageSample
    objects: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Exam:
    """Pictures to ask about, and clips to follow the objects of."""

    asked: tuple[Question, ...]
    clips: tuple[VideoSample, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.asked or self.clips)

    def scores(self, module: nn.Module, runtime: Runtime) -> dict[str, float]:
        """Those of `ask` and `follow`, as people would use the network; its mode is left as it was."""
        assert isinstance(module, WithMemory)
        was_training = module.training
        module.eval()
        found = ask(module, self.asked, runtime) | follow(module, self.clips, runtime)
        module.train(was_training)
        return found


def follow(model: WithMemory, clips: Sequence[VideoSample], runtime: Runtime) -> dict[str, float]:
    """J&F in percent of objects followed from their first mask, `jf`; empty where nothing can be measured."""
    if not clips:
        return {}
    report = video.run(model, clips, video.VideoConfig(modes=("mask",)), runtime=runtime)
    for line in report.skipped:
        _log.warning("not measured: %s", line)
    mean = report.mean("jf", "mask") if report.rows else math.nan
    return {"jf": round(100 * mean, 2)} if math.isfinite(mean) else {}


def questions(samples: Sequence[ImageSample], count: int, seed: int = 0) -> list[Question]:
    """About `count` objects of pictures drawn evenly from the sources, at most three of a picture."""
    random = np.random.default_rng(seed)
    by_source: dict[str, list[ImageSample]] = {}
    order: list[int] = random.permutation(len(samples)).tolist()
    for index in order:
        by_source.setdefault(samples[index].source, []).append(samples[index])
    found: list[Question] = []
    asked = 0
    turn = 0
    groups = list(by_source.values())
    while asked < count and any(turn < len(group) for group in groups):
        for group in groups:
            if turn < len(group) and asked < count:
                sample = group[turn]
                usable = [k for k, each in enumerate(sample.objects) if each.mask.area > 0]
                chosen = random.permutation(usable)[:3]
                found.append(Question(sample, tuple(int(k) for k in chosen)))
                asked += len(chosen)
        turn += 1
    return found


def ask(model: Promptable, asked: Sequence[Question], runtime: Runtime | None = None) -> dict[str, float]:
    """Mean IoUs in percent: `click1`, the best candidate of it `oracle1`, `click3`, `box`.

    Pictures that cannot be read, or are not of the size of their masks, are left out; empty where none is
    left.
    """
    runtime = Runtime() if runtime is None else runtime
    rows: list[dict[str, float]] = []
    for question in asked:
        assert question.sample.picture is not None
        try:
            image = read_picture(question.sample.picture)
        except (InputError, OSError) as error:
            _log.warning("%s is not measured (%s)", question.sample.file_name, error)
            continue
        if image.shape[:2] != question.sample.size:
            _log.warning("%s is not measured: its masks have another size", question.sample.file_name)
            continue
        session = usual_session(model, image, runtime)
        for index in question.objects:
            truth = question.sample.objects[index].mask.dense()
            rows.append(_object(session, truth, f"{question.sample.file_name}/{index}"))
    names = rows[0] if rows else ()
    return {name: round(100 * float(np.mean([row[name] for row in rows])), 2) for name in names}


def _object(session: ImageSession, truth: Bool[ndarray, "height width"], key: str) -> dict[str, float]:
    box = box_prompt(jittered_box(truth, key_generator(key)))
    from_box = session.segment(box=box.xyxy).records[0]
    clicks = [first_click(truth)]
    candidates = session.segment(points=[(clicks[0].x, clicks[0].y)], labels=[1], candidates=3).records
    scores = [_iou(record, truth) for record in candidates]
    best, answer = scores[0], candidates[0]
    for _ in range(2):
        click = next_click(answer.mask, truth, [(c.x, c.y) for c in clicks])
        if click is None:
            break
        clicks.append(click)
        answer = _with_clicks(session, clicks, answer)
        best = _iou(answer, truth)
    return {"click1": scores[0], "oracle1": max(scores), "click3": best, "box": _iou(from_box, truth)}


def _with_clicks(session: ImageSession, clicks: Sequence[Click], before: MaskRecord) -> MaskRecord:
    places = [(float(click.x), float(click.y)) for click in clicks]
    labels = [click.label for click in clicks]
    return session.segment(points=places, labels=labels, previous=before).records[0]


def _iou(record: MaskRecord, truth: UInt8[ndarray, "height width"] | Bool[ndarray, "height width"]) -> float:
    answer = record.mask
    either = np.count_nonzero(answer | (truth > 0))
    return np.count_nonzero(answer & (truth > 0)) / either if either else 1.0
