"""Position codes: learned frequencies of SAM, and the fixed sines of SAM 2."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RandomFourier(nn.Module):
    """Random Fourier features of positions in [0, 1]^2 (SAM, appendix A; Tancik et al. 2020).

    The matrix is drawn once and saved with the weights. Always computed in float32: positions of 1024
    pixels do not survive bfloat16.
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        # Official names: this buffer and those of the layers around it address the checkpoint.
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, dim // 2))

    def forward(self, xy: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape dim"]:
        """Sines, then cosines."""
        matrix = self.positional_encoding_gaussian_matrix.float()
        phase = 2 * math.pi * ((2 * xy.float() - 1) @ matrix)
        return torch.cat([phase.sin(), phase.cos()], -1)

    def grid(self, height: int, width: int) -> Float[Tensor, "tokens dim"]:
        """Codes of the cell centres of a grid, row by row."""
        device = self.positional_encoding_gaussian_matrix.device
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        return self(torch.stack([columns, rows], -1)).flatten(0, 1)


def sine_map(
    dim: int, height: int, width: int, *, device: torch.device, stride: int = 1
) -> Float[Tensor, "tokens dim"]:
    """Fixed codes of the cells of a map, row by row (SAM 2): half of the channels for y, then half for x.

    The map may be a pooled one: then each of its cells stands in the middle of `stride` x `stride` cells of
    the grid whose code this is.
    """
    half = dim // 2
    y, x = (_sines(_middles(side, stride, device), half, turn=side * stride) for side in (height, width))
    return torch.cat([y[:, None].expand(-1, width, -1), x.expand(height, -1, -1)], -1).flatten(0, 1)


def sine_line(dim: int, positions: Float[Tensor, " n"]) -> Float[Tensor, "n dim"]:
    """Fixed codes of numbers (SAM 2's pointers): sines of all frequencies, then cosines."""
    half = dim // 2
    phases = positions.float()[:, None] / _divisors(half, positions.device)
    return torch.cat([phases.sin(), phases.cos()], -1)


def _middles(side: int, stride: int, device: torch.device) -> Float[Tensor, " side"]:
    return torch.arange(side, device=device) * stride + (stride - 1) / 2


def _sines(cells: Float[Tensor, " side"], half: int, *, turn: int) -> Float[Tensor, "side half"]:
    """Even channels are sines, odd ones cosines, of cells counted from one; a whole side is one turn."""
    phases = ((cells + 1) / (turn + 1e-6) * 2 * math.pi)[:, None] / _divisors(half, cells.device)
    return torch.stack([phases[:, ::2].sin(), phases[:, 1::2].cos()], -1).flatten(1)


def _divisors(half: int, device: torch.device) -> Float[Tensor, " half"]:
    index = torch.arange(half, device=device)
    return 10000.0 ** (2 * (index // 2) / half)
