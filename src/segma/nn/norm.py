"""Norms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Layer norm over the channels of a channels-first map, at each pixel, biased variance.

    ViTDet calls it LayerNorm2d; eps is 1e-6 everywhere in SAM.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = 1e-6

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        """The normed map, in the type and the memory order of `x`."""
        if x.stride(1) == 1:  # the channels of a pixel lie side by side
            return layer_norm(self, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        # Plane by plane: several times faster on a CPU than the library's norm of very short rows.
        centred = x.float() - x.float().mean(1, keepdim=True)
        scale = (centred.square().mean(1, keepdim=True) + self.eps).rsqrt()
        weight, bias = (vector.float().view(-1, 1, 1) for vector in (self.weight, self.bias))
        return torch.addcmul(bias, centred * scale, weight).to(x.dtype)


def layer_norm(norm: nn.LayerNorm | ChannelNorm, x: Float[Tensor, "... c"]) -> Float[Tensor, "... c"]:
    """`norm` over the last axis, in the type of `x`.

    The weights follow the data, so that a float32 norm serves a bfloat16 image side; the statistics are
    float32 inside either way.
    """
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return F.layer_norm(x, weight.shape, weight, bias, norm.eps)
