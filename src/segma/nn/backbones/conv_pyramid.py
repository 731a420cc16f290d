"""A plain convolutional trunk for small models: what processors without matrix units run fastest.

Four stages of residual 3 x 3 convolutions at strides 4, 8, 16 and 32, then a way back to the fine maps, so
that those know what the coarse ones have seen. Dense 3 x 3 convolutions reach the arithmetic peak of a CPU;
depthwise ones and attention in windows wait for memory (docs/decisions/0016-conv-trunk.md).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.nn.backbones.hiera import TokenMap
from segma.nn.norm import ChannelNorm


class ConvBlock(nn.Module):
    """x + two convolutions of the normed x. `drop_path` is the share of pictures that skip it in training."""

    drop_path: float = 0.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        nn.init.normal_(self.conv2.weight, std=0.2 / (9 * width) ** 0.5)

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        """The map with what the block adds."""
        added = self.conv2(F.relu(self.conv1(self.norm(x))))
        if self.training and self.drop_path:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop_path
            added = added * kept.to(added.dtype) / (1 - self.drop_path)
        return x + added


class ConvPyramid(nn.Module):
    """Pixels to maps of strides 4, 8, 16, 32. Each finer map got the coarser ones added on the way back."""

    def __init__(self, *, depths: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        half = max(16, widths[0] // 2)
        self.stem = nn.Sequential(nn.Conv2d(3, half, 3, 2, 1), nn.ReLU(), nn.Conv2d(half, widths[0], 3, 2, 1))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvBlock(width) for _ in range(depth)))
            for depth, width in zip(depths, widths, strict=True)
        )
        pairs = list(pairwise(widths))
        self.halve = nn.ModuleList(
            nn.Sequential(ChannelNorm(fine), nn.Conv2d(fine, coarse, 3, 2, 1)) for fine, coarse in pairs
        )
        self.back = nn.ModuleList(
            nn.Sequential(ChannelNorm(coarse), nn.Conv2d(coarse, fine, 1)) for fine, coarse in pairs
        )
        self.merge = nn.ModuleList(ConvBlock(fine) for fine, _ in pairs)
        self.norms = nn.ModuleList(ChannelNorm(width) for width in widths)

    def forward(self, pixels: Float[Tensor, "batch 3 size size"]) -> list[TokenMap]:
        """The maps, finest first, channels last."""
        kind = self.stem[0].get_parameter("weight").dtype
        x = self.stem(pixels.to(kind).contiguous(memory_format=torch.channels_last))
        maps = [self.stages[0](x)]
        for halve, stage in zip(self.halve, self.stages[1:], strict=True):
            maps.append(stage(halve(maps[-1])))
        for level in reversed(range(len(self.back))):
            coarse = F.interpolate(self.back[level](maps[level + 1]), scale_factor=2.0, mode="nearest")
            maps[level] = self.merge[level](maps[level] + coarse)
        normed = (norm(x).permute(0, 2, 3, 1) for norm, x in zip(self.norms, maps, strict=True))
        return [TokenMap(x, x.shape[1]) for x in normed]
