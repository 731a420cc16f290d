"""SAM 2's memory: a frame looks at what an object was like before, and masks become memories.

Sections 5 and 6 of the specification followed here: arXiv 2408.00714, section 4 and appendix C. Names of
parameters are the official ones. Norms and sums stay float32, linear layers may be of another type.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.nn.narrow_attention import attend_narrow
from segma.nn.norm import ChannelNorm, layer_norm
from segma.nn.rope import Turn, axial_turn, project_halves, rotate

# Share of the position code that is added to the image, once.
_POSITION_SHARE = 0.1
# Objects attended together where a device is wide enough; on a CPU they go one after the other.
_OBJECTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class MemoryTokens:
    """What one object attends to: tokens of square maps, one map after the other, then pointers.

    `positions` are added to the keys alone. `sides` are those of the maps in order, in cells; what follows
    the last map is a pointer, which has no place and is not rotated.
    """

    values: Float[Tensor, "tokens memory_dim"]
    positions: Float[Tensor, "tokens memory_dim"]
    sides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Bank:
    """Memories of some objects, alike in their maps: values, values with their positions, and angles."""

    values: Float[Tensor, "objects tokens memory_dim"]
    placed: Float[Tensor, "objects tokens memory_dim"]
    turns: tuple[Turn, ...]
    lengths: list[int]
    """Tokens of each map, and of all pointers together."""


class RotaryAttention(nn.Module):
    """One head of attention, queries and keys rotated by where they are."""

    def __init__(self, dim: int, memory_dim: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(memory_dim, dim)
        self.v_proj = nn.Linear(memory_dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def among(self, x: Float[Tensor, "objects cells dim"], turn: Turn) -> Float[Tensor, "objects cells dim"]:
        """The cells look at each other."""
        x = x.to(self.q_proj.weight.dtype)
        q, k = (rotate(project_halves(layer, x), turn) for layer in (self.q_proj, self.k_proj))
        v = self.v_proj(x)
        seen = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return self.out_proj(seen).float()

    def ask(self, x: Float[Tensor, "objects cells dim"], turn: Turn) -> Float[Tensor, "objects cells dim"]:
        """The cells' queries."""
        return rotate(project_halves(self.q_proj, x.to(self.q_proj.weight.dtype)), turn)

    def read(
        self, queries: Float[Tensor, "objects cells dim"], bank: _Bank
    ) -> Float[Tensor, "objects cells dim"]:
        """What the queries find in memories."""
        k = project_halves(self.k_proj, bank.placed)
        *maps, pointers = torch.split(k, bank.lengths, 1)
        turned = [rotate(part, turn) for part, turn in zip(maps, bank.turns, strict=True)]
        seen = attend_narrow(queries, torch.cat([*turned, pointers], 1), bank.values, self.v_proj)
        return self.out_proj(seen).float()


class MemoryAttentionLayer(nn.Module):
    """The cells look at each other, then at memories, then an MLP."""

    def __init__(self, dim: int, memory_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(dim, dim)
        self.cross_attn_image = RotaryAttention(dim, memory_dim)
        self.linear1 = nn.Linear(dim, mlp_dim)
        self.linear2 = nn.Linear(mlp_dim, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)

    def prepare(
        self, x: Float[Tensor, "objects cells dim"], turn: Turn
    ) -> tuple[Float[Tensor, "objects cells dim"], Float[Tensor, "objects cells dim"]]:
        """All that needs no memory: the cells after they saw each other, and their queries."""
        x = x + self.self_attn.among(self.norm1(x), turn)
        return x, self.cross_attn_image.ask(self.norm2(x), turn)

    def forward(
        self,
        x: Float[Tensor, "objects cells dim"],
        queries: Float[Tensor, "objects cells dim"],
        bank: _Bank,
    ) -> Float[Tensor, "objects cells dim"]:
        """The cells after they read the memories, from what `prepare` gave."""
        x = x + self.cross_attn_image.read(queries, bank)
        hidden = F.relu(self.linear1(self.norm3(x).to(self.linear1.weight.dtype)))
        return x + self.linear2(hidden).float()


class MemoryAttention(nn.Module):
    """A frame as each object sees it through its own memories."""

    def __init__(self, *, dim: int, memory_dim: int, num_layers: int, mlp_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryAttentionLayer(dim, memory_dim, mlp_dim) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        image: Float[Tensor, "1 cells dim"],
        position: Float[Tensor, "cells dim"],
        memories: Sequence[MemoryTokens],
    ) -> Float[Tensor, "objects cells dim"]:
        """The cells of a square map, float32, for each object.

        What the first layer does before it reads memories is the same for all objects, and done once.
        """
        side = math.isqrt(image.shape[1])
        turns = _turns(image, side, memories)
        first, *others = (self._layer(index) for index in range(len(self.layers)))
        start = first.prepare(image.float() + _POSITION_SHARE * position.float(), turns[side])
        seen: list[Tensor] = []
        for group in _alike(memories, _at_once(image)):
            bank = _bank(group, turns, first.linear1.weight.dtype)
            x, queries = (part.expand(len(group), -1, -1) for part in start)
            x = first(x, queries, bank)
            for layer in others:
                x = layer(*layer.prepare(x, turns[side]), bank)
            seen.append(self.norm(x))
        return torch.cat(seen)

    def _layer(self, index: int) -> MemoryAttentionLayer:
        layer = self.layers[index]
        assert isinstance(layer, MemoryAttentionLayer)
        return layer


def _turns(image: Tensor, side: int, memories: Sequence[MemoryTokens]) -> dict[int, Turn]:
    """Angles for maps of every side that there is."""
    sides = {side}.union(*(memory.sides for memory in memories))
    dim, device = image.shape[2], image.device
    return {each: axial_turn(dim, each, device=device, stride=side / each) for each in sides}


def _at_once(image: Tensor) -> int:
    return 1 if image.device.type == "cpu" else _OBJECTS_AT_ONCE


def _alike(memories: Sequence[MemoryTokens], at_once: int) -> Iterator[Sequence[MemoryTokens]]:
    """Neighbours that hold the same number of tokens in the same maps, at most `at_once` together."""
    for _, run in groupby(memories, key=lambda memory: (memory.sides, len(memory.values))):
        group = list(run)
        for start in range(0, len(group), at_once):
            yield group[start : start + at_once]


def _bank(group: Sequence[MemoryTokens], turns: dict[int, Turn], dtype: torch.dtype) -> _Bank:
    """The memories of objects that are alike, in the type of the layers that read them."""
    values = torch.stack([memory.values for memory in group])
    placed = values + torch.stack([memory.positions for memory in group])
    lengths = [side * side for side in group[0].sides]
    lengths.append(values.shape[1] - sum(lengths))
    return _Bank(values.to(dtype), placed.to(dtype), tuple(turns[side] for side in group[0].sides), lengths)


class MemoryEncoder(nn.Module):
    """Memories of a frame, one for each mask."""

    def __init__(self, *, dim: int, memory_dim: int, num_layers: int, hidden_dim: int) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(dim)
        self.pix_feat_proj = nn.Conv2d(dim, dim, 1)
        self.fuser = Fuser(dim, num_layers, hidden_dim)
        self.out_proj = nn.Conv2d(dim, memory_dim, 1)

    def forward(
        self, image: Float[Tensor, "1 dim h w"], masks: Float[Tensor, "batch 1 size size"]
    ) -> Float[Tensor, "batch memory_dim h w"]:
        """Memories of an unconditioned frame and masks (as 20 p - 10, of 16 times its side), one or many."""
        dtype = self.out_proj.weight.dtype
        seen = self.pix_feat_proj(image.to(dtype))
        made: list[Tensor] = []
        for some in torch.split(masks.to(dtype), _at_once(image)):
            both = seen + self.mask_downsampler(some)
            made.append(self.out_proj(self.fuser(both.contiguous(memory_format=torch.channels_last))))
        return torch.cat(made)


class MaskDownsampler(nn.Module):
    """Four convolutions that halve the side and quadruple the channels, to a map of `dim` channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (1, 4, 16, 64):
            layers += [
                nn.Conv2d(channels, channels * 4, 3, 2, 1),
                ChannelNorm(channels * 4),
                nn.GELU(),
            ]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(256, dim, 1))

    def forward(self, masks: Float[Tensor, "batch 1 size size"]) -> Float[Tensor, "batch dim h w"]:
        """Maps of a sixteenth of the side."""
        return self.encoder(masks)


class Fuser(nn.Module):
    """ConvNeXt blocks over image and mask."""

    def __init__(self, dim: int, num_layers: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvNextBlock(dim, hidden_dim) for _ in range(num_layers))

    def forward(self, x: Float[Tensor, "batch dim h w"]) -> Float[Tensor, "batch dim h w"]:
        """All blocks."""
        for layer in self.layers:
            x = layer(x)
        return x


class ConvNextBlock(nn.Module):
    """A wide look at each channel, then an MLP at each cell (Liu et al. 2022)."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = ChannelNorm(dim)
        self.pwconv1 = nn.Linear(dim, hidden_dim)
        self.pwconv2 = nn.Linear(hidden_dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x: Float[Tensor, "batch dim h w"]) -> Float[Tensor, "batch dim h w"]:
        """The map and what the block adds to it."""
        rows = layer_norm(self.norm, self.dwconv(x).permute(0, 2, 3, 1))  # (batch, h, w, dim)
        rows = self.pwconv2(F.gelu(self.pwconv1(rows)))
        return x + (self.gamma.to(rows.dtype) * rows).permute(0, 3, 1, 2)


def pool_map(memory: Float[Tensor, "h w memory_dim"], factor: int) -> Float[Tensor, "_ _ memory_dim"]:
    """A memory with `factor` x `factor` cells put into one, their mean, in its own type."""
    height, width, dim = memory.shape
    cells = memory.float().reshape(height // factor, factor, width // factor, factor, dim)
    return cells.mean((1, 3)).to(memory.dtype)
