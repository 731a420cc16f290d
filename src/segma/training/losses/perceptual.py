"""LPIPS: how different two pictures look to VGG16 (Zhang et al. 2018, version 0.1).

Its weights are the user's: nothing of them is shipped. Names are those of the official checkpoints of
OmniTokenizer, which carry them as `perceptual_model`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# Widths of VGG16's convolutions, slice by slice, and the place of each slice's first layer.
_SLICES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPS = 1e-10


class ScalingLayer(nn.Module):
    """Channels as VGG16 was trained on them, from -1..1."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(_SHIFT)[None, :, None, None])
        self.register_buffer("scale", torch.tensor(_SCALE)[None, :, None, None])

    def forward(self, x: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch 3 h w"]:
        """The scaled picture."""
        return (x - self.shift) / self.scale


class Vgg16(nn.Module):
    """VGG16's maps before each pooling."""

    def __init__(self) -> None:
        super().__init__()
        place, before = 0, 3
        for number, widths in enumerate(_SLICES, 1):
            layers: dict[str, nn.Module] = {}
            if number > 1:
                layers[str(place)] = nn.MaxPool2d(2)
                place += 1
            for width in widths:
                layers[str(place)] = nn.Conv2d(before, width, 3, padding=1)
                layers[str(place + 1)] = nn.ReLU()
                place, before = place + 2, width
            self.add_module(f"slice{number}", nn.ModuleDict(layers))

    def forward(self, x: Float[Tensor, "batch 3 h w"]) -> list[Tensor]:
        """Five maps, the finest first."""
        maps: list[Tensor] = []
        for number in range(1, len(_SLICES) + 1):
            for layer in self.get_submodule(f"slice{number}").children():
                x = layer(x)
            maps.append(x)
        return maps


class Lpips(nn.Module):
    """The distance of pictures of -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self.scaling_layer = ScalingLayer()
        self.net = Vgg16()
        for number, widths in enumerate(_SLICES):
            conv = nn.Conv2d(widths[-1], 1, 1, bias=False)
            self.add_module(f"lin{number}", nn.ModuleDict({"model": nn.ModuleDict({"1": conv})}))

    def forward(
        self, one: Float[Tensor, "batch 3 h w"], other: Float[Tensor, "batch 3 h w"]
    ) -> Float[Tensor, " batch"]:
        """The distance of each pair."""
        maps = [self.net(self.scaling_layer(each)) for each in (one, other)]
        total = one.new_zeros(len(one))
        for number, (a, b) in enumerate(zip(*maps, strict=True)):
            squares = (_unit(a) - _unit(b)).square()
            weight = self.get_parameter(f"lin{number}.model.1.weight")
            total = total + F.conv2d(squares, weight).mean((1, 2, 3))
        return total


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + _EPS)
