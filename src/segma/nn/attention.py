"""Attention with a decomposed relative position (ViTDet), and between a few tokens and many pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# Rows of logits in flight in the float32 path: 256 x 4096 x 4 bytes stay in a second-level cache.
_ROWS = 256
# Up to this many tokens (windows) all heads and windows go through one fused call.
_SMALL = 1024


class RelativeAttention(nn.Module):
    """Self-attention over an h x w map; logits get q . rel_pos_h[i - k] + q . rel_pos_w[j - l] (unscaled q).

    The tables hold 2 * side - 1 rows each and are shared by the heads (ViTDet, section 3; SAM's
    image_encoder.py).
    """

    def __init__(self, dim: int, num_heads: int, side: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        head_dim = dim // num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, head_dim))

    def forward(self, x: Float[Tensor, "batch h w dim"]) -> Float[Tensor, "batch h w dim"]:
        """Every token looks at every token of its map."""
        batch, height, width, dim = x.shape
        x = x.to(self.qkv.weight.dtype)
        qkv = self.qkv(x).view(batch, height * width, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind()  # (batch, heads, tokens, head_dim)
        rows = _relative(q, self.rel_pos_h, height, width, along=0)
        columns = _relative(q, self.rel_pos_w, height, width, along=1)
        if height * width <= _SMALL:
            out = _attend_with_bias(q, k, v, rows, columns)
        else:
            attend = _attend_in_strips if _strips_pay(q, rows) else _attend_with_bias
            out = torch.empty_like(q, memory_format=torch.contiguous_format)
            for index in range(batch):
                for head in range(self.num_heads):
                    at = (slice(index, index + 1), slice(head, head + 1))
                    out[at] = attend(q[at], k[at], v[at], rows[at], columns[at])
        out = out.transpose(1, 2).reshape(batch, height, width, dim)
        return self.proj(out)


def _relative(
    q: Float[Tensor, "batch heads tokens d"],
    table: Float[Tensor, "positions d"],
    height: int,
    width: int,
    along: int,
) -> Float[Tensor, "batch heads tokens side"]:
    """Q . table[own position - key position + side - 1] for every key position along one axis."""
    side = (height, width)[along]
    if (
        len(table) != 2 * side - 1
    ):  # a table for another side is resampled (ViTDet; never with official weights)
        resized = F.interpolate(table.float().T[None], 2 * side - 1, mode="linear")[0].T
        table = resized.to(table.dtype)
    index = torch.arange(side, device=q.device)
    steps = table[index[:, None] - index[None, :] + side - 1].to(q.dtype)  # (query, key, d)
    maps = q.reshape(*q.shape[:2], height, width, -1)
    equation = "bnyxd,ykd->bnyxk" if along == 0 else "bnyxd,xkd->bnyxk"
    return torch.einsum(equation, maps, steps).flatten(2, 3)


def _strips_pay(
    q: Float[Tensor, "batch heads tokens d"], rows: Float[Tensor, "batch heads tokens h"]
) -> bool:
    """Whether the strip loop beats the fused kernel: float32 on a CPU, outside training.

    Training may be that of the position tables alone, which shows in `rows`.
    """
    in_training = q.requires_grad or rows.requires_grad
    return q.dtype == torch.float32 and q.device.type == "cpu" and not in_training


def _attend_with_bias(
    q: Float[Tensor, "batch heads tokens d"],
    k: Float[Tensor, "batch heads tokens d"],
    v: Float[Tensor, "batch heads tokens d"],
    rows: Float[Tensor, "batch heads tokens h"],
    columns: Float[Tensor, "batch heads tokens w"],
) -> Float[Tensor, "batch heads tokens d"]:
    """The fused kernel, with the bias of all pairs as its mask."""
    bias = rows[..., :, None] + columns[..., None, :]  # (batch, heads, tokens, h, w)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.flatten(-2))


def _attend_in_strips(
    q: Float[Tensor, "1 1 tokens d"],
    k: Float[Tensor, "1 1 tokens d"],
    v: Float[Tensor, "1 1 tokens d"],
    rows: Float[Tensor, "1 1 tokens h"],
    columns: Float[Tensor, "1 1 tokens w"],
) -> Float[Tensor, "1 1 tokens d"]:
    """Attention of one head, strip by strip: the bias is added while a strip of logits is in the cache.

    A third faster on a CPU than the fused kernel with a mask, and never holds tokens x tokens numbers.
    """
    tokens, dim = q.shape[2:]
    height, width = rows.shape[-1], columns.shape[-1]
    scaled, keys, values = q[0, 0] * dim**-0.5, k[0, 0].T, v[0, 0].contiguous()
    logits = q.new_empty(_ROWS, height, width)
    weights = q.new_empty(_ROWS, tokens)
    out = q.new_empty(tokens, dim)
    for start in range(0, tokens, _ROWS):
        part = slice(start, min(start + _ROWS, tokens))
        n = part.stop - start
        torch.add(rows[0, 0, part, :, None], columns[0, 0, part, None, :], out=logits[:n])
        flat = logits[:n].view(n, tokens).addmm_(scaled[part], keys)
        torch.softmax(flat, -1, out=weights[:n])
        torch.mm(weights[:n], values, out=out[part])
    return out[None, None]
