"""Windows of a token map, for attention inside them."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def to_windows(x: Float[Tensor, "batch h w dim"], side: int) -> Float[Tensor, "windows side side dim"]:
    """Windows of `side` x `side` tokens, row by row.

    Where the side does not divide the map, zeros are added right and bottom; they take part like any token
    (ViTDet does not mask them).
    """
    batch, height, width, dim = x.shape
    x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    rows, columns = x.shape[1] // side, x.shape[2] // side
    x = x.view(batch, rows, side, columns, side, dim).transpose(2, 3)
    return x.reshape(-1, side, side, dim)


def from_windows(
    windows: Float[Tensor, "windows side side dim"], size: tuple[int, int]
) -> Float[Tensor, "batch h w dim"]:
    """The map of `size` = (height, width) again, added zeros cut off."""
    side, dim = windows.shape[1], windows.shape[3]
    rows, columns = -(-size[0] // side), -(-size[1] // side)
    x = windows.view(-1, rows, columns, side, side, dim).transpose(2, 3)
    return x.reshape(-1, rows * side, columns * side, dim)[:, : size[0], : size[1]]
