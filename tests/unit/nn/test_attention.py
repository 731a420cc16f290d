"""Attention with decomposed relative position against a textbook one that holds every logit."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segma.nn.attention import RelativeAttention

# Few tokens go through one fused call, many through another path; 33 x 33 is no multiple of a strip.
SIZES = [(7, 7), (33, 33)]


def attention(size: tuple[int, int], dtype: torch.dtype = torch.float32) -> RelativeAttention:
    generator = torch.Generator().manual_seed(3)
    module = RelativeAttention(16, 2, max(size)).to(dtype)
    for parameter in module.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator, dtype=dtype)
    return module


def tokens(batch: int, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(batch, *size, 16, generator=torch.Generator().manual_seed(4), dtype=dtype)


def textbook(module: RelativeAttention, x: Tensor) -> Tensor:
    """Softmax of all pairs, the bias added to each; the query of the bias is not scaled."""
    batch, height, width, dim = x.shape
    head_dim = dim // module.num_heads
    q, k, v = module.qkv(x).reshape(batch, height * width, 3, module.num_heads, head_dim).unbind(2)
    y, x_position = torch.arange(height * width) // width, torch.arange(height * width) % width
    side_h, side_w = len(module.rel_pos_h) // 2, len(module.rel_pos_w) // 2
    by_row = module.rel_pos_h[y[:, None] - y[None, :] + side_h]  # (query, key, head_dim)
    by_column = module.rel_pos_w[x_position[:, None] - x_position[None, :] + side_w]
    logits = torch.einsum("bqnd,bknd->bnqk", q, k) / head_dim**0.5
    logits = logits + torch.einsum("bqnd,qkd->bnqk", q, by_row + by_column)
    out = torch.einsum("bnqk,bknd->bqnd", torch.softmax(logits, -1), v)
    return module.proj(out.reshape(batch, height, width, dim))


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_textbook_attention(size: tuple[int, int]) -> None:
    module, x = attention(size), tokens(2, size)
    with torch.no_grad():
        torch.testing.assert_close(module(x), textbook(module, x), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_training_and_use_compute_the_same(size: tuple[int, int]) -> None:
    module, x = attention(size), tokens(1, size)
    with torch.inference_mode():
        used = module(x)
    torch.testing.assert_close(module(x).detach(), used.clone(), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_those_of_the_textbook(size: tuple[int, int]) -> None:
    module, x = attention(size, torch.float64), tokens(1, size, torch.float64)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    gradients: list[list[Tensor]] = []
    for forward in (module, lambda given: textbook(module, given)):
        module.zero_grad()
        (forward(x) * weights).sum().backward()
        gradients.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(module.parameters()))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_position_tables_alone_can_be_trained() -> None:
    module, x = attention((33, 33)), tokens(1, (33, 33))
    module.qkv.requires_grad_(False)
    module.proj.requires_grad_(False)
    module(x).sum().backward()
    assert module.rel_pos_h.grad is not None and module.rel_pos_h.grad.abs().sum() > 0


def test_tables_of_another_side_are_resampled() -> None:
    module, x = attention((7, 7)), tokens(1, (4, 5))
    resampled = attention((7, 7))
    for name, side in (("rel_pos_h", 4), ("rel_pos_w", 5)):
        table = getattr(module, name).detach()
        resized = F.interpolate(table.T[None], 2 * side - 1, mode="linear")[0].T
        setattr(resampled, name, torch.nn.Parameter(resized))
    with torch.no_grad():
        torch.testing.assert_close(module(x), textbook(resampled, x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_bfloat16_is_near(size: tuple[int, int]) -> None:
    module, x = attention(size), tokens(1, size)
    with torch.inference_mode():
        exact = textbook(module, x)
        low = module.bfloat16()(x)
    assert low.dtype == torch.bfloat16
    assert (low.float() - exact).std() < 0.05 * exact.std()
