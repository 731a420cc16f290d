"""How different two pictures are in their frequencies: a perceptual loss that needs no trained features."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# Sides of the blocks whose frequencies are compared; each is moved by half of itself.
_SIDES = (8, 16, 32)


def spectral_loss(
    made: Float[Tensor, "pictures 3 h w"], real: Float[Tensor, "pictures 3 h w"]
) -> Float[Tensor, ""]:
    """The mean difference of amplitudes in windowed blocks of several sizes, whatever the phases are.

    So texture of the right strength costs little where it is not pixel for pixel the same, and a blur costs
    much. Pixels are of a range of 1; zero for equal pictures.
    """
    losses: list[Tensor] = []
    for side in _SIDES:
        if min(made.shape[-2:]) < side:
            continue
        one, other = (_amplitudes(each.float(), side) for each in (made, real))
        losses.append(F.l1_loss(one, other))
    return torch.stack(losses).mean() if losses else made.new_zeros(())


def _amplitudes(x: Float[Tensor, "pictures 3 h w"], side: int) -> Tensor:
    blocks = x.unfold(2, side, side // 2).unfold(3, side, side // 2)
    window = torch.hann_window(side, device=x.device)
    seen = blocks * window[:, None] * window
    spectrum = cast(Tensor, torch.fft.rfft2(seen, norm="ortho"))  # pyright: ignore[reportUnknownMemberType]  untyped
    return torch.view_as_real(spectrum).square().sum(-1).add(1e-8).sqrt()
