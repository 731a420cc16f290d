"""SAM's image encoder: a plain ViT with windows, some global blocks, and a two-convolution neck.

SAM section 3 and appendix A; ViTDet (arXiv 2203.16527). Names are those of the official checkpoint.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segma.nn.attention import RelativeAttention
from segma.nn.mlp import Mlp
from segma.nn.norm import ChannelNorm
from segma.nn.patch import PatchEmbed
from segma.nn.window import from_windows, to_windows


class Block(nn.Module):
    """Pre-norm attention and MLP with residuals; attention in windows unless `window` is 0.

    The residual stream stays float32 whatever the weights of the linear layers are.
    """

    def __init__(self, dim: int, num_heads: int, mlp_dim: int, window: int, side: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = RelativeAttention(dim, num_heads, window or side)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, mlp_dim)
        self.window = window

    def forward(self, x: Float[Tensor, "batch h w dim"]) -> Float[Tensor, "batch h w dim"]:
        """One block."""
        normed = self.norm1(x).to(self.attn.qkv.weight.dtype)
        if self.window:
            windows = self.attn(to_windows(normed, self.window))
            x = x + from_windows(windows, (x.shape[1], x.shape[2]))
        else:
            x = x + self.attn(normed)
        return x + self.mlp(self.norm2(x).to(self.mlp.lin1.weight.dtype))


class SamVit(nn.Module):
    """Pixels to the image embedding, at a sixteenth of the side."""

    def __init__(
        self,
        *,
        image_size: int,
        patch_size: int,
        dim: int,
        depth: int,
        num_heads: int,
        mlp_dim: int,
        output_dim: int,
        window: int,
        global_blocks: tuple[int, ...],
    ) -> None:
        super().__init__()
        side = image_size // patch_size
        self.patch_embed = PatchEmbed(patch_size, dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, dim))
        self.blocks = nn.ModuleList(
            Block(dim, num_heads, mlp_dim, 0 if index in global_blocks else window, side)
            for index in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(dim, output_dim, 1, bias=False),
            ChannelNorm(output_dim),
            nn.Conv2d(output_dim, output_dim, 3, padding=1, bias=False),
            ChannelNorm(output_dim),
        )

    def forward(self, pixels: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch dim h w"]:
        """The embedding of normalised pixels, in the type of the convolutions."""
        x = self.patch_embed(pixels) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2).to(self.neck[0].weight.dtype))
