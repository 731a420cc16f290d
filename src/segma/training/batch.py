"""What a training step is given: pictures, truths, and the first prompts, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageBatch:
    """`pictures` pictures, `truths` labelled masks of them, `asked` of which are asked about.

    `asked` are rows of the truths, `picture` says which picture a truth is of. `under` are the truths (rows, -1
    for none) under the first click of each asked one, itself first. Coordinates are pixels of the pictures.
    """

    pixels: UInt8[Tensor, "pictures 3 size size"]
    picture: Int[Tensor, " truths"]
    places: Float[Tensor, "truths p 2"]
    inside: Bool[Tensor, "truths p"]
    weights: Float[Tensor, "truths p"]
    masks: UInt8[Tensor, "asked size size"]
    asked: Int[Tensor, " asked"]
    under: Int[Tensor, "asked 3"]
    clicks: Float[Tensor, "asked 2"]
    boxes: Float[Tensor, "asked 4"]
    by_box: Bool[Tensor, " asked"]
    loose: Bool[Tensor, " asked"]
    skipped: int = 0
    """Pictures that could not be read, or held nothing to ask about."""
    seconds: float = 0.0
    """Time it took to make."""

    def to(self, device: torch.device) -> ImageBatch:
        """The batch on a device."""
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)
