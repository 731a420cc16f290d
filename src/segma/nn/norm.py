"""Norms."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a channels-first map, at each pixel, biased variance.

    ViTDet calls it LayerNorm2d; eps is 1e-6 everywhere in SAM.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, input: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        """The normed map."""
        rows = input.permute(0, 2, 3, 1)
        return layer_norm(self, rows).permute(0, 3, 1, 2)


def layer_norm(norm: nn.LayerNorm, x: Float[Tensor, "... c"]) -> Float[Tensor, "... c"]:
    """`norm` over the last axis, in the type of `x`.

    The weights follow the data, so that a float32 norm serves a bfloat16 image side; the statistics are
    float32 inside either way.
    """
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)
