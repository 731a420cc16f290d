"""The layers of OmniTokenizer (section 3 of the paper): attention over space, over windows, over time.

Tokens of a clip are (batch, time, rows, columns, dim) everywhere; each layer reshapes for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from segma.models.omnitokenizer.config import MOVING_WINDOW, WINDOW, OmniTokenizerConfig
from segma.nn.rope import Turn, paired_turn, rotate_pairs
from segma.nn.window import from_windows, to_windows

# Groups before its own that a position convolution sees; it is as wide in space.
_BEFORE = 2
# Logits of plain attention: cosines times this.
_SHARPNESS = 8.0


@dataclass(slots=True)
class Past:
    """What a layer keeps of a clip that comes group by group (layout "causal")."""

    groups: Tensor | None = None  # (batch, up to 2, rows, columns, dim): inputs of the convolution
    keys: Tensor | None = None  # (places, heads, groups, head_dim)
    values: Tensor | None = None


class GainNorm(nn.Module):
    """Layer norm with a trained gain; the shift is saved, and stays as it was loaded."""

    beta: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))
        self.register_buffer("beta", torch.zeros(dim))

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """The normed tokens."""
        return F.layer_norm(x, x.shape[-1:], self.gamma, self.beta)


class PositionConv(nn.Module):
    """A depthwise convolution over time, rows and columns that sees no later group."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dsconv = nn.Conv3d(dim, dim, 3, groups=dim)

    def forward(
        self, x: Float[Tensor, "batch t h w dim"], past: Past | None = None
    ) -> Float[Tensor, "batch t h w dim"]:
        """What is added to the tokens; `past` holds the groups before, and then these."""
        earlier = 0
        if past is not None:
            earlier = 0 if past.groups is None else past.groups.shape[1]
            x = x if past.groups is None else torch.cat([past.groups, x], 1)
            past.groups = x[:, -_BEFORE:]
        found = self._of_frames(x, 0)[:, earlier:]
        for shift in range(1, min(_BEFORE, x.shape[1] - 1) + 1):
            first = max(0, earlier - shift)
            seen = self._of_frames(x[:, first : x.shape[1] - shift], shift)
            found = found + F.pad(seen, (0,) * 6 + (found.shape[1] - seen.shape[1], 0))
        return found

    def _of_frames(self, x: Tensor, shift: int) -> Tensor:
        """What frames give to those `shift` later. In two dimensions: libraries are slow in three."""
        conv = self.dsconv
        weight, bias = conv.weight[:, :, _BEFORE - shift], None if shift else conv.bias
        frames = x.flatten(0, 1).permute(0, 3, 1, 2)
        made = F.conv2d(frames, weight, bias, padding=1, groups=conv.groups)
        return made.permute(0, 2, 3, 1).reshape(x.shape)


class RelativeBias(nn.Module):
    """A bias of each head for each offset between two places, by a small network (Liu et al. 2022)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        act = nn.LeakyReLU(0.1)
        self.net = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(2, dim), act),
                nn.Sequential(nn.Linear(dim, dim), act),
                nn.Linear(dim, heads),
            ]
        )

    def forward(self, size: tuple[int, int]) -> Float[Tensor, "heads places places"]:
        """The biases on a map of `size` = (rows, columns)."""
        weight = next(self.parameters())
        axes = [torch.arange(side, device=weight.device) for side in size]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1)
        offsets = (places[:, None] - places[None]).to(weight.dtype)
        x = offsets.sign() * (offsets.abs() + 1).log()
        for layer in self.net:
            x = layer(x)
        return x.permute(2, 0, 1)


class PlainAttention(nn.Module):
    """Attention by cosines, over all places of a frame or over all groups of a place.

    parity: queries are made of the normed tokens, keys and values of the tokens as they are; `context_norm`
    is saved and never used.
    """

    def __init__(self, config: OmniTokenizerConfig, *, has_bias: bool) -> None:
        super().__init__()
        inner = config.heads * config.head_dim
        self.heads = config.heads
        self.q_scale = nn.Parameter(torch.ones(config.head_dim))
        self.k_scale = nn.Parameter(torch.ones(config.head_dim))
        self.norm = GainNorm(config.dim)
        self.context_norm = GainNorm(config.dim)
        self.to_q = nn.Linear(config.dim, inner, bias=False)
        self.to_kv = nn.Linear(config.dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, config.dim, bias=False)
        if has_bias:
            self.spatial_rel_pos_bias = RelativeBias(config.dim, config.heads)

    def forward(
        self,
        x: Float[Tensor, "batch n dim"],
        turn: Turn | None = None,
        mask: Tensor | None = None,
        past: Past | None = None,
    ) -> Float[Tensor, "batch n dim"]:
        """What is added to the tokens.

        `mask` is added to the logits, (heads or 1, n, keys), or says who is seen, as booleans.
        """
        q = self._split(self.to_q(self.norm(x)))
        k, v = (self._split(half) for half in self.to_kv(x).chunk(2, -1))
        if turn is not None:
            q, k = rotate_pairs(q, turn), rotate_pairs(k, turn)
        q = F.normalize(q, dim=-1) * self.q_scale
        k = F.normalize(k, dim=-1) * self.k_scale
        if past is not None:
            if past.keys is not None and past.values is not None:
                k, v = torch.cat([past.keys, k], 2), torch.cat([past.values, v], 2)
            past.keys, past.values = k, v
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=_SHARPNESS)
        return self.to_out(out.transpose(1, 2).flatten(2))  # (batch, n, dim)

    def _split(self, x: Float[Tensor, "batch n inner"]) -> Float[Tensor, "batch heads n head_dim"]:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class WindowAttention(nn.Module):
    """Attention inside windows, with a learned bias for each offset (Liu et al. 2021)."""

    relative_position_index: Tensor

    def __init__(self, config: OmniTokenizerConfig) -> None:
        super().__init__()
        dim, side = config.dim, config.window
        self.heads, self.side = config.heads, side
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, config.heads))
        rows, columns = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(side)] * 2, indexing="ij"))
        offsets = [axis[:, None] - axis[None] + side - 1 for axis in (rows, columns)]
        self.register_buffer("relative_position_index", (2 * side - 1) * offsets[0] + offsets[1])
        self.norm = GainNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "frames h w dim"]) -> Float[Tensor, "frames h w dim"]:
        """What is added to the tokens; the sides are multiples of the window's."""
        size = (x.shape[1], x.shape[2])
        windows = to_windows(self.norm(x), self.side).flatten(1, 2)
        q, k, v = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        out = self.proj(out.transpose(1, 2).flatten(2))
        return from_windows(out.unflatten(1, (self.side, self.side)), size)


class FeedForward(nn.ModuleDict):
    """Norm, widen, gate by an exact GELU, narrow; named by the official positions."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__(
            {
                "0": nn.LayerNorm(dim),
                "1": nn.Linear(dim, 2 * hidden_dim, bias=False),
                "4": nn.Linear(hidden_dim, dim, bias=False),
            }
        )

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """What is added to the tokens."""
        value, gate = self["1"](self["0"](x)).chunk(2, -1)
        return self["4"](value * F.gelu(gate))


class Layer(nn.ModuleDict):
    """One layer: "0" convolves (not in official window layers), "1" attends, "3" feeds forward.

    "5" (ours) feeds forward once more, but not the first frame of a clip.
    """

    def __init__(self, config: OmniTokenizerConfig, kind: str, *, has_bias: bool) -> None:
        super().__init__()
        if kind != WINDOW:
            self["0"] = PositionConv(config.dim)
        if kind in (WINDOW, MOVING_WINDOW):
            self["1"] = WindowAttention(config)
        else:
            self["1"] = PlainAttention(config, has_bias=has_bias)
        self["3"] = FeedForward(config.dim, config.mlp_dim)
        if config.moving:
            self["5"] = FeedForward(config.dim, config.mlp_dim)

    def fed(self, x: Float[Tensor, "*batch dim"], axis: int, *, begins: bool) -> Float[Tensor, "*batch dim"]:
        """The tokens after what feeds forward; `axis` is time, and a clip may begin with them."""
        x = x + self["3"](x)
        if "5" not in self or x.shape[axis] == begins:
            return x
        first, rest = x.tensor_split([int(begins)], axis)
        return torch.cat([first, rest + self["5"](rest)], axis)


class SpatialTransformer(nn.Module):
    """Layers in which a token attends to its own frame; their convolutions see the two groups before too."""

    def __init__(self, config: OmniTokenizerConfig, kinds: str) -> None:
        super().__init__()
        has_bias = config.spatial_position == "relative"
        self.layers = nn.ModuleList(Layer(config, kind, has_bias=has_bias) for kind in kinds)
        self.norm_out = GainNorm(config.dim)
        self.turns = not has_bias
        self.biased = has_bias and config.attention_bias
        self.head_dim = config.head_dim

    def forward(
        self, x: Float[Tensor, "batch t h w dim"], past: list[Past] | None = None
    ) -> Float[Tensor, "batch t h w dim"]:
        """The tokens after all layers and the norm."""
        batch, time, *size = x.shape[:4]
        rows, columns = size
        turn = paired_turn(self.head_dim, (rows, columns), device=x.device) if self.turns else None
        begins = not past or past[0].groups is None
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            attention = layer["1"]
            if "0" in layer:
                x = x + layer["0"](x, past[number] if past else None)
            if isinstance(attention, WindowAttention):
                x = x + attention(x.flatten(0, 1)).unflatten(0, (batch, time))
            else:
                assert isinstance(attention, PlainAttention)
                mask = attention.spatial_rel_pos_bias((rows, columns)) if self.biased else None
                frames = x.flatten(0, 1).flatten(1, 2)
                x = x + attention(frames, turn, mask).view(x.shape)
            x = layer.fed(x, 1, begins=begins)
        return self.norm_out(x)


class TemporalTransformer(nn.Module):
    """Layers in which a token attends to the groups of its own place, up to its own."""

    def __init__(self, config: OmniTokenizerConfig, kinds: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, kind, has_bias=config.is_official) for kind in kinds)
        self.norm_out = GainNorm(config.dim)
        self.scrambles = config.temporal_layout == "official"
        self.biased = config.attention_bias
        self.heads, self.memory = config.heads, config.temporal_memory

    def forward(
        self, x: Float[Tensor, "batch t h w dim"], past: list[Past] | None = None
    ) -> Float[Tensor, "batch t h w dim"]:
        """The tokens after all layers and the norm."""
        batch, time, rows, columns, dim = x.shape
        earlier = 0 if not past or past[0].keys is None else past[0].keys.shape[2]
        mask = self._mask(time, earlier, x) if time + earlier > 1 else None
        places = x.permute(0, 2, 3, 1, 4)  # (batch, rows, columns, time, dim)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            own = past[number] if past else None
            if self.scrambles:
                # parity: the same memory, read as if time came first
                convolved = layer["0"](places.reshape(batch, time, rows, columns, dim))
                places = places + convolved.reshape(places.shape)
            else:
                places = places + layer["0"](places.movedim(3, 1), own).movedim(1, 3)
            flat = places.reshape(batch * rows * columns, time, dim)
            places = (flat + layer["1"](flat, None, mask, own)).view(places.shape)
            places = layer.fed(places, 3, begins=not earlier)
        if past and self.memory:
            for own in past:
                _forget(own, self.memory)
        return self.norm_out(places).permute(0, 3, 1, 2, 4)

    def _mask(self, time: int, earlier: int, x: Tensor) -> Tensor:
        """Who sees whom: no later group, none before the memory; with biases, slopes of the distance."""
        own = torch.arange(earlier, earlier + time, device=x.device)
        distance = own[:, None] - torch.arange(earlier + time, device=x.device)
        seen: Bool[Tensor, "time keys"] = distance >= 0
        if self.memory:
            seen &= distance <= self.memory
        if not self.biased:
            return seen[None]
        slopes = 2.0 ** (-8 * torch.arange(1, self.heads + 1, device=x.device) / self.heads)
        bias = -slopes[:, None, None] * distance.abs()
        return bias.masked_fill(~seen, float("-inf")).to(x.dtype)


def _forget(past: Past, memory: int) -> None:
    """Keep what the next group may still attend to."""
    if past.keys is not None and past.values is not None:
        past.keys, past.values = past.keys[:, :, -memory:], past.values[:, :, -memory:]
