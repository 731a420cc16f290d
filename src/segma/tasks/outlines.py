"""Outlines of things as generators make them: what share of each part of a latent a mask covers."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from segma.errors import InputError, ModelError
from segma.models.interfaces import GeneratorSpec


def outlines_of(
    masks: Bool[Tensor, "batch size size"], spec: GeneratorSpec
) -> Float[Tensor, "batch parts side side"]:
    """Shares of the `spec.cover` x `spec.cover` parts of each latent that are covered; -1 is none, 1 all."""
    shares = F.adaptive_avg_pool2d(masks[:, None].float(), spec.side * spec.cover)
    return 2 * F.pixel_unshuffle(shares, spec.cover) - 1


def outline_of(mask: ndarray, spec: GeneratorSpec) -> Float[Tensor, "1 parts side side"]:
    """The outline of a mask, booleans (height, width), in the middle of the smallest square around it.

    Raises ModelError model.task for a generator that makes no outlines, InputError for what is no mask.
    """
    if not spec.cover:
        raise ModelError(
            "model.task", "This generator takes no mask.", 'The one in the package does: "generator".'
        )
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError("input.value", f"A mask of {mask.dtype}, shape {mask.shape}; expected 2-D booleans.")
    if not mask.any():
        raise InputError("input.value", "The mask is empty.", "Its pixels are the thing to make.")
    size = max(mask.shape)
    above, left = ((size - side) // 2 for side in mask.shape)
    square = np.zeros((size, size), bool)
    square[above : above + mask.shape[0], left : left + mask.shape[1]] = mask
    return outlines_of(torch.from_numpy(square)[None], spec)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
