"""Pictures made larger: bicubic, and a learned residual that looks at pixels and at the tokens' latents.

Lim et al. 2017 (EDSR, arXiv 1707.02921) without its width: no norms, all layers on the small grid, pixels put
in their places at the end, and one trunk for all scales (section 3.3). The latents of a tokenizer are added
after the first layer: they know what stands in a window of it, and not only what a few convolutions reach.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.models.enhancing import EnhanceSpec
from segma.models.omnitokenizer.enhancer_config import EnhancerConfig

_KERNEL = 3
# Pixels that the bicubic enlargement looks at on each side; fewer than the network does.
_BICUBIC = 2


class Block(nn.Module):
    """Two convolutions round which the pixels go."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(dim, dim, _KERNEL, padding=1)
        self.second = nn.Conv2d(dim, dim, _KERNEL, padding=1)

    def forward(self, x: Float[Tensor, "batch dim h w"]) -> Float[Tensor, "batch dim h w"]:
        """The pixels, refined."""
        return x + self.second(F.relu(self.first(x)))


class Enhancer(nn.Module):
    """Pixels, value / 255 - 0.5, and latents of them, to the pixels of a larger picture."""

    def __init__(self, config: EnhancerConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.stem = nn.Conv2d(3, dim, _KERNEL, padding=1)
        self.from_latents = nn.Linear(config.channels, dim) if config.channels else None
        self.blocks = nn.ModuleList(Block(dim) for _ in range(config.blocks))
        self.heads = nn.ModuleDict(
            {str(scale): nn.Conv2d(dim, 3 * scale**2, _KERNEL, padding=1) for scale in config.scales}
        )

    @property
    def enhance_spec(self) -> EnhanceSpec:
        """What it takes and gives."""
        reach = max(2 + 2 * self.config.blocks, _BICUBIC)
        return EnhanceSpec(
            scales=self.config.scales,
            channels=self.config.channels,
            patch=self.config.patch,
            reach=reach,
            tokenizer=self.config.tokenizer,
        )

    def forward(
        self,
        pixels: Float[Tensor, "batch 3 h w"],
        latents: Float[Tensor, "batch rows columns channels"] | None,
        scale: int,
    ) -> Float[Tensor, "batch 3 large_h large_w"]:
        """The enlarged pixels, not clamped; `latents` (None without tokens) begin where the pixels do."""
        x = self.stem(pixels)
        if self.from_latents is not None:
            assert latents is not None, "the network looks at latents"
            said = self.from_latents(latents).movedim(-1, 1)  # (batch, dim, rows, columns)
            said = F.interpolate(said, scale_factor=self.config.patch, mode="bilinear")
            x = x + said[:, :, : x.shape[2], : x.shape[3]]
        for block in self.blocks:
            x = block(x)
        residual = F.pixel_shuffle(self.heads[str(scale)](x), scale)
        return enlarged(pixels, scale) + residual


def enlarged(pixels: Float[Tensor, "batch 3 h w"], scale: int) -> Float[Tensor, "batch 3 large_h large_w"]:
    """The bicubic enlargement, with the kernel that Pillow has."""
    return F.interpolate(pixels, scale_factor=scale, mode="bicubic", antialias=True)
