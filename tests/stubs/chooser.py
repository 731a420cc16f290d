"""A follower of shades with real alternatives: its three masks are the separate places of the shade.

How good it says each is comes from `quality(frame, box, nearness)`, `nearness` the share of the place that
the newest memory covers. Frames carry their number in their lower left corner (`numbered`). Boxes are in
cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from stubs.follower import SIDE, Follower, _places
from torch import Tensor

from segma.models.interfaces import Decoded, ImageFeatures, MemoryBank, PromptTensors
from segma.tasks.track_motion import Box, box_of

_CORNER = 4  # cells that carry the number
Quality = Callable[[int, Box, float], float]


def by_nearness(frame: int, box: Box, nearness: float) -> float:
    return 0.5 + 0.4 * nearness


def numbered(frames: ndarray) -> ndarray:
    """The same clip with each frame's number in its corner, for up to 60 frames."""
    height, width = frames.shape[1:3]
    for index in range(len(frames)):
        frames[index, height - height * _CORNER // SIDE :, : width * _CORNER // SIDE] = 4 * index
    return frames


@dataclass
class Chooser(Follower):
    quality: Quality = by_nearness
    score: Callable[[int], float] = lambda frame: 5.0

    def condition(self, frame: ImageFeatures, banks: Sequence[MemoryBank]) -> ImageFeatures:
        maps = super().condition(frame, banks).embedding
        last = [bank.maps[-1].float()[..., 0].expand(1, 1, -1, -1) for bank in banks]
        whole = [F.interpolate(each, (SIDE, SIDE), mode="nearest") for each in last]
        return ImageFeatures(torch.cat([maps, torch.cat(whole)], 1))

    def decode(self, features: ImageFeatures, prompts: PromptTensors, shared: None = None) -> Decoded:
        plain = super().decode(features, prompts)
        if prompts.mask_logits is not None and prompts.coords is None:
            return plain
        logits, shades = plain.state
        logits, qualities, scores = logits.clone(), plain.predicted_iou.clone(), []
        for row in range(len(logits)):
            maps = features.embedding[row]
            number = _number(maps[0])
            shape = (logits[row, 0] > 0).numpy()
            shape[SIDE - _CORNER :, :_CORNER] = False
            places = _places_of(shape)
            at, _ = _places(prompts, row)
            if at is not None:
                places = [place for place in places if place[at[1], at[0]]]
            last = maps[3].numpy() > 0.5 if len(maps) == 4 else np.zeros_like(shape)
            # A mask that cannot be drawn: the object is said to be there, and no cell is inside.
            places = (places or [np.zeros_like(shape)]) * 3
            for index, place in enumerate(places[:3], 1):
                outside = torch.full_like(logits[row, index], -3.0)
                logits[row, index] = torch.where(torch.as_tensor(place), logits[row, index], outside)
                box, cells = box_of(place), max(1, int(place.sum()))
                nearness = float((place & last).sum()) / cells
                qualities[row, index] = 0.0 if box is None else self.quality(number, box, nearness)
            logits[row, 0], qualities[row, 0] = logits[row, 1], qualities[row, 1]
            scores.append(self.score(number) if places[0].any() else -5.0)
        return Decoded(qualities, (logits, shades), torch.tensor(scores))


def _number(grey: Tensor) -> int:
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    value = (float(grey[SIDE - 1, 0]) + float((mean / std).mean())) / float((1 / std).mean())
    return round(value / 4)


def _places_of(shape: ndarray) -> list[ndarray]:
    """The separate places, from left to right."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(shape.astype(np.uint8), connectivity=8)
    order = sorted(range(1, count), key=lambda label: int(stats[label, cv2.CC_STAT_LEFT]))
    return [labels == label for label in order]
