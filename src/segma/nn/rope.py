"""Rotary position codes on a map (Su et al. 2021, with two axes): SAM 2's memory attention, OmniTokenizer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_THETA = 10000.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Cosines and sines of the angles by which each cell's pairs of channels turn, float32."""

    cos: Float[Tensor, "cells pairs"]
    sin: Float[Tensor, "cells pairs"]


def axial_turn(dim: int, side: int, *, device: torch.device, stride: float | int = 1) -> Turn:
    """Angles for a map of `side` x `side` cells, row by row: half of the `dim` / 2 pairs for x, then for y.

    Pair i of an axis turns by position * 10000^(-4i / dim). With a `stride` other than 1 the map is a pooled
    one, and a cell lies in the middle of those it stands for: side 2, stride 2 has positions 0.5 and 2.5.
    """
    frequencies = _THETA ** (-4 * torch.arange(dim // 4, device=device) / dim)
    places = torch.arange(side, device=device) * stride + (stride - 1) / 2
    angles = places[:, None] * frequencies
    cos, sin = (
        torch.cat([line.expand(side, -1, -1), line[:, None].expand(-1, side, -1)], -1).flatten(0, 1)
        for line in (angles.cos(), angles.sin())
    )
    return Turn(cos, sin)


def project_halves(linear: nn.Linear, x: Float[Tensor, "*shape dim"]) -> Float[Tensor, "*shape out"]:
    """`linear`, its even output channels first, then the odd ones.

    Official weights turn adjacent channels together; the order does not matter to products of queries and
    keys, and this way both parts of all pairs lie in one piece.
    """
    bias = linear.bias.view(-1, 2).T.flatten()
    inputs = linear.weight.shape[1]
    weight = linear.weight.view(-1, 2, inputs).transpose(0, 1).reshape(-1, inputs)
    return F.linear(x, weight, bias)


def rotate(x: Float[Tensor, "*shape cells dim"], turn: Turn) -> Float[Tensor, "*shape cells dim"]:
    """Pairs (channel i of the first half, channel i of the second) turned, in float32, in the type of `x`."""
    first, second = x.float().chunk(2, -1)
    turned = (
        torch.addcmul(first * turn.cos, second, turn.sin, value=-1),
        torch.addcmul(first * turn.sin, second, turn.cos),
    )
    return torch.cat(turned, -1).to(x.dtype)


def paired_turn(dim: int, size: tuple[int, int], *, device: torch.device) -> Turn:
    """Angles for a map of `size` = (rows, columns), row by row.

    Pairs 2i and 2i + 1 turn by the column and by the row, times 10000^(-4i / dim).
    """
    frequencies = _THETA ** (-4 * torch.arange(dim // 4, device=device) / dim)
    rows, columns = (torch.arange(side, device=device)[:, None] * frequencies for side in size)
    shape = (size[0], size[1], dim // 4)
    angles = torch.stack([columns[None].expand(shape), rows[:, None].expand(shape)], -1)
    angles = angles.flatten(2).flatten(0, 1)  # (cells, pairs)
    return Turn(angles.cos(), angles.sin())


def rotate_pairs(x: Float[Tensor, "*shape cells dim"], turn: Turn) -> Float[Tensor, "*shape cells dim"]:
    """Pairs of adjacent channels turned, in float32, in the type of `x`."""
    pairs = x.float().view(*x.shape[:-1], -1, 2)
    first, second = pairs[..., 0], pairs[..., 1]
    turned = (first * turn.cos - second * turn.sin, first * turn.sin + second * turn.cos)
    return torch.stack(turned, -1).flatten(-2).to(x.dtype)
