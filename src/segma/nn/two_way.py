"""The two-way transformer of the mask decoder: a few tokens and an image look at each other.

SAM, figure 14. The tokens are few (about seven a click), the image has 4096 cells. So attention between
them is re-associated: instead of projecting every cell for every click, the tokens' projections are taken
through the weights to the cells' own space. For head h with weights W_h,

    (W_h cell) . query = cell . (W_h^T query)        sum_c a_c (W_h cell_c) = W_h sum_c a_c cell_c

which is exact in real numbers and needs a third of the work. What depends on the image alone is computed
once an image (`ImageSide`). Tokens stay float32; the image side has the type of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.nn.mlp import Mlp
from segma.nn.norm import layer_norm


class TokenAttention(nn.Module):
    """Multi-head attention with separate projections, narrowed inside by `downsample`."""

    def __init__(self, dim: int, num_heads: int, downsample: int = 1) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = dim // downsample
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def forward(
        self,
        queries: Float[Tensor, "batch t dim"],
        keys: Float[Tensor, "batch n dim"],
        values: Float[Tensor, "batch n dim"],
    ) -> Float[Tensor, "batch t dim"]:
        """Plain attention."""
        q, k, v = (
            project(p, x) for p, x in ((self.q_proj, queries), (self.k_proj, keys), (self.v_proj, values))
        )
        return project(self.out_proj, self._attend(q, k, v))

    def read_shared(
        self,
        queries: Float[Tensor, "batch t dim"],
        keys: Float[Tensor, "1 cells inner"],
        values: Float[Tensor, "1 cells inner"],
    ) -> Float[Tensor, "batch t dim"]:
        """Tokens of many prompts read the one image they share, projected beforehand."""
        q = self.q_proj(queries)
        seen = self._attend(q.flatten(0, 1)[None].to(keys.dtype), keys, values)
        return self.out_proj(seen.view(q.shape).to(q.dtype))

    def read_image(
        self,
        queries: Float[Tensor, "batch t dim"],
        keyed: Float[Tensor, "batch cells dim"],
        image: Float[Tensor, "batch cells dim"],
    ) -> Float[Tensor, "batch t dim"]:
        """Tokens read an image of their own (`keyed`, with position code, for keys; `image` for values)."""
        if not self._few(queries):
            return self(queries.to(image.dtype), keyed, image).to(queries.dtype)
        batch, tokens, dim = queries.shape
        q = self._split(self.q_proj(queries)) * self._scale
        # The key bias adds the same to all cells of a query, so softmax drops it.
        asked = torch.einsum("bthd,hdc->bhtc", q, self._by_head(self.k_proj.weight)).flatten(1, 2)
        logits = asked.to(keyed.dtype) @ keyed.transpose(1, 2)  # (batch, heads * t, cells)
        seen = (torch.softmax(logits, -1) @ image).to(q.dtype).view(batch, self.num_heads, tokens, dim)
        read = torch.einsum("bhtc,hdc->bthd", seen, self._by_head(self.v_proj.weight)).flatten(2)
        return self.out_proj(read + self.v_proj.bias)

    def write_image(
        self,
        image: Float[Tensor, "_ cells dim"],
        asking: Float[Tensor, "_ cells inner_or_dim"],
        keys: Float[Tensor, "batch t dim"],
        values: Float[Tensor, "batch t dim"],
    ) -> Float[Tensor, "batch cells dim"]:
        """The image plus what its cells read from the tokens.

        `asking` is the image with position code, or its projected queries where all prompts share it.
        """
        projected = asking.shape[-1] == self.q_proj.out_features
        if not self._few(keys):
            q = asking if projected else project(self.q_proj, asking)
            k, v = (p(x).to(q.dtype) for p, x in ((self.k_proj, keys), (self.v_proj, values)))
            return image + project(self.out_proj, self._attend(q.expand(len(k), -1, -1), k, v))
        k = self._split(self.k_proj(keys)) * self._scale
        if projected:
            q = self._split(asking)[0].permute(1, 2, 0)  # (heads, d, cells)
            rows = k.permute(2, 0, 1, 3).flatten(1, 2).to(q.dtype)  # (heads, batch * t, d)
            logits = (rows @ q).view(self.num_heads, *keys.shape[:2], -1).transpose(0, 1)
        else:
            offset = torch.einsum("bthd,hd->bht", k, self.q_proj.bias.view(self.num_heads, -1))
            asked = torch.einsum("bthd,hdc->bhtc", k, self._by_head(self.q_proj.weight))
            logits = torch.baddbmm(
                offset.flatten(1)[..., None].to(asking.dtype),
                asked.flatten(1, 2).to(asking.dtype),
                asking.transpose(1, 2),
            ).view(len(keys), self.num_heads, keys.shape[1], -1)
        weights = torch.softmax(logits, 2).flatten(1, 2)  # (batch, heads * t, cells), over the tokens
        v = self._split(self.v_proj(values))
        given = torch.einsum("bthd,hdc->bhtc", v, self._by_head(self.out_proj.weight.T)).flatten(1, 2)
        given = given + self.out_proj.bias / self.num_heads  # the weights of each head sum to one
        base = image.expand(len(keys), -1, -1)
        return torch.baddbmm(base, weights.transpose(1, 2), given.to(image.dtype))

    @property
    def _scale(self) -> float:
        return (self.q_proj.out_features // self.num_heads) ** -0.5

    def _few(self, tokens: Float[Tensor, "batch t dim"]) -> bool:
        """Whether heads * tokens vectors cost less than projecting every cell."""
        return tokens.shape[1] * self.num_heads <= self.q_proj.out_features

    def _by_head(self, weight: Float[Tensor, "inner dim"]) -> Float[Tensor, "heads d dim"]:
        return weight.reshape(self.num_heads, -1, weight.shape[1])

    def _attend(
        self,
        q: Float[Tensor, "batch t inner"],
        k: Float[Tensor, "batch n inner"],
        v: Float[Tensor, "batch n inner"],
    ) -> Float[Tensor, "batch t inner"]:
        """Attention of projected vectors, heads side by side again."""
        q, k, v = (self._split(x).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def _split(self, x: Float[Tensor, "batch t inner"]) -> Float[Tensor, "batch t heads d"]:
        return x.reshape(*x.shape[:-1], self.num_heads, -1)


def project(linear: nn.Linear, x: Float[Tensor, "*shape dim"]) -> Float[Tensor, "*shape out"]:
    """`linear` in the type of `x`: float32 weights may serve a bfloat16 image side."""
    bias = linear.bias.to(x.dtype)
    return F.linear(x, linear.weight.to(x.dtype), bias)


@dataclass(frozen=True, slots=True)
class ImageSide:
    """An image as the transformer sees it, cells in rows, for one image or one for each prompt.

    `keys`, `values` and `queries` are the first layer's projections (inner wide), there when one image
    serves all prompts; then they are computed once an image.
    """

    image: Float[Tensor, "_ cells dim"]
    position: Float[Tensor, "cells dim"]
    keys: Float[Tensor, "1 cells inner"] | None = None
    values: Float[Tensor, "1 cells inner"] | None = None
    queries: Float[Tensor, "1 cells inner"] | None = None


class TwoWayLayer(nn.Module):
    """Tokens among themselves, tokens read the image, an MLP on the tokens, the image reads the tokens."""

    def __init__(self, dim: int, num_heads: int, mlp: nn.Module, *, is_first: bool) -> None:
        super().__init__()
        self.is_first = is_first
        self.self_attn = TokenAttention(dim, num_heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = TokenAttention(dim, num_heads, downsample=2)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = TokenAttention(dim, num_heads, downsample=2)

    def forward(
        self,
        tokens: Float[Tensor, "batch t dim"],
        initial: Float[Tensor, "batch t dim"],
        side: ImageSide,
    ) -> tuple[Float[Tensor, "batch t dim"], Float[Tensor, "batch cells dim"]]:
        """Tokens and image after the layer. `initial`, the tokens as they came, is their position code."""
        if self.is_first:  # no residual and no position code here (the original's skip_first_layer_pe)
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens))
        else:
            placed = tokens + initial
            tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens))
        read = self.cross_attn_token_to_image
        if side.keys is not None and side.values is not None:
            keyed = None
            seen = read.read_shared(tokens + initial, side.keys, side.values)
        else:
            keyed = side.image + side.position
            seen = read.read_image(tokens + initial, keyed, side.image)
        tokens = self.norm2(tokens + seen)
        tokens = self.norm3(tokens + self.mlp(tokens))
        asking = side.queries if keyed is None else keyed
        assert asking is not None
        image = self.cross_attn_image_to_token.write_image(side.image, asking, tokens + initial, tokens)
        return tokens, layer_norm(self.norm4, image)


def _relu_mlp(dim: int, hidden_dim: int) -> Mlp:
    return Mlp(dim, hidden_dim, nn.ReLU)


class TwoWayTransformer(nn.Module):
    """Two layers and a last look of the tokens at the image.

    `make_mlp` gives each layer's MLP by width and hidden width: SAM and SAM 2 name its parts differently.
    """

    def __init__(
        self,
        *,
        depth: int,
        dim: int,
        num_heads: int,
        mlp_dim: int,
        make_mlp: Callable[[int, int], nn.Module] = _relu_mlp,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayLayer(dim, num_heads, make_mlp(dim, mlp_dim), is_first=index == 0) for index in range(depth)
        )
        self.final_attn_token_to_image = TokenAttention(dim, num_heads, downsample=2)
        self.norm_final_attn = nn.LayerNorm(dim)

    def share(self, image: Float[Tensor, "1 cells dim"], position: Float[Tensor, "cells dim"]) -> ImageSide:
        """An image that many prompts will ask about: the first layer's projections, once."""
        first = self.layers[0]
        assert isinstance(first, TwoWayLayer)
        read, write = first.cross_attn_token_to_image, first.cross_attn_image_to_token
        keyed = image + position
        return ImageSide(
            image=image,
            position=position,
            keys=project(read.k_proj, keyed),
            values=project(read.v_proj, image),
            # Stored channel by channel: every prompt reads them head by head, cells side by side.
            queries=project(write.q_proj, keyed).transpose(1, 2).contiguous().transpose(1, 2),
        )

    def forward(
        self, tokens: Float[Tensor, "batch t dim"], side: ImageSide, num_outputs: int
    ) -> tuple[Float[Tensor, "batch outputs dim"], Float[Tensor, "batch cells dim"]]:
        """The first `num_outputs` tokens, and the image, after they have seen each other.

        The last look costs by the token, and nobody reads the prompts' own.
        """
        initial = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, initial, side)
            side = ImageSide(image=image, position=side.position)
        tokens, placed = tokens[:, :num_outputs], (tokens + initial)[:, :num_outputs]
        keyed = side.image + side.position
        seen = self.final_attn_token_to_image.read_image(placed, keyed, side.image)
        return self.norm_final_attn(tokens + seen), side.image
