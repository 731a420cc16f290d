"""Attention of many queries to very many keys whose values come from narrow vectors by a linear layer.

A row's weights sum to one, so A(MW + b) = (AM)W + b, exact but for rounding: with memories M of 64 channels
and values of 256, half of attention's work gets four times cheaper. No library kernel takes values narrower
than keys on a CPU, hence a loop of our own: tiles of logits that stay in the cache, with a running maximum.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# A tile of logits, 4 MB for each thread. Tiles of 1 MB take as long when the machine is quiet, but every tile
# makes threads wait for each other, which is dear where other programs hold a core.
_ROWS, _KEYS = 1024, 1024


def attend_narrow(
    q: Float[Tensor, "batch queries dim"],
    k: Float[Tensor, "batch keys dim"],
    narrow: Float[Tensor, "batch keys narrow"],
    widen: nn.Linear,
) -> Float[Tensor, "batch queries dim"]:
    """One head of attention to the values `widen(narrow)`."""
    if _tiles_pay(q, k, narrow):
        seen = [_attend_in_tiles(*one) for one in zip(q, k, narrow, strict=True)]
        return widen(torch.stack(seen))
    v = widen(narrow)
    return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]


def _tiles_pay(*tensors: Tensor) -> bool:
    """Whether the loop beats the fused kernel: float32 on a CPU, outside training."""
    return all(x.dtype == torch.float32 and x.device.type == "cpu" and not x.requires_grad for x in tensors)


def _attend_in_tiles(
    q: Float[Tensor, "queries dim"], k: Float[Tensor, "keys dim"], v: Float[Tensor, "keys narrow"]
) -> Float[Tensor, "queries narrow"]:
    """Attention whose logits exist one tile at a time (online softmax, Milakov and Gimelshein 2018)."""
    rows = _ROWS * torch.get_num_threads()
    tiles = list(zip(torch.split(k, _KEYS), torch.split(v, _KEYS), strict=True))
    scaled = q * q.shape[1] ** -0.5
    out = q.new_zeros(len(q), v.shape[1])
    buffer = q.new_empty(min(rows, len(q)) * min(_KEYS, len(k)))
    for asking, seen in zip(torch.split(scaled, rows), torch.split(out, rows), strict=True):
        top = q.new_full((len(asking), 1), -torch.inf)
        total = torch.zeros_like(top)
        for keys, values in tiles:
            tile = buffer[: len(asking) * len(keys)].view(len(asking), len(keys))
            torch.mm(asking, keys.T, out=tile)
            higher = torch.maximum(top, tile.amax(1, keepdim=True))
            shrink = (top - higher).exp_()
            tile.sub_(higher).exp_()
            total.mul_(shrink).add_(tile.sum(1, keepdim=True))
            seen.mul_(shrink).addmm_(tile, values)
            top = higher
        seen.div_(total)
    return out
