"""From the image side of the decoder to mask logits at four times its resolution.

The two transposed convolutions have stride and size 2, so every cell becomes 2 x 2 cells on its own: they
are linear layers on rows of cells, and norm and activation act inside a cell. Only the finished logits are
put in the order of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from segma.nn.norm import ChannelNorm, layer_norm


class Refiner(nn.Module):
    """Two 3 x 3 convolutions on the finest maps of a prompt and the prompt as drawn: what they add (ours)."""

    def __init__(self, channels: int, num_maps: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels + num_maps, width, 3, padding=1)
        self.second = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")

    def forward(
        self, fine: Float[Tensor, "batch c side side"], prompt: Float[Tensor, "batch maps side side"] | None
    ) -> Float[Tensor, "batch c side side"]:
        """The finest maps with the addition."""
        fine = fine.to(self.first.weight.dtype)
        seen = fine.contiguous(memory_format=torch.channels_last)
        if prompt is not None:  # in the same order before they are joined, which is faster
            prompt = prompt.to(fine.dtype).contiguous(memory_format=torch.channels_last)
            seen = torch.cat([seen, prompt], 1)
        return fine + self.second(F.relu(self.first(seen)))


@dataclass(frozen=True, slots=True)
class Refined:
    """A refiner and the drawn prompts (one for each prompt) that it will see."""

    refiner: Refiner
    prompt: Float[Tensor, "batch maps side side"] | None

    def rows(self, rows: list[int]) -> Refined:
        """For some of the prompts."""
        return Refined(self.refiner, None if self.prompt is None else self.prompt[rows])

    def draw(
        self, fine: Float[Tensor, "batch cells 4 4 c"], weights: Float[Tensor, "batch masks c"]
    ) -> Float[Tensor, "batch masks side side"]:
        """Logits of the refined maps."""
        return self.drawn(self.maps(fine), weights)

    def maps(self, fine: Float[Tensor, "batch cells 4 4 c"]) -> Float[Tensor, "batch c side side"]:
        """The refined maps."""
        return self.refiner(in_picture_order(fine), self.prompt)

    @staticmethod
    def drawn(
        maps: Float[Tensor, "batch c side side"], weights: Float[Tensor, "batch masks c"]
    ) -> Float[Tensor, "batch masks side side"]:
        """Logits of masks, from their vectors."""
        return torch.einsum("bmc,bcyx->bmyx", weights.to(maps.dtype), maps).float()


def in_picture_order(fine: Float[Tensor, "batch cells 4 4 c"]) -> Float[Tensor, "batch c side side"]:
    """Finest cells in the order of the picture, channels first (the channels of a pixel lie side by side)."""
    batch, cells, *_, channels = fine.shape
    grid = round(cells**0.5)
    maps = fine.view(batch, grid, grid, 2, 2, 2, 2, channels)  # (batch, y, x, dy, dx, ddy, ddx, c)
    maps = maps.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(batch, grid * 4, grid * 4, channels)
    return maps.permute(0, 3, 1, 2)


def upscaling(dim: int) -> nn.Sequential:
    """The official stack: dim -> dim / 4 -> dim / 8 channels, four times the side."""
    return nn.Sequential(
        nn.ConvTranspose2d(dim, dim // 4, 2, 2),
        ChannelNorm(dim // 4),
        nn.GELU(),
        nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2),
        nn.GELU(),
    )


@dataclass(frozen=True, slots=True)
class Skips:
    """Fine maps of the encoder in the order of cells (SAM 2), of one image or of one for each prompt."""

    finest: Float[Tensor, "_ cells 4 4 c"]
    fine: Float[Tensor, "_ cells 4 2*c"]

    @classmethod
    def of(cls, finest: Float[Tensor, "_ c h4 w4"], fine: Float[Tensor, "_ 2*c h2 w2"]) -> Skips:
        """From maps at four times and at twice the side of the image."""
        count, channels, grid = len(fine), finest.shape[1], fine.shape[2] // 2
        halves = fine.reshape(count, -1, grid, 2, grid, 2).permute(0, 2, 4, 3, 5, 1)
        quarters = finest.reshape(count, -1, grid, 2, 2, grid, 2, 2).permute(0, 2, 5, 3, 6, 4, 7, 1)
        return cls(  # (_, y, x, dy, dx, ddy, ddx, c) and (_, y, x, dy, dx, 2c)
            finest=quarters.reshape(count, grid * grid, 4, 4, channels),
            fine=halves.reshape(count, grid * grid, 4, 2 * channels),
        )

    def __getitem__(self, rows: list[int]) -> Skips:
        """Those of some prompts; those of a single image serve all."""
        return self if len(self.fine) == 1 else Skips(self.finest[rows], self.fine[rows])


def upscale(
    stack: nn.Sequential, image: Float[Tensor, "batch cells dim"], skips: Skips | None = None
) -> Float[Tensor, "batch cells 4 4 c"]:
    """`upscaling` on rows of cells: each cell's 2 x 2 (axis 2) of 2 x 2 (axis 3) finer cells.

    `skips` are added before the norm and before the last activation.
    """
    first, norm, _, second, _ = stack
    assert isinstance(first, nn.ConvTranspose2d) and isinstance(norm, ChannelNorm)
    assert isinstance(second, nn.ConvTranspose2d)
    fine = _quadruple(first, image)  # (batch, cells, 4, dim / 4)
    if skips is not None:
        fine = fine + skips.fine.to(fine.dtype)
    finest = _quadruple(second, F.gelu(layer_norm(norm, fine)))
    if skips is not None:
        finest = finest + skips.finest.to(finest.dtype)
    return F.gelu(finest)


def draw(
    fine: Float[Tensor, "batch cells 4 4 c"], weights: Float[Tensor, "batch masks c"]
) -> Float[Tensor, "batch masks side side"]:
    """Logits: the product of each mask's vector with every fine cell, in the order of the picture."""
    batch, cells = fine.shape[:2]
    grid = round(cells**0.5)
    logits = fine.flatten(1, 3) @ weights.to(fine.dtype).transpose(1, 2)  # (batch, cells * 16, masks)
    logits = logits.view(batch, grid, grid, 2, 2, 2, 2, -1)  # (batch, y, x, dy, dx, ddy, ddx, masks)
    picture = logits.permute(0, 7, 1, 3, 5, 2, 4, 6)
    return picture.reshape(batch, -1, grid * 4, grid * 4).float()


def draw_pairs(
    stack: nn.Sequential,
    makers: nn.ModuleList,
    tokens: Float[Tensor, "batch masks dim"],
    image: Float[Tensor, "batch cells dim"],
    pairs: tuple[Int[Tensor, " k"], Int[Tensor, " k"]],
    skips: Skips | None = None,
    refined: Refined | None = None,
) -> Float[Tensor, "k side side"]:
    """Logits of (prompt, mask) pairs; a prompt none of whose masks is asked for costs nothing.

    `makers` give a mask's vector from its token, one for each mask.
    """
    asked = [(int(prompt), int(mask)) for prompt, mask in torch.stack(pairs, 1).cpu().numpy()]
    prompts = sorted({prompt for prompt, _ in asked})
    wanted = sorted({mask for _, mask in asked})
    tokens = tokens[prompts]
    weights = torch.stack([makers[mask](tokens[:, mask]) for mask in wanted], 1)
    fine = upscale(stack, image[prompts], None if skips is None else skips[prompts])
    rows = [prompts.index(prompt) for prompt, _ in asked]
    columns = [wanted.index(mask) for _, mask in asked]
    drawn = draw(fine, weights) if refined is None else refined.rows(prompts).draw(fine, weights)
    return drawn[rows, columns]


def draw_all(
    stack: nn.Sequential,
    makers: nn.ModuleList,
    tokens: Float[Tensor, "batch masks dim"],
    image: Float[Tensor, "batch cells dim"],
    skips: Skips | None = None,
    refined: Refined | None = None,
) -> Float[Tensor, "batch masks side side"]:
    """Logits of every mask of every prompt: `draw_pairs` of all pairs, without sorting them out."""
    weights = vectors(makers, tokens)
    fine = upscale(stack, image, skips)
    return draw(fine, weights) if refined is None else refined.draw(fine, weights)


def vectors(
    makers: nn.ModuleList, tokens: Float[Tensor, "batch masks dim"]
) -> Float[Tensor, "batch masks c"]:
    """The vector of every mask of every prompt, from its token."""
    return torch.stack([make(tokens[:, mask]) for mask, make in enumerate(makers)], 1)


def _quadruple(
    convolution: nn.ConvTranspose2d, x: Float[Tensor, "*shape c"]
) -> Float[Tensor, "*shape 4 out"]:
    """A 2 x 2, stride 2 transposed convolution of every row: outputs (0, 0), (0, 1), (1, 0), (1, 1)."""
    channels = convolution.out_channels
    weight = convolution.weight.permute(2, 3, 1, 0).reshape(4 * channels, -1).to(x.dtype)
    assert convolution.bias is not None
    bias = convolution.bias.repeat(4).to(x.dtype)
    return F.linear(x, weight, bias).view(*x.shape[:-1], 4, channels)
