"""When a frame shows a distractor beside the object (DAM4SAM, arXiv 2411.17576, section 3.2). Pure numpy.

The sign is that another of the decoder's masks, nearly as good by its own estimate, reaches well outside the
chosen one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from segma.tasks.track_motion import area, box_of
from segma.tasks.track_state import FrameMemory

_REACH = 0.7  # the box of the chosen mask over that of it and the other one (DAM4SAM: theta_anc)
_SURE_IOU = 0.8  # predicted IoU of the chosen mask (DAM4SAM: theta_IoU)
_STEADY = 0.2  # how far the area may be from the median of late (DAM4SAM: theta_area)
_LATE = 10  # frames of that median
_CLOSE = 0.3  # how much worse the other mask may be by its predicted IoU (ours)
_APART = 5  # frames between two that are kept


def has_distractor(
    memory: FrameMemory,
    mask: Bool[ndarray, "side side"],
    others: Sequence[tuple[Bool[ndarray, "side side"], float]],
    recent: Mapping[int, FrameMemory],
    frame: int,
    *,
    reverse: bool,
) -> bool:
    """Whether a frame should be kept for the distractor on it.

    `others` are the other candidates and their predicted IoU, `recent` what is held of frames before. Only
    while the object is tracked surely and steadily, and not soon after another such frame.
    """
    box = box_of(mask)
    if box is None or not memory.is_reliable or memory.predicted_iou < _SURE_IOU:
        return False
    way = -1 if reverse else 1
    behind = {other: each for other, each in recent.items() if (frame - other) * way > 0}
    if any(each.has_distractor and abs(frame - other) < _APART for other, each in behind.items()):
        return False
    late = [int((behind[other].low_res_logits > 0).sum()) for other in behind if abs(frame - other) <= _LATE]
    sizes = [size for size in late if size > 0]
    if sizes:
        usual = float(np.median(sizes))
        if abs(float(mask.sum()) - usual) > _STEADY * usual:
            return False
    return any(
        memory.predicted_iou - quality <= _CLOSE and _reach(mask, other) < _REACH for other, quality in others
    )


def _reach(mask: Bool[ndarray, "side side"], other: Bool[ndarray, "side side"]) -> float:
    """The box of a mask over the box of it and the largest part of another one; 1 where that adds nothing."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(other.astype(np.uint8), connectivity=8)
    box = box_of(mask)
    if count < 2 or box is None:
        return 1.0
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    both = box_of(mask | (labels == largest))
    assert both is not None
    return area(box) / area(both)
