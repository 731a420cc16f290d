"""SAM 2's image encoder: the trunk and a feature pyramid of 1 x 1 convolutions (section 2 of appendix D.1).

The two finest levels are only ever used through two more 1 x 1 convolutions, so both are done as one: the
wide fine maps (67 MB for the finest) are never made.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.models.sam2.config import Sam2Config
from segma.nn.backbones.conv_pyramid import ConvPyramid
from segma.nn.backbones.hiera import Hiera, TokenMap


class Lateral(nn.Module):
    """One level of the pyramid. It exists for the official name."""

    def __init__(self, dim: int, output_dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, output_dim, 1)


class Neck(nn.Module):
    """Laterals, the deepest first as in the official file; only stride 32 is added into stride 16."""

    def __init__(self, widths: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Lateral(width, dim) for width in reversed(widths))

    def lateral(
        self, level: int, stage: TokenMap, after: nn.Conv2d | None = None
    ) -> Float[Tensor, "batch h w dim"]:
        """The map of a level (0 is the finest), then through `after`, a 1 x 1 convolution, in one step."""
        conv = self.convs[len(self.convs) - 1 - level].get_submodule("conv")
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        kind = conv.weight.dtype
        weight, bias = conv.weight.flatten(1), conv.bias
        if after is not None:
            assert after.bias is not None
            second = after.weight.flatten(1)
            bias = torch.addmv(after.bias, second, bias.to(second.dtype))
            weight = second @ weight.to(second.dtype)
        tokens = F.linear(stage.tokens.to(kind), weight.to(kind), bias.to(kind))
        return TokenMap(tokens, stage.size).whole()

    def deep(self, stages: list[TokenMap]) -> Float[Tensor, "batch h w dim"]:
        """The map of stride 16: its lateral plus that of stride 32, each cell four times."""
        coarse = self.lateral(3, stages[3]).float()
        coarse = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)
        fine = self.lateral(2, stages[2])
        return (fine.float() + coarse).to(fine.dtype)


class ImageEncoder(nn.Module):
    """Pixels to the map of stride 16 and the two fine ones."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.trunk = _hiera(config) if config.trunk == "hiera" else _conv(config)
        self.neck = Neck(config.stage_widths, config.dim)

    def forward(
        self, pixels: Float[Tensor, "batch 3 size size"], after: tuple[nn.Conv2d, nn.Conv2d]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of strides 16, 4, 8, channels first; the last two went through the convolutions `after`.

        In the type of the neck's convolutions.
        """
        stages = self.trunk(pixels)
        finest, fine = (self.neck.lateral(level, stages[level], conv) for level, conv in enumerate(after))
        deep, finest, fine = (x.permute(0, 3, 1, 2) for x in (self.neck.deep(stages), finest, fine))
        return deep, finest, fine


def _hiera(config: Sam2Config) -> Hiera:
    return Hiera(
        depths=config.stage_depths,
        widths=config.stage_widths,
        heads=config.stage_heads,
        mlp_dims=config.stage_mlp_dims,
        windows=config.windows,
        global_blocks=config.global_blocks,
        position_side=config.position_side,
        window_position_side=config.window_position_side,
    )


def _conv(config: Sam2Config) -> ConvPyramid:
    return ConvPyramid(depths=config.stage_depths, widths=config.stage_widths)
