"""A language model over codes, after minGPT, and its cache of keys and values (specification, section 8).

Three things that official weights do not have are fields of the config: words instead of a class, places by
axes, and neighbours. A code is drawn after its neighbours to the left and above, but in a row of ids only the
left one stands near; so those above are read with it.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from segma.models.interfaces import GeneratorSpec, Order
from segma.models.omnitokenizer.gpt_config import GptConfig


class Cache:
    """Keys and values of the tokens so far, at the places of their positions; made once, for all of them."""

    def __init__(self, config: GptConfig, batch: int, length: int, like: Tensor) -> None:
        head_dim = config.dim // config.heads
        shape = (config.layers, batch, config.heads, length, head_dim)
        self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        self.seen = torch.zeros(batch, length, dtype=torch.bool, device=like.device)
        """Which places hold a token, by row: rows may leave some out."""
        self.ids = torch.zeros(batch, length, dtype=torch.long, device=like.device)


class CausalAttention(nn.Module):
    """Attention to the tokens before and the own one."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.key = nn.Linear(config.dim, config.dim)
        self.query = nn.Linear(config.dim, config.dim)
        self.value = nn.Linear(config.dim, config.dim)
        self.proj = nn.Linear(config.dim, config.dim)

    def forward(
        self,
        x: Float[Tensor, "batch n dim"],
        kept: tuple[Tensor, Tensor, slice, Tensor] | None,
        mask: Bool[Tensor, "batch 1 n n"] | None = None,
    ) -> Float[Tensor, "batch n dim"]:
        """What is added to the tokens.

        `kept`: keys and values of all places (batch, heads, places, head_dim), where the new ones go, and who
        sees whom (batch, 1, n, places). `mask` says so without `kept`; None: all see those before them.
        """
        q, k, v = (self._split(linear(x)) for linear in (self.query, self.key, self.value))
        if kept is None:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        else:
            keys, values, places, mask = kept
            keys[:, :, places], values[:, :, places] = k, v
            end = mask.shape[-1]
            out = F.scaled_dot_product_attention(q, keys[:, :, :end], values[:, :, :end], attn_mask=mask)
        return self.proj(out.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (batch, heads, n, head_dim)


class GptBlock(nn.Module):
    """Attention and a feed-forward layer, each after a norm."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(config.dim)
        self.ln2 = nn.LayerNorm(config.dim)
        self.attn = CausalAttention(config)
        self.mlp = nn.Sequential(
            nn.Linear(config.dim, 4 * config.dim), nn.GELU(), nn.Linear(4 * config.dim, config.dim)
        )

    def forward(
        self,
        x: Float[Tensor, "batch n dim"],
        kept: tuple[Tensor, Tensor, slice, Tensor] | None = None,
        mask: Bool[Tensor, "batch 1 n n"] | None = None,
    ) -> Float[Tensor, "batch n dim"]:
        """The tokens after the block; `kept` and `mask` as in `CausalAttention`."""
        kind = self.attn.key.weight.dtype
        x = x + self.attn(self.ln1(x).to(kind), kept, mask)
        return x + self.mlp(self.ln2(x).to(kind))


class Places(nn.Module):
    """Where ids stand: places of words one by one, those of codes by latent frame, row and column."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        groups = config.codes_at_most // config.side**2
        self.words = nn.Parameter(torch.zeros(config.before - 1, config.dim))
        self.frames = nn.Parameter(torch.zeros(groups, config.dim))
        self.rows = nn.Parameter(torch.zeros(config.side, config.dim))
        self.columns = nn.Parameter(torch.zeros(config.side, config.dim))

    def forward(self, start: int, end: int) -> Float[Tensor, "n dim"]:
        """Of the ids from `start` to before `end`; one has the place of the code that follows on it."""
        side, before = self.config.side, len(self.words)
        code = torch.arange(max(0, start - before), max(0, end - before), device=self.words.device)
        frame, row, column = code // side**2, code // side % side, code % side
        found = self.frames[frame] + self.rows[row] + self.columns[column]
        return torch.cat([self.words[start:end], found])


class Neighbours(nn.Module):
    """What is known of the next code beside the last one: those above it, and the one in its place before."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        # rows up, columns to the right, latent frames back
        self.ways = ((1, -1, 0), (1, 0, 0), (1, 1, 0), (0, 0, 1))
        if config.codes_at_most == config.side**2:
            self.ways = self.ways[:-1]
        self.mix = nn.Linear(len(self.ways) * config.dim, config.dim, bias=False)

    def forward(
        self, ids: Int[Tensor, "batch all"], start: int, vectors: nn.Embedding
    ) -> Float[Tensor, "batch n dim"]:
        """What is added to the ids from `start` on; `ids` are all from the beginning."""
        side, before = self.config.side, self.config.before
        # the code that follows on each id, of which the negative ones are words
        code = torch.arange(start, ids.shape[1], device=ids.device) - (before - 1)
        row, column = code // side % side, code % side
        found: list[Tensor] = []
        for up, right, back in self.ways:
            away = code - up * side + right - back * side**2
            is_there = (away >= 0) & (row >= up) & (column + right >= 0) & (column + right < side)
            places = (away + before).clamp(0, ids.shape[1] - 1)
            found.append(vectors(ids[:, places]) * is_there[:, None])
        return self.mix(torch.cat(found, -1))


class Gpt(nn.Module):
    """Token ids to the logits of the next one."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocabulary, config.dim)
        if config.axes:
            self.places = Places(config)
        else:
            self.pos_emb = nn.Parameter(torch.zeros(1, config.block, config.dim))
        self.neighbours = Neighbours(config) if config.neighbours else None
        self.blocks = nn.ModuleList(GptBlock(config) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.dim)
        self.head = None if config.tied else nn.Linear(config.dim, config.vocabulary, bias=False)

    @property
    def low_precision(self) -> tuple[str, ...]:
        """The parts that may be of fewer bits."""
        return ("blocks",) if self.head is None else ("blocks", "head")

    @property
    def generator_spec(self) -> GeneratorSpec:
        """What `tasks.generate` must know; no groups where the positions are not of whole latent frames."""
        config = self.config
        groups, rest = divmod(config.codes_at_most, config.side**2)
        return GeneratorSpec(
            groups=0 if rest else groups,
            side=config.side,
            num_codes=config.vocabulary - config.first_code,
            num_classes=config.num_classes,
            class_names=config.class_names,
            order=cast("Order", config.order),
            words=config.words,
            sentence=config.sentence,
            tokenizer=config.tokenizer,
            parity=config.parity,
        )

    def forward(
        self,
        ids: Int[Tensor, "batch n"],
        shown: Bool[Tensor, "batch n"] | None = None,
        *,
        since: int = 0,
    ) -> Float[Tensor, "batch wanted vocabulary"]:
        """The logits after every token of whole sequences, or after those from `since` on.

        `shown` as in `extend`.
        """
        mask = None
        if shown is not None:
            order = torch.arange(ids.shape[1], device=ids.device)
            mask = shown[:, None] & (order <= order[:, None]) | (order == order[:, None])
        x = self._read(ids, 0)
        for block in self.blocks:
            x = block(x, None, None if mask is None else mask[:, None])
        return self._logits(x[:, since:])

    def new_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for so many rows and places, for `extend`."""
        first = self.blocks[0]
        assert isinstance(first, GptBlock)
        return Cache(self.config, batch, length, first.attn.key.weight)

    def extend(
        self,
        ids: Int[Tensor, "batch n"],
        start: int,
        cache: Cache,
        shown: Bool[Tensor, "batch n"] | None = None,
    ) -> Float[Tensor, "batch n vocabulary"]:
        """The logits after tokens that stand at positions `start` and following, those before being cached.

        `shown` says which of them exist, by row; the others leave a gap at their position.
        """
        end = start + ids.shape[1]
        places = slice(start, end)
        cache.seen[:, places] = True if shown is None else shown
        cache.ids[:, places] = ids
        order = torch.arange(end, device=ids.device)
        mask = cache.seen[:, None, :end] & (order <= order[places, None])
        # a token that is left out sees itself, so that its row has something to attend to
        mask |= order == order[places, None]
        x = self._read(cache.ids[:, :end], start)
        for number, block in enumerate(self.blocks):
            x = block(x, (cache.keys[number], cache.values[number], places, mask[:, None]))
        return self._logits(x)

    def _read(self, ids: Int[Tensor, "batch all"], start: int) -> Float[Tensor, "batch n dim"]:
        """The vectors of the ids from `start` on."""
        end = ids.shape[1]
        where = self.places(start, end) if self.config.axes else self.pos_emb[:, start:end]
        x = self.tok_emb(ids[:, start:]) + where
        return x if self.neighbours is None else x + self.neighbours(ids, start, self.tok_emb)

    def _logits(self, x: Float[Tensor, "batch n dim"]) -> Float[Tensor, "batch n vocabulary"]:
        weight = self.tok_emb.weight if self.head is None else self.head.weight
        return F.linear(self.ln_f(x).to(weight.dtype), weight).float()
