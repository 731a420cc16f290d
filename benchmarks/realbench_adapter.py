"""A model of segma behind the adapter of realbench, so that the judge itself can measure it.

python realbench.py --adapter /path/to/benchmarks/realbench_adapter.py:factory --subset images

SEGMA_MODEL names the model (a name of "segma model list", or a file); without it the default one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
from numpy import ndarray

import segma
from segma.api import Model
from segma.evaluation.protocols.video import TRACKING, say_clicks
from segma.masks.mask import Mask
from segma.media.source import ArraySource
from segma.prompts.simulate import box_prompt
from segma.prompts.types import FramePrompt, Points
from segma.results import MaskRecord
from segma.tasks.segment import ImageSession
from segma.tasks.track import VideoSession
from segma.tasks.track_recent_keeper import RecentKeeper


def factory() -> Adapter:
    return Adapter(segma.load(os.environ.get("SEGMA_MODEL") or "default", device="cpu"))


class Adapter:  # no dataclass: realbench loads this file without entering it into sys.modules
    name = "segma"

    def __init__(self, model: Model) -> None:
        self.model = model
        self.image: ndarray | None = None
        self.session: ImageSession | None = None
        self.last: MaskRecord | None = None

    def set_image(self, image: ndarray) -> None:
        self.image, self.session, self.last = image, self.model.image(image), None

    def segment(
        self,
        image: ndarray,
        points: ndarray,
        labels: ndarray,
        box: tuple[float, float, float, float] | None,
        mask: ndarray | None,
    ) -> ndarray:
        if self.image is not image:
            self.set_image(image)
        assert self.session is not None
        self.last = self.session.segment(
            points=points if len(points) else None,
            labels=labels if len(points) else None,
            box=None if box is None else box_prompt(box).xyxy,
            previous=None if mask is None else self.last,
        )[0]
        return self.last.mask

    def track(self, frames: Iterable[ndarray], prompts: list[dict]) -> Iterator[ndarray]:
        source = ArraySource(list(frames))
        model = self.model
        session = VideoSession(model.with_memory(), source, TRACKING, model.runtime, keeper=RecentKeeper())
        for prompt in prompts:
            name = str(prompt["id"])
            if prompt.get("mask") is not None:
                session.say(name, 0, FramePrompt(mask=Mask.from_dense(prompt["mask"])))
            else:
                say_clicks(session, name, 0, Points(prompt["points"], prompt["labels"]))
        for frame in session.run(0):
            labels = np.zeros(frame.size, np.int32)
            for name, record in frame.records.items():
                labels[record.compact.dense()] = int(name)
            yield labels
