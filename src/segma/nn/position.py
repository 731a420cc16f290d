"""Position codes."""

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
