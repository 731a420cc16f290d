"""The peer of tokenizers: the computation of the paper written straight, with the same weights.

transformers has no OmniTokenizer. So this is what one writes from its description with torch's own functions:
the position convolution is torch's over three axes, a token turns as complex numbers, plain attention is
torch's fused one (as in the official program), window attention is Swin's written out, and codes are found in
a table of all distances. What the official program does besides (one-hot vectors, usage counts) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from programs.tokens_ours import DECODE, ENCODE, Shape, inputs_of, state_of, summary, task_name
from programs.turns import Task
from torch import Tensor

from segma.models.omnitokenizer.config import MOVING_WINDOW, VARIANTS, WINDOW, OmniTokenizerConfig


class Plain:
    """A tokenizer of a config over a state dict with official names; `used` are those it asked for."""

    def __init__(self, config: OmniTokenizerConfig, state: Mapping[str, Tensor]) -> None:
        self.config = config
        self.state = state
        self.used: set[str] = set()

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels (batch, 3, frames, height, width) to codes (batch, groups, rows, columns)."""
        config = self.config
        parts = [("encoder.to_patch_emb_first_frame", patches(pixels[:, :, :1], config.patch, 1))]
        if pixels.shape[2] > 1:
            rest = patches(pixels[:, :, 1:], config.patch, config.temporal_patch)
            parts.append(("encoder.to_patch_emb", rest))
        x = torch.cat([self.embedded(name, part) for name, part in parts], 1)
        x = self.spatial("encoder.enc_spatial_transformer", config.encoder_spatial, x)
        x = self.temporal("encoder.enc_temporal_transformer", config.encoder_temporal, x)
        x = self.linear("pre_vq_conv.1", x)
        if config.shortcut:
            x = x + torch.cat(
                [self.linear(f"code_shortcut.to_numbers.{n}", part) for n, (_, part) in enumerate(parts)], 1
            )
        flat = F.normalize(x, dim=-1).flatten(0, 3)
        codes = self.get("codebook.embeddings")
        distances = (flat**2).sum(1, keepdim=True) - 2 * flat @ codes.t() + (codes.t() ** 2).sum(0)
        return distances.argmin(1).view(x.shape[:4])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes to pixels."""
        config = self.config
        vectors = F.embedding(codes, self.get("codebook.embeddings"))
        x = self.linear("post_vq_conv.1", vectors)
        x = self.temporal("decoder.dec_temporal_transformer", config.decoder_temporal, x)
        x = self.spatial("decoder.dec_spatial_transformer", config.decoder_spatial, x)
        heads = ("decoder.to_pixels_first_frame.0", "decoder.to_pixels.0")
        shown = [self.linear(heads[0], x[:, :1]), self.linear(heads[1], x[:, 1:])]
        if config.shortcut:
            ways = (vectors[:, :1], vectors[:, 1:])
            shown = [
                each + self.linear(f"code_shortcut.to_pixels.{n}", way)
                for n, (each, way) in enumerate(zip(shown, ways, strict=True))
            ]
        frames = [unpatched(shown[0], config.patch, 1)]
        if x.shape[1] > 1:
            frames.append(unpatched(shown[1], config.patch, config.temporal_patch))
        return torch.cat(frames, 2)

    def spatial(self, name: str, kinds: str, x: Tensor) -> Tensor:
        """Layers over space; x is (batch, time, rows, columns, dim)."""
        batch, time, rows, columns, dim = x.shape
        for number, kind in enumerate(kinds):
            layer = f"{name}.layers.{number}"
            if kind != WINDOW:
                x = x + self.convolved(f"{layer}.0.dsconv", x)
            if kind in (WINDOW, MOVING_WINDOW):
                x = x + self.windowed(f"{layer}.1", x.flatten(0, 1)).view(x.shape)
            else:
                tokens = x.reshape(batch * time, rows * columns, dim)
                x = x + self.attention(f"{layer}.1", tokens, (rows, columns), None).view(x.shape)
            x = self.fed(layer, x)
        return self.gain_norm(f"{name}.norm_out", x)

    def temporal(self, name: str, kinds: str, x: Tensor) -> Tensor:
        """Layers over time, of the official layout or of the right one."""
        batch, time, rows, columns, dim = x.shape
        x = x.permute(0, 2, 3, 1, 4).reshape(batch * rows * columns, time, dim)
        mask = torch.ones(time, time, dtype=torch.bool).tril()
        if self.config.temporal_memory:
            mask = mask.triu(-self.config.temporal_memory)
        for number in range(len(kinds)):
            layer = f"{name}.layers.{number}"
            if self.config.is_official:
                lain = x.reshape(batch, time, rows, columns, dim)
                x = x + self.convolved(f"{layer}.0.dsconv", lain).reshape(x.shape)
            else:
                lain = x.view(batch, rows, columns, time, dim).permute(0, 3, 1, 2, 4)
                x = x + self.convolved(f"{layer}.0.dsconv", lain).permute(0, 2, 3, 1, 4).reshape(x.shape)
            x = x + self.attention(f"{layer}.1", x, None, mask)
            x = self.fed(layer, x)
        x = self.gain_norm(f"{name}.norm_out", x)
        return x.view(batch, rows, columns, time, dim).permute(0, 3, 1, 2, 4).contiguous()

    def convolved(self, name: str, x: Tensor) -> Tensor:
        """The depthwise convolution over time, rows and columns."""
        weight, bias = self.get(f"{name}.weight"), self.get(f"{name}.bias")
        padded = F.pad(x.permute(0, 4, 1, 2, 3), (1, 1, 1, 1, 2, 0))
        return F.conv3d(padded, weight, bias, groups=len(weight)).permute(0, 2, 3, 4, 1)

    def attention(self, name: str, x: Tensor, size: tuple[int, int] | None, mask: Tensor | None) -> Tensor:
        """Attention by cosines; over space tokens turn."""
        batch, count, _ = x.shape
        heads = self.config.heads
        q = self.linear(f"{name}.to_q", self.gain_norm(f"{name}.norm", x))
        k, v = self.linear(f"{name}.to_kv", x).chunk(2, -1)
        q, k, v = (each.view(batch, count, heads, -1).transpose(1, 2) for each in (q, k, v))
        if size is not None:
            q, k = (turned(each, size) for each in (q, k))
        q = F.normalize(q, dim=-1) * self.get(f"{name}.q_scale")
        k = F.normalize(k, dim=-1) * self.get(f"{name}.k_scale")
        out = F.scaled_dot_product_attention(q, k, v.to(q.dtype), attn_mask=mask, scale=8)
        return self.linear(f"{name}.to_out", out.transpose(1, 2).reshape(batch, count, -1))

    def windowed(self, name: str, x: Tensor) -> Tensor:
        """Attention in windows; x is (frames, rows, columns, dim)."""
        frames, rows, columns, dim = x.shape
        side, heads = self.config.window, self.config.heads
        x = self.gain_norm(f"{name}.norm", x)
        x = x.view(frames, rows // side, side, columns // side, side, dim).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, side * side, dim)
        qkv = self.linear(f"{name}.qkv", x).view(len(x), side * side, 3, heads, dim // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        logits = (q * (dim // heads) ** -0.5) @ k.transpose(-2, -1)
        index = self.get(f"{name}.relative_position_index").view(-1)
        bias = self.get(f"{name}.relative_position_bias_table")[index].view(side * side, side * side, -1)
        logits = logits + bias.permute(2, 0, 1).contiguous()[None]
        x = (logits.softmax(-1) @ v).transpose(1, 2).reshape(len(x), side * side, dim)
        x = self.linear(f"{name}.proj", x)
        x = x.view(frames, rows // side, columns // side, side, side, dim).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(frames, rows, columns, dim)

    def fed(self, layer: str, x: Tensor) -> Tensor:
        """What feeds forward; time is the second axis. What moves goes through more, where there is more."""
        x = x + self.feed_forward(f"{layer}.3", x)
        if not self.config.moving or x.shape[1] == 1:
            return x
        return torch.cat([x[:, :1], x[:, 1:] + self.feed_forward(f"{layer}.5", x[:, 1:])], 1)

    def feed_forward(self, name: str, x: Tensor) -> Tensor:
        """Widen, gate, narrow."""
        value, gate = self.linear(f"{name}.1", self.norm(f"{name}.0", x)).chunk(2, -1)
        return self.linear(f"{name}.4", value * F.gelu(gate))

    def embedded(self, name: str, x: Tensor) -> Tensor:
        """Patches to tokens."""
        x = self.norm(f"{name}.1", x) if self.config.pixel_norm else x
        return self.norm(f"{name}.3", self.linear(f"{name}.2", x))

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.get(f"{name}.weight"), self.get(f"{name}.bias", needed=False))

    def norm(self, name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.get(f"{name}.weight"), self.get(f"{name}.bias"))

    def gain_norm(self, name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.get(f"{name}.gamma"), self.get(f"{name}.beta"))

    def get(self, name: str, *, needed: bool = True) -> Tensor | None:
        self.used.add(name)
        return self.state[name] if needed else self.state.get(name)


def turned(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Rotary positions: pairs of channels as complex numbers, by columns and rows in turn."""
    rows, columns = size
    dim = x.shape[-1]
    frequencies = 10000.0 ** (-4 * torch.arange(dim // 4) / dim)
    places = torch.arange(rows * columns)
    angles = torch.stack(
        [(places % columns)[:, None] * frequencies, (places // columns)[:, None] * frequencies], -1
    )
    turn = torch.polar(torch.ones(()), angles.flatten(1))
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(3).type_as(x)


def patches(pixels: Tensor, side: int, depth: int) -> Tensor:
    """(batch, groups, rows, columns, channels x frames x rows x columns of a patch)."""
    batch, channels, frames, height, width = pixels.shape
    x = pixels.reshape(batch, channels, frames // depth, depth, height // side, side, width // side, side)
    return x.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)


def unpatched(x: Tensor, side: int, depth: int) -> Tensor:
    """The pixels of `patches`."""
    batch, groups, rows, columns = x.shape[:4]
    x = x.view(batch, groups, rows, columns, 3, depth, side, side).permute(0, 4, 1, 5, 2, 6, 3, 7)
    return x.reshape(batch, 3, groups * depth, rows * side, columns * side)


def tokens(variant: str, autocast: bool, shapes: Sequence[Shape]) -> dict[str, Task]:
    """As `tokens_ours.tokens`, without the products."""
    plain = Plain(VARIANTS[variant], state_of(variant))
    tasks: dict[str, Task] = {}

    def run(way: str, given: Tensor) -> Tensor:
        precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
        with torch.inference_mode(), precision:
            return plain.encode(given) if way == ENCODE else plain.decode(given)

    for shape in shapes:
        for way, given in zip((ENCODE, DECODE), inputs_of(variant, shape), strict=True):
            tasks[task_name(way, shape)] = Task(
                run=lambda way=way, given=given: run(way, given), summary=summary
            )
    return tasks
