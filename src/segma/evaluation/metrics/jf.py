"""J and F over the frames of a video, as DAVIS and SA-V count them (SAM 2 section 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from segma.evaluation.metrics.boundary import boundary_f
from segma.evaluation.metrics.iou import iou


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameScore:
    """J (region) and F (boundary) of one object on one frame."""

    frame: int
    j: float
    f: float

    @property
    def jf(self) -> float:
        """The mean of both."""
        return (self.j + self.f) / 2


def frame_score(
    frame: int, prediction: Bool[ndarray, "height width"], truth: Bool[ndarray, "height width"]
) -> FrameScore:
    """The score of one frame; both are 1 where both masks are empty."""
    return FrameScore(frame=frame, j=iou(prediction, truth), f=boundary_f(prediction, truth))


def mean_j_and_f(scores: Sequence[FrameScore], *, without: Sequence[int] = ()) -> tuple[float, float]:
    """Mean J and mean F over the frames, those in `without` left out; over all where that leaves none.

    DAVIS leaves out the first frame, which was given, and the last one. NaN without any score.
    """
    chosen = [score for score in scores if score.frame not in without] or list(scores)
    if not chosen:
        return float("nan"), float("nan")
    return float(np.mean([score.j for score in chosen])), float(np.mean([score.f for score in chosen]))
