"""Which class a thing on a ground is of: a small network that learns it from painted portraits, in a minute.

It sees the thing alone, by a mask: its outline, and how bright it is inside. It is for measuring generators,
and is never saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from torch import Tensor, nn

from segma.worlds.portraits import draw_portrait
from segma.worlds.render import render
from segma.worlds.reserved import JUDGE_STREAM, STREAM_SIZE
from segma.worlds.scene import CLASSES

_SIDE, _SIZE, _AT_ONCE = 40, 128, 8
# A margin around the thing, as a share of its longer side.
_MARGIN = 0.1
# A piece of what stands out counts from this share of the largest on.
_LEAST_PART = 0.1
_BOX_BLUR = 1.5
_FIRST_SEED = JUDGE_STREAM * STREAM_SIZE
_CHANNELS = (2, 24, 48, 96)
_LR, _BATCH = 2e-3, 64


@dataclass(frozen=True, slots=True)
class PortraitJudge:
    """The network, in evaluation."""

    network: nn.Module

    @classmethod
    def learned(cls, portraits: int, rounds: int, seed: int = 0) -> PortraitJudge:
        """From so many portraits and their mirror images, gone through so many times."""
        views, labels = _painted(portraits)
        views = torch.cat([views, views.flip(-1)])
        labels = torch.cat([labels, labels])
        chance = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
            torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]  torch again
            network = _network()
        optim = torch.optim.AdamW(network.parameters(), lr=_LR, weight_decay=0.05)
        steps = rounds * -(-len(views) // _BATCH)
        plan = torch.optim.lr_scheduler.OneCycleLR(optim, _LR, total_steps=steps + 1)
        for _ in range(rounds):
            order = torch.randperm(len(views), generator=chance)
            for first in range(0, len(views), _BATCH):
                chosen = order[first : first + _BATCH]
                loss = F.cross_entropy(network(_roughened(views[chosen], chance)), labels[chosen])
                optim.zero_grad()
                torch.autograd.backward([loss])
                optim.step()  # pyright: ignore[reportUnknownMemberType]  torch again
                plan.step()
        return cls(network.eval())

    @torch.inference_mode()
    def shares(
        self, image: UInt8[ndarray, "height width 3"], mask: Bool[ndarray, "height width"]
    ) -> Float[ndarray, " classes"]:
        """How likely the thing is of each of CLASSES; all alike for an empty mask."""
        if not mask.any():
            return np.full(len(CLASSES), 1 / len(CLASSES))
        return self.network(view_of(image, mask)[None])[0].softmax(-1).double().numpy()


def view_of(
    image: UInt8[ndarray, "height width 3"], mask: Bool[ndarray, "height width"]
) -> Float[Tensor, "2 side side"]:
    """A thing alone in the middle of a square, as large as fits: its mask, its brightness from -1 to 1."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    scale = _SIDE / (extent * (1 + 2 * _MARGIN))
    middle = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2
    matrix = np.array([[scale, 0, _SIDE / 2 - scale * middle[0]], [0, scale, _SIDE / 2 - scale * middle[1]]])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    inside = grey[mask]
    grey = (grey - inside.mean()) / max(8.0, 2.5 * float(inside.std()))
    pair = [mask.astype(np.float32), np.clip(grey, -1, 1) * mask]
    return torch.from_numpy(np.stack([cv2.warpAffine(each, matrix, (_SIDE, _SIDE)) for each in pair]))  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped


def standing_out(
    image: UInt8[ndarray, "height width 3"], blur: float | int = 0.7
) -> Bool[ndarray, "height width"]:
    """What differs in colour from the border of a picture, blurred by so many pixels before."""
    colours = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    border = np.concatenate([colours[:4].reshape(-1, 3), colours[-4:].reshape(-1, 3),
                             colours[:, :4].reshape(-1, 3), colours[:, -4:].reshape(-1, 3)])  # fmt: skip
    middle = np.median(border, 0)
    away = np.linalg.norm(colours - middle, axis=-1).astype(np.float32)
    usual = float(np.quantile(np.linalg.norm(border - middle, axis=-1), 0.95))
    blurred = np.asarray(cv2.GaussianBlur(away, (0, 0), blur), np.float32)
    scaled = np.clip(2 * blurred, 0, 255).astype(np.uint8)
    limit = float(cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0])
    return np.asarray(scaled > max(0.7 * limit, 2 * usual))


def box_of_thing(image: UInt8[ndarray, "height width 3"]) -> tuple[float, float, float, float]:
    """The box x0, y0, x1, y1 of what stands out, but for specks; all of a picture where nothing does."""
    found = standing_out(image, _BOX_BLUR).astype(np.uint8)
    table: ndarray = np.asarray(cv2.connectedComponentsWithStats(found)[2], np.int64)[1:]
    if not len(table):
        return 0.0, 0.0, float(image.shape[1]), float(image.shape[0])
    table = table[table[:, 4] >= _LEAST_PART * table[:, 4].max()]
    low, high = table[:, :2].min(0), (table[:, :2] + table[:, 2:4]).max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _network() -> nn.Module:
    layers: list[nn.Module] = []
    for wide, wider in pairwise(_CHANNELS):
        layers += [nn.Conv2d(wide, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU(), nn.MaxPool2d(2)]
    side = _SIDE // 2 ** (len(_CHANNELS) - 1)
    layers += [nn.Flatten(), nn.Dropout(0.3), nn.Linear(_CHANNELS[-1] * side**2, len(CLASSES))]
    return nn.Sequential(*layers)


def _painted(count: int) -> tuple[Tensor, Tensor]:
    """Views of portraits by their true masks, and their classes, which come in turns."""
    views: list[Tensor] = []
    names: Sequence[str] = [CLASSES[number % len(CLASSES)] for number in range(count)]
    for start in range(0, count, _AT_ONCE):
        drawn = [draw_portrait(_FIRST_SEED + start + number, name)
                 for number, name in enumerate(names[start : start + _AT_ONCE])]  # fmt: skip
        rendered = render([each.scene for each in drawn], size=_SIZE, at_once=_AT_ONCE)
        for number in range(len(drawn)):
            image = rendered.images[number, 0].permute(1, 2, 0).numpy()
            mask = rendered.visible(number)[0, 0].numpy()
            views.append(view_of(np.ascontiguousarray(image), mask))
    return torch.stack(views), torch.tensor([CLASSES.index(name) for name in names])


def _roughened(views: Float[Tensor, "n 2 side side"], chance: torch.Generator) -> Tensor:
    """Views as a found mask and a coded picture show them: blurred, a little larger or smaller, noisy."""
    kinds = torch.randint(4, (len(views),), generator=chance)
    grown, shrunk = F.max_pool2d(views, 3, 1, 1), -F.max_pool2d(-views, 3, 1, 1)
    mixed = torch.stack([views, grown, shrunk, F.avg_pool2d(views, 3, 1, 1)])[kinds, torch.arange(len(views))]
    noise = torch.randn(views.shape, generator=chance) * torch.tensor([0.0, 0.25])[:, None, None]
    return mixed + noise * (views[:, :1] > 0)
