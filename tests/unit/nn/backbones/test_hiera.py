"""Hiera against the plainest way to write it: one window at a time, nothing kept in windows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segma.nn.backbones.hiera import Hiera, HieraBlock, TokenMap, pool_by_two


def made(windows: tuple[int, ...], global_blocks: tuple[int, ...]) -> Hiera:
    torch.manual_seed(3)
    trunk = Hiera(
        depths=(1, 2, 3, 1),
        widths=(8, 16, 24, 32),
        heads=(1, 2, 3, 4),
        mlp_dims=(16, 32, 48, 64),
        windows=windows,
        global_blocks=global_blocks,
        position_side=3,
        window_position_side=4,
    ).eval()
    for table in (trunk.pos_embed, trunk.pos_embed_window):
        torch.nn.init.normal_(table)
    return trunk.requires_grad_(False)


def plain(trunk: Hiera, pixels: Tensor) -> list[Tensor]:
    """The maps, each step written out on the whole map."""
    convolution = trunk.patch_embed.get_submodule("proj")
    x = convolution(pixels)
    side = x.shape[-1]
    coarse = F.interpolate(trunk.pos_embed, (side, side), mode="bicubic")
    x = (x + coarse + trunk.pos_embed_window.tile(side // 4, side // 4)).permute(0, 2, 3, 1)
    stages = []
    for index, block in enumerate(trunk.blocks):
        assert isinstance(block, HieraBlock)
        x = plain_block(block, x)
        if index in (0, 2, 5, 6):
            stages.append(x)
    return stages


def plain_block(block: HieraBlock, x: Tensor) -> Tensor:
    normed = block.norm1(x)
    shortcut = block.proj(normed) if hasattr(block, "proj") else x
    if block.pool:
        shortcut = max_pool(shortcut)
    window, side = block.window or x.shape[1], x.shape[1]
    padded = F.pad(normed, (0, 0, 0, -side % window, 0, -side % window))
    shrink = 2 if block.pool else 1
    seen = padded.new_zeros(len(x), padded.shape[1] // shrink, padded.shape[2] // shrink, shortcut.shape[-1])
    for y in range(0, padded.shape[1], window):
        for column in range(0, padded.shape[2], window):
            out = attend(block, padded[:, y : y + window, column : column + window])
            top, left, small = y // shrink, column // shrink, window // shrink
            seen[:, top : top + small, left : left + small] = out
    x = shortcut + seen[:, : shortcut.shape[1], : shortcut.shape[2]]
    return x + block.mlp(block.norm2(x))


def attend(block: HieraBlock, part: Tensor) -> Tensor:
    attention = block.attn
    q, k, v = attention.qkv(part).chunk(3, -1)
    if block.pool:
        q = max_pool(q)
    heads = (t.flatten(1, 2).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for t in (q, k, v))
    query, key, value = heads
    weights = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)
    return attention.proj((weights @ value).transpose(1, 2).reshape(q.shape))


def max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("windows", "global_blocks"),
    [((4, 2, 6, 3), (4,)), ((8, 4, 2, 1), (3, 5)), ((4, 4, 14, 7), ()), ((6, 2, 4, 4), (0, 1, 6))],
)
def test_it_is_what_it_says(windows: tuple[int, ...], global_blocks: tuple[int, ...]) -> None:
    trunk = made(windows, global_blocks)
    pixels = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    for ours, expected in zip(trunk(pixels), plain(trunk, pixels), strict=True):
        torch.testing.assert_close(ours.whole(), expected, atol=1e-5, rtol=1e-5)


def test_a_map_may_be_cut_and_put_together() -> None:
    tokens = torch.arange(2 * 36 * 3).view(2, 6, 6, 3).float()
    whole = TokenMap(tokens, 6)
    thirds = whole.cut(2)
    assert thirds.tokens.shape == (18, 2, 2, 3) and thirds.side == 2
    assert torch.equal(thirds.cut(3).whole(), tokens)
    assert thirds.cut(2) is thirds


def test_pooling_takes_the_largest() -> None:
    x = torch.randn(2, 4, 6, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(pool_by_two(x), max_pool(x))
