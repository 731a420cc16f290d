"""Hiera as SAM 2 uses it: four stages, each half the side and twice the width, attention in windows.

SAM 2 appendix D.1; Hiera (arXiv 2306.00989). Names are those of the official checkpoint. Between blocks that
have the same windows the tokens stay in them: norms and MLPs do not care for their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.nn.mlp import MlpStack
from segma.nn.window import from_windows, to_windows

_STRIDE = 4


@dataclass(frozen=True, slots=True)
class TokenMap:
    """A map of `size` x `size` tokens, whole or cut into windows, row by row."""

    tokens: Float[Tensor, "parts side side dim"]
    size: int

    @property
    def side(self) -> int:
        """Side of a part."""
        return self.tokens.shape[1]

    def cut(self, side: int) -> TokenMap:
        """The map in parts of this side, which must divide the size; the whole map has its own size."""
        if side == self.side:
            return self
        tokens = self.tokens
        if self.side != self.size:
            tokens = from_windows(tokens, (self.size, self.size))
        return TokenMap(tokens if side == self.size else to_windows(tokens, side), self.size)

    def whole(self) -> Float[Tensor, "batch size size dim"]:
        """The map in one part."""
        return self.cut(self.size).tokens


class WindowAttention(nn.Module):
    """Plain attention among the tokens of a part; `pool` halves the side of queries, and so of the output."""

    def __init__(self, dim: int, output_dim: int, num_heads: int, *, pool: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pool = pool
        self.qkv = nn.Linear(dim, 3 * output_dim)
        self.proj = nn.Linear(output_dim, output_dim)

    def forward(self, x: Float[Tensor, "parts side side dim"]) -> Float[Tensor, "parts out out output_dim"]:
        """Every (pooled) token looks at every token of its part."""
        width = self.proj.in_features
        qkv = self.qkv(x)  # (parts, side, side, 3 * output_dim)
        q, k, v = (qkv[..., width * part : width * (part + 1)] for part in range(3))
        if self.pool:
            q = pool_by_two(q)
        seen = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v))
        return self.proj(seen.transpose(1, 2).reshape(q.shape))

    def _split(self, x: Float[Tensor, "parts h w dim"]) -> Float[Tensor, "parts heads tokens head_dim"]:
        return x.reshape(x.shape[0], x.shape[1] * x.shape[2], self.num_heads, -1).transpose(1, 2)


class HieraBlock(nn.Module):
    """Pre-norm attention and MLP with residuals.

    Where a stage begins the width changes, and queries and the shortcut (of the normed input) are pooled.
    `window` is the side of the parts, 0 for the whole map. The residual stream stays float32.
    """

    def __init__(
        self, dim: int, output_dim: int, num_heads: int, mlp_dim: int, window: int, *, pool: bool
    ) -> None:
        super().__init__()
        self.window = window
        self.pool = pool
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = WindowAttention(dim, output_dim, num_heads, pool=pool)
        self.norm2 = nn.LayerNorm(output_dim, eps=1e-6)
        self.mlp = MlpStack(output_dim, mlp_dim, output_dim, 2, F.gelu)
        if dim != output_dim:
            self.proj = nn.Linear(dim, output_dim)

    def forward(self, x: TokenMap) -> TokenMap:
        """One block."""
        is_padded = bool(self.window) and x.size % self.window != 0
        x = x.cut(self.window if self.window and not is_padded else x.size)
        normed = self.norm1(x.tokens).to(self.attn.qkv.weight.dtype)
        size = x.size // 2 if self.pool else x.size
        shortcut = x.tokens
        if self.attn.qkv.in_features != self.attn.proj.out_features:
            shortcut = self.proj(normed)
        if self.pool:
            shortcut = pool_by_two(shortcut)
        if is_padded:  # zeros are added after the norm and take part, as in the original
            seen = from_windows(self.attn(to_windows(normed, self.window)), (size, size))
        else:
            seen = self.attn(normed)
        tokens = shortcut.float() + seen
        mlp_type = self.attn.qkv.weight.dtype
        return TokenMap(tokens + self.mlp(self.norm2(tokens).to(mlp_type)), size)


class Hiera(nn.Module):
    """Pixels to the maps after each stage, finest first; no norm after the last."""

    def __init__(
        self,
        *,
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        heads: tuple[int, ...],
        mlp_dims: tuple[int, ...],
        windows: tuple[int, ...],
        global_blocks: tuple[int, ...],
        position_side: int,
        window_position_side: int,
    ) -> None:
        super().__init__()
        self.depths = depths
        self.patch_embed = nn.Module()  # the official name has a level more
        self.patch_embed.proj = nn.Conv2d(3, widths[0], 7, _STRIDE, 3)
        self.pos_embed = nn.Parameter(torch.zeros(1, widths[0], position_side, position_side))
        self.pos_embed_window = nn.Parameter(
            torch.zeros(1, widths[0], window_position_side, window_position_side)
        )
        self.blocks = nn.ModuleList()
        for stage, depth in enumerate(depths):
            for index in range(depth):
                before = stage - 1 if stage and not index else stage
                # the first block of a stage still has the windows of the stage before
                window = 0 if len(self.blocks) in global_blocks else windows[before]
                self.blocks.append(
                    HieraBlock(
                        widths[before],
                        widths[stage],
                        heads[stage],
                        mlp_dims[stage],
                        window,
                        pool=before != stage,
                    )
                )

    def forward(self, pixels: Float[Tensor, "batch 3 size size"]) -> list[TokenMap]:
        """Maps at strides 4, 8, 16, 32, in whatever windows the last block of the stage has."""
        x = self._embed(pixels)
        stages: list[TokenMap] = []
        blocks = iter(self.blocks)
        for depth in self.depths:
            for _ in range(depth):
                x = next(blocks)(x)
            stages.append(x)
        return stages

    def _embed(self, pixels: Float[Tensor, "batch 3 size size"]) -> TokenMap:
        proj = self.patch_embed.get_submodule("proj")
        assert isinstance(proj, nn.Conv2d)
        tokens = proj(pixels.to(proj.weight.dtype)).permute(0, 2, 3, 1)
        return TokenMap(tokens + self._position(tokens.shape[1]), tokens.shape[1])

    def _position(self, size: int) -> Float[Tensor, "size size dim"]:
        """The coarse table made smooth (bicubic) over the map, plus the small one side by side.

        The coarse one is resized as two products with the weights of one axis: four times faster.
        """
        table = self.pos_embed[0]  # (dim, side, side)
        every = torch.eye(table.shape[1], dtype=table.dtype, device=table.device)
        weights = F.interpolate(every[None, :, :, None], (size, 1), mode="bicubic")[0, :, :, 0].T
        coarse = weights @ torch.einsum("yi,cij->yjc", weights, table)  # (size, size, dim)
        small = self.pos_embed_window[0].permute(1, 2, 0)
        side = small.shape[0]
        tiles = coarse.view(size // side, side, size // side, side, -1) + small[:, None]
        return tiles.view(coarse.shape)


def pool_by_two(x: Float[Tensor, "parts h w dim"]) -> Float[Tensor, "parts h2 w2 dim"]:
    """The largest of each 2 x 2 tokens, by channel."""
    rows = torch.maximum(x[:, ::2], x[:, 1::2])
    return torch.maximum(rows[:, :, ::2], rows[:, :, 1::2])
