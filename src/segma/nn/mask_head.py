"""From the image side of the decoder to mask logits at four times its resolution.

The two transposed convolutions have stride and size 2, so every cell becomes 2 x 2 cells on its own: they
are linear layers on rows of cells, and norm and activation act inside a cell. Only the finished logits are
put in the order of the picture.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.nn.norm import ChannelNorm, layer_norm


def upscaling(dim: int) -> nn.Sequential:
    """The official stack: dim -> dim / 4 -> dim / 8 channels, four times the side."""
    return nn.Sequential(
        nn.ConvTranspose2d(dim, dim // 4, 2, 2),
        ChannelNorm(dim // 4),
        nn.GELU(),
        nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2),
        nn.GELU(),
    )


def upscale(
    stack: nn.Sequential, image: Float[Tensor, "batch cells dim"]
) -> Float[Tensor, "batch cells 4 4 c"]:
    """`upscaling` on rows of cells: each cell's 2 x 2 (axis 2) of 2 x 2 (axis 3) finer cells."""
    first, norm, _, second, _ = stack
    assert isinstance(first, nn.ConvTranspose2d) and isinstance(norm, ChannelNorm)
    assert isinstance(second, nn.ConvTranspose2d)
    fine = F.gelu(layer_norm(norm, _quadruple(first, image)))  # (batch, cells, 4, dim / 4)
    return F.gelu(_quadruple(second, fine))


def draw(
    fine: Float[Tensor, "batch cells 4 4 c"], weights: Float[Tensor, "batch masks c"]
) -> Float[Tensor, "batch masks side side"]:
    """Logits: the product of each mask's vector with every fine cell, in the order of the picture."""
    batch, cells = fine.shape[:2]
    grid = round(cells**0.5)
    logits = fine.flatten(1, 3) @ weights.to(fine.dtype).transpose(1, 2)  # (batch, cells * 16, masks)
    logits = logits.view(batch, grid, grid, 2, 2, 2, 2, -1)  # (batch, y, x, dy, dx, ddy, ddx, masks)
    picture = logits.permute(0, 7, 1, 3, 5, 2, 4, 6)
    return picture.reshape(batch, -1, grid * 4, grid * 4).float()


def _quadruple(
    convolution: nn.ConvTranspose2d, x: Float[Tensor, "*shape c"]
) -> Float[Tensor, "*shape 4 out"]:
    """A 2 x 2, stride 2 transposed convolution of every row: outputs (0, 0), (0, 1), (1, 0), (1, 1)."""
    channels = convolution.out_channels
    weight = convolution.weight.permute(2, 3, 1, 0).reshape(4 * channels, -1).to(x.dtype)
    assert convolution.bias is not None
    bias = convolution.bias.repeat(4).to(x.dtype)
    return F.linear(x, weight, bias).view(*x.shape[:-1], 4, channels)
