"""What a training step is given: pictures, truths, and the first prompts, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

FIRST = ("click", "box", "mask")
"""What an object may first be asked by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageBatch:
    """`pictures` pictures, `truths` labelled masks of them, `asked` of which are asked about.

    `asked` are rows of the truths, `picture` says which picture a truth is of. `under` are the truths (rows,
    -1 for none) under the first click of each asked one, itself first. Coordinates are pixels. `edge` are the
    places near a truth's edge, `names` what it is of, as a number of `training.heads.vocabulary` or -1.
    `first` is the place in `FIRST` of what each is first asked by; a mask is the one in `before`.
    """

    pixels: UInt8[Tensor, "pictures 3 size size"]
    picture: Int[Tensor, " truths"]
    places: Float[Tensor, "truths p 2"]
    inside: Bool[Tensor, "truths p"]
    weights: Float[Tensor, "truths p"]
    edge: Bool[Tensor, "truths p"]
    names: Int[Tensor, " truths"]
    masks: UInt8[Tensor, "asked size size"]
    asked: Int[Tensor, " asked"]
    under: Int[Tensor, "asked 3"]
    clicks: Float[Tensor, "asked 2"]
    boxes: Float[Tensor, "asked 4"]
    first: Int[Tensor, " asked"]
    before: UInt8[Tensor, "asked size size"]
    loose: Bool[Tensor, " asked"]
    skipped: int = 0
    """Pictures that could not be read, or held nothing to ask about."""
    unreadable: int = 0
    """How many of them could not be read."""
    seconds: float = 0.0
    """Time it took to make."""

    def to(self, device: torch.device) -> ImageBatch:
        """The batch on a device."""
        return _moved(self, device)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipBatch:
    """What a video step is given: `clips` clips of as many frames each, and `objects` objects of them.

    `clip` says which clip an object is of; the objects of a clip stand together. `known` says where the
    labels of an object are known; an empty mask on a known frame means that it is not to be seen, and that
    is trained only where `complete`. `motion` is the flow from each frame to the one before, in pixels, 0 on
    the first (`tasks.track_follow.flow`). Every object is visible on the first frame of its clip. Places are
    those of `training.prompting.compared_places`.
    """

    pixels: UInt8[Tensor, "clips frames 3 size size"]
    clip: Int[Tensor, " objects"]
    masks: UInt8[Tensor, "objects frames size size"]
    known: Bool[Tensor, "objects frames"]
    places: Float[Tensor, "objects frames p 2"]
    inside: Bool[Tensor, "objects frames p"]
    weights: Float[Tensor, "objects frames p"]
    complete: Bool[Tensor, " objects"]
    motion: Float[Tensor, "clips frames size size 2"]
    skipped: int = 0
    unreadable: int = 0
    seconds: float = 0.0

    def to(self, device: torch.device) -> ClipBatch:
        """The batch on a device."""
        return _moved(self, device)


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelBatch:
    """What a tokenizer's step is given: pictures (clips of one frame) or clips of one length."""

    pixels: UInt8[Tensor, "clips frames 3 size size"]
    skipped: int = 0
    unreadable: int = 0
    seconds: float = 0.0

    def scaled(self) -> Float[Tensor, "clips 3 frames size size"]:
        """The pixels as a tokenizer takes them, -0.5 to 0.5."""
        return scaled(self.pixels)

    def to(self, device: torch.device) -> PixelBatch:
        """The batch on a device."""
        return _moved(self, device)


def scaled(pixels: UInt8[Tensor, "clips frames 3 h w"]) -> Float[Tensor, "clips 3 frames h w"]:
    """Pixels as a tokenizer takes them, -0.5 to 0.5."""
    return pixels.float().transpose(1, 2) / 255 - 0.5


_Batch = TypeVar("_Batch", ImageBatch, ClipBatch, PixelBatch)


def _moved(batch: _Batch, device: torch.device) -> _Batch:
    moved = {
        field.name: value.to(device, non_blocking=True)
        for field in fields(batch)
        if isinstance(value := getattr(batch, field.name), Tensor)
    }
    return replace(batch, **moved)
