"""The linear shortcut of a new tokenizer, fitted to data: principal components of patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segma.models.omnitokenizer.model import Shortcut, cut


@torch.no_grad()
def fit_shortcut(shortcut: Shortcut, clips: Sequence[Float[Tensor, "_ 3 _ _ _"]]) -> None:
    """Put the principal components of the patches of clips into it, as numbers of variance 1.

    No linear way has a smaller mean squared error. Groups of frames have components of their own; without
    clips they are those of a frame that stands still.
    """
    config = shortcut.config
    parts = [cut(clip, config, begins=True) for clip in clips]
    firsts = torch.cat([_rows(first) for first, _ in parts if first is not None])
    rests = [_rows(rest) for _, rest in parts if rest is not None]
    still = firsts.view(len(firsts), 3, 1, -1).expand(-1, -1, config.temporal_patch, -1).flatten(1)
    for place, rows in enumerate((firsts, torch.cat(rests) if rests else still)):
        _fit(shortcut.to_numbers[place], shortcut.to_pixels[place], rows)


def _rows(patches: Float[Tensor, "batch groups rows columns numbers"]) -> Float[Tensor, "n numbers"]:
    return patches.flatten(0, 3)


def _fit(into: nn.Module, back: nn.Module, rows: Float[Tensor, "n numbers"]) -> None:
    assert isinstance(into, nn.Linear) and isinstance(back, nn.Linear)
    mean = rows.mean(0)
    spread = (rows - mean).T @ (rows - mean) / len(rows)
    values, vectors = cast(tuple[Tensor, Tensor], torch.linalg.eigh(spread))  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
    count = into.out_features
    scale = values[-count:].clamp(min=1e-8).sqrt()
    into.weight.copy_((vectors[:, -count:] / scale).T)
    into.bias.copy_(-(into.weight @ mean))
    back.weight.copy_(vectors[:, -count:] * scale)
    back.bias.copy_(mean)
