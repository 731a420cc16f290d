"""Diffusion transformers over latents: DiT on images, Latte on clips (specification, section 9).

What official weights do not have are fields of the config: words instead of a class, outlines that are made
first and the latents beside them, velocities instead of noise, and convolutions among neighbours.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from segma.models.interfaces import GeneratorSpec
from segma.models.omnitokenizer.dit_config import DitConfig

_EPS = 1e-6
_TIME_DIM, _MAX_PERIOD = 256, 10000.0


class TimeEmbedding(nn.Module):
    """A diffusion step as a vector: cosines and sines of 128 frequencies, then two layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(_TIME_DIM, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """The vectors."""
        half = _TIME_DIM // 2
        frequencies = torch.exp(-math.log(_MAX_PERIOD) * torch.arange(half, device=t.device) / half)
        angles = t[:, None].float() * frequencies
        weight = next(self.parameters())
        return self.mlp(torch.cat([angles.cos(), angles.sin()], -1).to(weight.dtype))


class ClassEmbedding(nn.Module):
    """A class as a vector; the last row stands for none."""

    def __init__(self, num_classes: int, dim: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(num_classes + 1, dim)

    def forward(self, labels: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """The vectors."""
        return self.embedding_table(labels)


class SentenceEmbedding(nn.Module):
    """Words as a vector: the sum over the words, each with the one before it, then a layer; 0 is no word."""

    def __init__(self, num_words: int, dim: int) -> None:
        super().__init__()
        self.words = nn.Embedding(num_words + 1, dim)
        self.before = nn.Embedding(num_words + 1, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, words: Int[Tensor, "batch sentence"]) -> Float[Tensor, "batch dim"]:
        """The vectors."""
        pairs = self.words(words) + self.before(F.pad(words[:, :-1], (1, 0)))
        return self.proj((F.gelu(pairs, approximate="tanh") * (words > 0)[..., None]).sum(1))


class PatchProjection(nn.Module):
    """Patches of a latent as tokens."""

    def __init__(self, channels: int, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, patch)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch n dim"]:
        """The tokens, row by row."""
        return self.proj(x).flatten(2).transpose(1, 2)


class SelfAttention(nn.Module):
    """Attention among all tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "batch n dim"]) -> Float[Tensor, "batch n dim"]:
        """The tokens after it."""
        batch, count, dim = x.shape
        q, k, v = self.qkv(x).view(batch, count, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two layers with the GELU of tanh between."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """The tokens after it."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class DitBlock(nn.Module):
    """Attention and feed-forward, their norms and their weight set by the condition (adaLN-Zero).

    `near`: a depthwise convolution of the tokens, a square of them, comes first (ours).
    """

    def __init__(self, dim: int, heads: int, *, near: bool = False) -> None:
        super().__init__()
        self.near = nn.Conv2d(dim, dim, 3, padding=1, groups=dim) if near else None
        self.attn = SelfAttention(dim, heads)
        self.mlp = FeedForward(dim)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))

    def forward(
        self, x: Float[Tensor, "batch n dim"], condition: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch n dim"]:
        """The tokens after the block."""
        shift, scale, gate, shift2, scale2, gate2 = (
            self.adaLN_modulation(condition.to(self.mlp.fc1.weight.dtype)).float()[:, None].chunk(6, -1)
        )
        kind = self.mlp.fc1.weight.dtype
        if self.near is not None:
            side = math.isqrt(x.shape[1])
            square = x.to(kind).transpose(1, 2).reshape(len(x), -1, side, side)
            x = x + self.near(square).flatten(2).transpose(1, 2)
        x = x + gate * self.attn(_modulated(x, shift, scale).to(kind))
        return x + gate2 * self.mlp(_modulated(x, shift2, scale2).to(kind))


class FinalLayer(nn.Module):
    """Tokens to patches."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * dim))

    def forward(
        self, x: Float[Tensor, "batch n dim"], condition: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch n out"]:
        """The patches' numbers."""
        shift, scale = self.adaLN_modulation(condition)[:, None].chunk(2, -1)
        return self.linear(_modulated(x, shift, scale))


class OutlineBlock(nn.Module):
    """A feed-forward layer, its norm set by the condition and by offsets of its own."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(3 * dim))
        self.fc1 = nn.Linear(dim, 2 * dim)
        self.fc2 = nn.Linear(2 * dim, dim)

    def forward(
        self, x: Float[Tensor, "batch dim"], condition: Float[Tensor, "batch thrice"]
    ) -> Float[Tensor, "batch dim"]:
        """The vectors after it."""
        shift, scale, gate = (condition + self.offset).chunk(3, -1)
        return x + gate * self.fc2(F.gelu(self.fc1(_modulated(x, shift, scale)), approximate="tanh"))


class Outliner(nn.Module):
    """Clean outlines out of noisy ones, each a single vector (ours).

    They are few enough numbers for layers that join all with all, and such learn a thousand times as many in
    the same time as a transformer does. What is clean has fewer dimensions than the noise, so it is what is
    foretold (Li and He 2025, arXiv 2511.13720).
    """

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        dim, parts = config.outline_dim, (config.side * config.cover) ** 2
        self.t_embedder = TimeEmbedding(dim)
        self.y_embedder = _asked_for(config, dim)
        self.modulation = nn.Linear(dim, 3 * dim)
        self.first = nn.Linear(parts, dim)
        self.blocks = nn.ModuleList(OutlineBlock(dim) for _ in range(config.outline_layers))
        self.last = nn.Linear(dim, parts)

    def forward(
        self,
        x: Float[Tensor, "batch parts h w"],
        t: Int[Tensor, " batch"],
        y: Int[Tensor, " batch *sentence"],
    ) -> Float[Tensor, "batch parts h w"]:
        """The clean ones, not clamped."""
        condition = self.modulation(F.silu(self.t_embedder(t) + self.y_embedder(y)))
        found = self.first(x.flatten(1))
        for block in self.blocks:
            found = block(found, condition)
        return self.last(F.layer_norm(found, found.shape[-1:], eps=_EPS)).view(x.shape)


def _asked_for(config: DitConfig, dim: int) -> SentenceEmbedding | ClassEmbedding:
    if config.words:
        return SentenceEmbedding(len(config.words), dim)
    return ClassEmbedding(config.num_classes, dim)


class Dit(nn.Module):
    """Noise (and its variance) of latents at a step, for a class; with `groups`, of clips: then it is Latte.

    With words, their ids (zeros after the last) are asked for in the place of a class. Clips are (batch,
    groups, channels, rows, columns); odd blocks attend over time. With outlines, these are seen beside the
    latents, in the last of `config.seen_channels` channels.
    """

    low_precision = ("blocks",)

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.x_embedder = PatchProjection(config.seen_channels, dim, config.patch)
        self.t_embedder = TimeEmbedding(dim)
        self.y_embedder = _asked_for(config, dim)
        side = config.side // config.patch
        self.pos_embed = nn.Parameter(grid_positions(dim, side)[None], requires_grad=False)
        if config.groups:
            positions = line_positions(dim, torch.arange(config.groups, dtype=torch.float64))
            self.temp_embed = nn.Parameter(positions[None].float(), requires_grad=False)
        self.blocks = nn.ModuleList(
            DitBlock(dim, config.heads, near=config.near) for _ in range(config.layers)
        )
        self.final_layer = FinalLayer(dim, config.patch**2 * 2 * config.channels)
        self.outliner = Outliner(config) if config.cover else None

    @property
    def generator_spec(self) -> GeneratorSpec:
        """What `tasks.generate` must know."""
        config = self.config
        return GeneratorSpec(
            groups=max(1, config.groups),
            side=config.side,
            channels=config.channels,
            num_classes=config.num_classes,
            class_names=config.class_names,
            words=config.words,
            sentence=config.sentence,
            tokenizer=config.tokenizer,
            has_time=config.groups > 0,
            latent_scale=config.latent_scale,
            guided_channels=config.guided_channels or config.channels,
            cover=config.cover,
            velocity=config.velocity,
        )

    def forward(
        self,
        x: Float[Tensor, "batch *groups seen h w"],
        t: Int[Tensor, " batch"],
        y: Int[Tensor, " batch *sentence"],
    ) -> Float[Tensor, "batch *groups twice h w"]:
        """The noise, or velocity, in the first half of the channels, what its variance is in the second."""
        condition = self.t_embedder(t) + self.y_embedder(y)
        if not self.config.groups:
            tokens = self.x_embedder(x) + self.pos_embed
            for block in self.blocks:
                tokens = block(tokens, condition)
            return self._unpatched(self.final_layer(tokens, condition))
        batch, groups = x.shape[:2]
        tokens = self.x_embedder(x.flatten(0, 1)) + self.pos_embed
        of_frames = condition.repeat_interleave(groups, 0)
        of_places = condition.repeat_interleave(tokens.shape[1], 0)
        for number, block in enumerate(self.blocks):
            if number % 2 == 0:
                tokens = block(tokens, of_frames)
                continue
            lines = tokens.view(batch, groups, *tokens.shape[1:]).transpose(1, 2).flatten(0, 1)
            if number == 1:
                lines = lines + self.temp_embed
            lines = block(lines, of_places)
            tokens = lines.view(batch, -1, groups, lines.shape[-1]).transpose(1, 2).flatten(0, 1)
        found = self._unpatched(self.final_layer(tokens, of_frames))
        return found.view(batch, groups, *found.shape[1:])

    def guided(
        self,
        x: Float[Tensor, "batch *groups seen h w"],
        t: Int[Tensor, " batch"],
        y: Int[Tensor, " batch *sentence"],
        strength: float,
        *,
        channels: int,
    ) -> Float[Tensor, "batch *groups twice h w"]:
        """The noise pushed away from that of no class, on so many channels; the rest as it is for the class.

        parity: official samplers guide 3 of 8 channels (DiT) and 4 of 8 (Latte).
        """
        none = self.nothing_like(y)
        found = self(torch.cat([x, x]), torch.cat([t, t]), torch.cat([y, none]))
        axis = x.ndim - 3
        wanted, other = found.chunk(2)
        pushed = other.narrow(axis, 0, channels).lerp(wanted.narrow(axis, 0, channels), strength)
        return torch.cat([pushed, wanted.narrow(axis, channels, wanted.shape[axis] - channels)], axis)

    def outlines(
        self,
        x: Float[Tensor, "batch parts h w"],
        t: Int[Tensor, " batch"],
        y: Int[Tensor, " batch *sentence"],
        strength: float,
    ) -> Float[Tensor, "batch parts h w"]:
        """Clean outlines of noisy ones, pushed away from those of nothing, -1 to 1; 1 is no push."""
        assert self.outliner is not None, "the config has no outlines"
        found = self.outliner(x, t, y)
        if strength != 1:
            found = self.outliner(x, t, self.nothing_like(y)).lerp(found, strength)
        return found.clamp(-1, 1)

    def nothing_like(self, y: Int[Tensor, " batch *sentence"]) -> Int[Tensor, " batch *sentence"]:
        """What asks for nothing, for as many rows."""
        return torch.full_like(y, 0 if self.config.words else self.config.num_classes)

    def _unpatched(self, x: Float[Tensor, "batch n numbers"]) -> Float[Tensor, "batch twice h w"]:
        side, patch = self.config.side // self.config.patch, self.config.patch
        x = x.view(len(x), side, side, patch, patch, -1).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(len(x), -1, side * patch, side * patch)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=_EPS) * (1 + scale) + shift


def line_positions(dim: int, places: Float[Tensor, " n"]) -> Float[Tensor, "n dim"]:
    """Sines, then cosines, of places times 10000^(-2i / dim)."""
    frequencies = 1.0 / _MAX_PERIOD ** (torch.arange(dim // 2, dtype=torch.float64) / (dim / 2))
    angles = places[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


def grid_positions(dim: int, side: int) -> Float[Tensor, "places dim"]:
    """Columns in the first half of the channels, rows in the second, float32."""
    line = line_positions(dim // 2, torch.arange(side, dtype=torch.float64))
    columns, rows = line.repeat(side, 1), line.repeat_interleave(side, 0)
    return torch.cat([columns, rows], 1).float()
