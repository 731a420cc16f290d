"""Discriminators of patches of images and of clips, and the losses they give (OmniTokenizer, section 3).

The modules are named as in the official checkpoints, so that training can go on from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_WIDTHS = (64, 128, 256, 512)
_STRIDES = (2, 2, 2, 1)
_SIDE, _PADDING, _SLOPE = 4, 2, 0.2


@dataclass(frozen=True, slots=True)
class Judged:
    """What a discriminator says: a logit for each patch (above 0: real), and the maps on the way there."""

    logits: Tensor
    maps: tuple[Tensor, ...]


class Noise(nn.Module):
    """Noise on the input, of a learned strength for each channel that begins at none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "batch channels *places"]) -> Float[Tensor, "batch channels *places"]:
        """The noisy input."""
        if not bool(self.weight.any()):
            return x
        return x + self.weight.view(1, -1, *[1] * (x.ndim - 2)) * torch.randn_like(x[:, :1])


class PatchDiscriminator(nn.Module):
    """Five convolutions over images (`axes` 2) or clips (3); see the table in the specification, section 6.

    parity: the numbers in the names leave out what the official code has as a blur that does nothing, and
    that of clips ends with a norm and an activation.
    """

    def __init__(self, axes: int, channels: int = 3) -> None:
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if axes == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.noise = Noise(channels)
        before = channels
        for number, (width, stride) in enumerate(zip(_WIDTHS, _STRIDES, strict=True)):
            layers: list[nn.Module] = [conv(before, width, _SIDE, stride, _PADDING)]
            layers += [norm(width)] if number else []
            layers.append(nn.LeakyReLU(_SLOPE))
            blur = [nn.Identity()] if number in (1, 2) else []
            self.add_module(f"model{number}", nn.Sequential(*blur, *layers))
            before = width
        last: list[nn.Module] = [conv(before, 1, _SIDE, 1, _PADDING)]
        last += [norm(1), nn.LeakyReLU(_SLOPE)] if axes == 3 else []
        self.add_module(f"model{len(_WIDTHS)}", nn.Sequential(*last))

    def forward(self, x: Float[Tensor, "batch channels *places"]) -> Judged:
        """What it says of pixels."""
        x = self.noise(x)
        maps: list[Tensor] = []
        for number in range(len(_WIDTHS) + 1):
            x = self.get_submodule(f"model{number}")(x)
            maps.append(x)
        return Judged(maps[-1], tuple(maps[:-1]))


def hinge_loss(real: Tensor, made: Tensor) -> Float[Tensor, ""]:
    """The discriminator's: real patches above 1, made ones below -1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + made).mean())


def fooling_loss(made: Tensor) -> Float[Tensor, ""]:
    """The generator's: made patches as far above 0 as can be."""
    return -made.mean()


def matching_loss(real: Judged, made: Judged) -> Float[Tensor, ""]:
    """How far the maps on the way are from those of the real picture, which give no gradient."""
    pairs = zip(made.maps, real.maps, strict=True)
    return torch.stack([F.l1_loss(one, other.detach()) for one, other in pairs]).sum()
