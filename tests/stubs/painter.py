"""A model without weights: discs round include clicks, the ellipse of a box, and what was there before.

Its three candidates are discs of three sizes; the middle one is said to be the best.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from segma.models.interfaces import Decoded, DynamicChoice, ImageFeatures, InputSpec, PromptTensors

SIDE, CELL = 32, 4
RADII = (4.0, 2.0, 4.0, 7.0)
QUALITIES = (0.6, 0.5, 0.8, 0.7)


@dataclass
class Painter:
    input_spec: InputSpec = field(
        default_factory=lambda: InputSpec(size=CELL * SIDE, mask_size=SIDE, fit="stretch")
    )
    mask_threshold: float = 0.0
    dynamic_choice: DynamicChoice | None = None
    low_precision: tuple[str, ...] = ()
    prompts: list[PromptTensors] = field(default_factory=list)
    """Everything that was asked."""

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        return ImageFeatures(pixels[:, :, ::CELL, ::CELL])

    def share(self, features: ImageFeatures) -> None:
        return None

    def decode(self, features: ImageFeatures, prompts: PromptTensors, shared: None = None) -> Decoded:
        self.prompts.append(prompts)
        parts = (prompts.coords, prompts.boxes)
        count = next(len(part) for part in parts if part is not None)
        logits = torch.stack([self._logits(prompts, row) for row in range(count)])
        return Decoded(torch.tensor(QUALITIES).expand(count, -1), logits)

    def render_masks(self, decoded: Decoded, prompt_index: Tensor, mask_index: Tensor) -> Tensor:
        return decoded.state[prompt_index, mask_index]

    def _logits(self, prompts: PromptTensors, row: int) -> Tensor:
        y, x = (torch.arange(SIDE * SIDE).view(SIDE, SIDE) // SIDE, torch.arange(SIDE).expand(SIDE, SIDE))
        logits = torch.full((4, SIDE, SIDE), -4.0)
        if prompts.mask_logits is not None:
            logits = torch.maximum(logits, prompts.mask_logits[row].expand(4, -1, -1) - 0.1)
        if prompts.boxes is not None:
            x0, y0, x1, y1 = (prompts.boxes[row] / CELL).tolist()
            across, down = max(0.5, (x1 - x0) / 2), max(0.5, (y1 - y0) / 2)
            round_it = ((x + 0.5 - (x0 + x1) / 2) / across) ** 2 + ((y + 0.5 - (y0 + y1) / 2) / down) ** 2
            logits = torch.maximum(logits, 4 * (1 - round_it).expand(4, -1, -1))
        if prompts.coords is not None and prompts.labels is not None:
            for (px, py), label in zip(
                prompts.coords[row].tolist(), prompts.labels[row].tolist(), strict=True
            ):
                distance = torch.hypot(x + 0.5 - px / CELL, y + 0.5 - py / CELL)
                for number, radius in enumerate(RADII):
                    disc = radius - distance
                    if label == 1:
                        logits[number] = torch.maximum(logits[number], disc)
                    elif label == 0:
                        logits[number] = torch.minimum(logits[number], distance - 3)
        return logits
