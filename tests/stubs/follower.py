"""A model with memory and without weights: it follows a shade of grey.

A prompt gives an object the shade under its first include point (or middle of its box, or of its mask); the
object is every pixel of that shade, less what lies near exclude points. What it remembers shifts its logits a
little, so that a mask shows which memories were attended to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from segma.models.interfaces import (
    Decoded,
    DynamicChoice,
    ImageFeatures,
    InputSpec,
    MemoryBank,
    MemorySpec,
    PromptTensors,
)

SIDE = 32


@dataclass
class Follower:
    input_spec: InputSpec = field(
        default_factory=lambda: InputSpec(size=4 * SIDE, mask_size=SIDE, fit="stretch")
    )
    mask_threshold: float = 0.0
    dynamic_choice: DynamicChoice | None = None
    low_precision: tuple[str, ...] = ()
    memory_spec: MemorySpec = field(default_factory=MemorySpec)
    encoded: int = 0
    banks: list[MemoryBank] = field(default_factory=list)
    """Every bank that was attended to."""

    def encode_frame(self, pixels: Tensor) -> ImageFeatures:
        self.encoded += 1
        return ImageFeatures(F.avg_pool2d(pixels.mean(1, keepdim=True), 4))

    def condition_first(self, frame: ImageFeatures) -> ImageFeatures:
        grey = frame.embedding
        return ImageFeatures(torch.cat([grey, torch.full_like(grey, torch.nan), torch.zeros_like(grey)], 1))

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        return self.condition_first(self.encode_frame(pixels))

    def condition(self, frame: ImageFeatures, banks: Sequence[MemoryBank]) -> ImageFeatures:
        maps: list[Tensor] = []
        for bank in banks:
            self.banks.append(bank)
            assert bank.maps and len(bank.maps) == len(bank.rows)
            shade = bank.pointers[0][0] if bank.pointers else bank.maps[0].float()[..., 1].max()
            shift = sum(
                float(m.float()[..., 0].mean()) * (row + 2)
                for m, row in zip(bank.maps, bank.rows, strict=True)
            )
            shift += sum(bank.distances) + len(bank.others)
            grey = frame.embedding
            parts = [grey, torch.full_like(grey, float(shade)), torch.full_like(grey, 1e-3 * shift)]
            maps.append(torch.cat(parts, 1))
        return ImageFeatures(torch.cat(maps))

    def share(self, features: ImageFeatures) -> None:
        return None

    def decode(self, features: ImageFeatures, prompts: PromptTensors, shared: None = None) -> Decoded:
        rows = [self._row(features.embedding[row], prompts, row) for row in range(len(features.embedding))]
        logits, shades = torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])
        score = torch.where((logits[:, 1] > 0).flatten(1).any(1), 5.0, -5.0)
        qualities = torch.tensor([0.6, 0.9, 0.7, 0.5]).expand(len(rows), -1)
        return Decoded(qualities, (logits, shades), score)

    def _row(self, maps: Tensor, prompts: PromptTensors, row: int) -> tuple[Tensor, Tensor]:
        if len(maps) == 1:  # not conditioned: the pointer of a mask is made so
            maps = torch.cat([maps, torch.full_like(maps, torch.nan), torch.zeros_like(maps)])
        grey, shade, shift = maps[0], maps[1, 0, 0], maps[2, 0, 0]
        at, holes = _places(prompts, row)
        if at is not None:
            shade = grey[at[1], at[0]]
        logits = 4 * (0.15 - (grey - shade).abs()) + shift
        if prompts.mask_logits is not None and at is None and bool(shade.isnan()):
            inside = prompts.mask_logits[row, 0] > 0
            shade = grey[inside].median() if bool(inside.any()) else torch.tensor(9.0)
            logits = 4 * (0.15 - (grey - shade).abs()) + shift
        y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        for hole in holes:
            logits = torch.where((x - hole[0]) ** 2 + (y - hole[1]) ** 2 < 9, torch.tensor(-3.0), logits)
        return torch.stack([logits, logits, logits - 0.2, logits - 0.4]), shade

    def render_masks(self, decoded: Decoded, prompt_index: Tensor, mask_index: Tensor) -> Tensor:
        return decoded.state[0][prompt_index, mask_index]

    def pointers(self, decoded: Decoded, mask_index: Tensor, present: Tensor) -> Tensor:
        # An absent object is remembered by its shade all the same, so that it comes back.
        return decoded.state[1][:, None].expand(-1, 4)

    def reduce_masks(self, masks: Tensor) -> Tensor:
        return F.avg_pool2d(masks, 4) * 2 - 1

    def encode_memory(self, frame: ImageFeatures, masks: Tensor, present: Tensor) -> Tensor:
        small = F.avg_pool2d(masks, 4)[:, 0]
        grey = frame.embedding[:, 0].expand(len(small), -1, -1)
        return torch.stack([small, torch.where(small > 0.5, grey, torch.full_like(grey, -9.0))], -1)


def _places(prompts: PromptTensors, row: int) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
    """The cell of the first include point or of the middle of the box; and those of exclude points."""
    at = None
    holes: list[tuple[int, int]] = []
    if prompts.boxes is not None:
        x0, y0, x1, y1 = prompts.boxes[row].tolist()
        at = (int((x0 + x1) / 8), int((y0 + y1) / 8))
    if prompts.coords is not None and prompts.labels is not None:
        for (x, y), label in zip(prompts.coords[row].tolist(), prompts.labels[row].tolist(), strict=True):
            cell = (min(SIDE - 1, int(x / 4)), min(SIDE - 1, int(y / 4)))
            if label == 1 and at is None:
                at = cell
            elif label == 0:
                holes.append(cell)
    return at, holes


def close_follower() -> Follower:
    """One that follows masks and looks twice, as our small weights do."""
    spec = InputSpec(size=4 * SIDE, mask_size=SIDE, fit="stretch", looks_twice=True)
    return Follower(input_spec=spec, memory_spec=MemorySpec(follows_masks=True))
