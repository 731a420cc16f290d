"""A model without weights: it paints the disc that a prompt points at."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor

from segma.models.interfaces import Decoded, DynamicChoice, ImageFeatures, InputSpec, PromptTensors


@dataclass
class Painter:
    """Paints discs around the middle of include points, of a box or of a mask, with holes at exclude points.

    Its four masks have the given radii (in pixels of the model's input) and qualities; logits fall by
    `slope` a pixel. It writes down what it was asked, and fails if it is asked by two threads at once.
    """

    radii: tuple[float, ...] = (20, 10, 15, 20)
    qualities: tuple[float, ...] = (0.5, 0.7, 0.9, 0.8)
    slope: float = 1.0
    speckled: tuple[int, ...] = ()
    """Numbers of the masks that have an island in the first corner of the picture."""
    size: int = 128
    low_precision: tuple[str, ...] = ()
    mask_threshold: float = 0.0
    dynamic_choice: DynamicChoice | None = None
    encoded: int = 0
    drawn: int = 0
    asked: list[PromptTensors] = field(default_factory=list)
    seconds: float = 0.0
    busy: threading.Lock = field(default_factory=threading.Lock)
    input_spec: InputSpec = field(init=False)

    def __post_init__(self) -> None:
        self.input_spec = InputSpec(size=self.size, mask_size=self.size // 4, fit="pad")

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        self.encoded += 1
        return ImageFeatures(pixels.mean((2, 3), keepdim=True))

    def share(self, features: ImageFeatures) -> None:
        return None

    def decode(self, features: ImageFeatures, prompts: PromptTensors, shared: None = None) -> Decoded:
        assert self.busy.acquire(blocking=False), "two threads in one model"
        time.sleep(self.seconds)
        self.asked.append(prompts)
        centres = middle(prompts)
        self.busy.release()
        return Decoded(torch.tensor(self.qualities).expand(len(centres), -1), (centres, prompts))

    def render_masks(self, decoded: Decoded, prompt_index: Tensor, mask_index: Tensor) -> Tensor:
        centres, prompts = decoded.state
        self.drawn += len(prompt_index)
        side = self.input_spec.mask_size
        places = torch.arange(side) * 4 + 1.5  # middles of mask cells, in pixels of the input
        y, x = torch.meshgrid(places, places, indexing="ij")
        drawn: list[Tensor] = []
        for row, number in zip(prompt_index.tolist(), mask_index.tolist(), strict=True):
            logits = self.radii[number] - torch.hypot(x - centres[row, 0], y - centres[row, 1])
            for hole in excluded(prompts, row):
                logits = torch.minimum(logits, torch.hypot(x - hole[0], y - hole[1]) - 6)
            if number in self.speckled:
                logits[:2, :2] = 5
            drawn.append(self.slope * logits)
        return torch.stack(drawn)


def middle(prompts: PromptTensors) -> Tensor:
    """Where the disc of each prompt is."""
    if prompts.boxes is not None:
        return prompts.boxes.view(-1, 2, 2).mean(1)
    if prompts.coords is not None and prompts.labels is not None:
        weights = (prompts.labels == 1).float()[..., None]
        return (prompts.coords * weights).sum(1) / weights.sum(1)
    if prompts.mask_logits is not None:
        rows = [(logits[0] > 0).nonzero().float().mean(0).flip(0) for logits in prompts.mask_logits]
        return torch.stack(rows) * 4 + 1.5
    assert prompts.embeddings is not None
    return prompts.embeddings[:, 0, :2]


def excluded(prompts: PromptTensors, row: int) -> list[list[float]]:
    """The exclude points of one prompt."""
    if prompts.coords is None or prompts.labels is None:
        return []
    return prompts.coords[row][prompts.labels[row] == 0].tolist()


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def make_painter() -> type[Painter]:
    return Painter


@pytest.fixture
def picture() -> ndarray:
    """96 high, 128 wide: the model's frame is the picture's."""
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
