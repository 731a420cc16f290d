"""Norms."""

from __future__ import annotations

import torch
from torch import nn

from segma.nn.norm import ChannelNorm, layer_norm


def test_channel_norm_is_over_the_channels_of_each_pixel_with_biased_variance() -> None:
    x = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    norm = ChannelNorm(6)
    norm.weight.data, norm.bias.data = torch.arange(1.0, 7.0), torch.arange(6.0)
    mean = x.mean(1, keepdim=True)
    variance = ((x - mean) ** 2).mean(1, keepdim=True)
    expected = (x - mean) / (variance + 1e-6).sqrt()
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)


def test_a_norm_follows_the_type_of_its_data() -> None:
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    norm = nn.LayerNorm(8)
    low = layer_norm(norm, x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), norm(x), atol=0.03, rtol=0.02)


def test_channel_norm_is_the_same_in_both_memory_orders_and_keeps_type_and_order() -> None:
    x = 3 + torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    norm = ChannelNorm(6)
    planes, pixels = norm(x), norm(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(planes, pixels)
    assert planes.is_contiguous() and pixels.is_contiguous(memory_format=torch.channels_last)
    low = norm(x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), planes, atol=0.03, rtol=0.02)
