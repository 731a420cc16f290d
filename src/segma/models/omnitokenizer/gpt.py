"""A language model over codes, after minGPT, and its cache of keys and values (specification, section 8)."""

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
        self, x: Float[Tensor, "batch n dim"], kept: tuple[Tensor, Tensor, slice, Tensor] | None
    ) -> Float[Tensor, "batch n dim"]:
        """What is added to the tokens.

        `kept`: keys and values of all places (batch, heads, places, head_dim), where the new ones go, and who
        sees whom (batch, 1, n, places).
        """
        q, k, v = (self._split(linear(x)) for linear in (self.query, self.key, self.value))
        if kept is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
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
        self, x: Float[Tensor, "batch n dim"], kept: tuple[Tensor, Tensor, slice, Tensor] | None = None
    ) -> Float[Tensor, "batch n dim"]:
        """The tokens after the block; `kept` as in `CausalAttention`."""
        kind = self.attn.key.weight.dtype
        x = x + self.attn(self.ln1(x).to(kind), kept)
        return x + self.mlp(self.ln2(x).to(kind))


class Gpt(nn.Module):
    """Token ids to the logits of the next one."""

    low_precision = ("blocks", "head")

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocabulary, config.dim)
        self.pos_emb = nn.Parameter(torch.zeros(1, config.block, config.dim))
        self.blocks = nn.ModuleList(GptBlock(config) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocabulary, bias=False)

    @property
    def generator_spec(self) -> GeneratorSpec:
        """What `tasks.generate` must know; no groups where the positions are not of whole latent frames."""
        config = self.config
        before = 1 if config.order == "codes" else 2
        groups, rest = divmod(config.block + 1 - before, config.side**2)  # nothing follows on the last code
        return GeneratorSpec(
            groups=0 if rest else groups,
            side=config.side,
            num_codes=config.vocabulary - (1 + config.num_classes if config.num_classes else 0),
            num_classes=config.num_classes,
            class_names=config.class_names,
            order=cast("Order", config.order),
            parity=config.parity,
        )

    def forward(self, ids: Int[Tensor, "batch n"]) -> Float[Tensor, "batch n vocabulary"]:
        """The logits after every token of whole sequences."""
        x = self.tok_emb(ids) + self.pos_emb[:, : ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self._logits(x)

    def new_cache(self, batch: int, length: int) -> Cache:
        """An empty cache for so many rows and places, for `extend`."""
        return Cache(self.config, batch, length, self.head.weight)

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
        order = torch.arange(end, device=ids.device)
        mask = cache.seen[:, None, :end] & (order <= order[places, None])
        # a token that is left out sees itself, so that its row has something to attend to
        mask |= order == order[places, None]
        x = self.tok_emb(ids) + self.pos_emb[:, places]
        for number, block in enumerate(self.blocks):
            x = block(x, (cache.keys[number], cache.values[number], places, mask[:, None]))
        return self._logits(x)

    def _logits(self, x: Float[Tensor, "batch n dim"]) -> Float[Tensor, "batch n vocabulary"]:
        return self.head(self.ln_f(x).to(self.head.weight.dtype)).float()
