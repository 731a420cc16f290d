"""Images to patches."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """A strided convolution, patches side by side, channels last."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch h w dim"]:
        """One vector a patch."""
        return self.proj(pixels.to(self.proj.weight.dtype)).permute(0, 2, 3, 1)
