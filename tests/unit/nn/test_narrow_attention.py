"""Attention to narrow values: the loop over tiles against the textbook, and when it is used."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segma.nn import narrow_attention
from segma.nn.narrow_attention import attend_narrow

DIM, NARROW = 16, 8


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def widen() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(NARROW, DIM).requires_grad_(False)


def textbook(q: Tensor, k: Tensor, values: Tensor) -> Tensor:
    weights = torch.softmax(q.double() @ k.double().transpose(1, 2) * DIM**-0.5, -1)
    return (weights @ values.double()).float()


# One tile; no multiple of a tile in either direction; fewer keys than channels.
@pytest.mark.parametrize(("queries", "keys"), [(40, 400), (1100, 2100), (3, 5)])
def test_tiles_give_what_all_logits_at_once_give(queries: int, keys: int) -> None:
    q, k, narrow = noise(2, queries, DIM), noise(2, keys, DIM), noise(2, keys, NARROW)
    assert narrow_attention._tiles_pay(q, k, narrow)
    torch.testing.assert_close(
        attend_narrow(q, k, narrow, widen()), textbook(q, k, widen()(narrow)), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("order", [1, -1])
def test_logits_of_hundreds_that_rise_or_fall_from_tile_to_tile(order: int) -> None:
    q, k, narrow = noise(1, 20, DIM), noise(1, 3000, DIM), noise(1, 3000, NARROW)
    q = q.abs() * 30
    k = k + 20 * torch.linspace(-1, 1, 3000)[:, None] * order
    logits = (q @ k.transpose(1, 2)) * DIM**-0.5
    assert logits.max() > 1000 and logits.min() < -1000
    torch.testing.assert_close(
        attend_narrow(q, k, narrow, widen()), textbook(q, k, widen()(narrow)), atol=2e-3, rtol=0
    )


def test_training_takes_the_fused_kernel_and_has_gradients() -> None:
    q, k, narrow = (noise(1, n, d).requires_grad_() for n, d in ((6, DIM), (9, DIM), (9, NARROW)))
    layer = widen().requires_grad_()
    assert not narrow_attention._tiles_pay(q, k, narrow)
    attended = attend_narrow(q, k, narrow, layer)
    torch.testing.assert_close(attended, textbook(q, k, layer(narrow)), atol=1e-5, rtol=1e-5)
    attended.square().sum().backward()
    for tensor in (q, k, narrow, layer.weight, layer.bias):
        assert tensor.grad is not None and tensor.grad.abs().sum() > 0


def test_only_the_widening_is_trained() -> None:
    q, k, narrow = noise(1, 6, DIM), noise(1, 9, DIM), noise(1, 9, NARROW)
    layer = widen().requires_grad_()
    attend_narrow(q, k, narrow, layer).square().sum().backward()
    tiled, layer.weight.grad = layer.weight.grad, None
    textbook_loss = textbook(q, k, layer(narrow)).square().sum()
    textbook_loss.backward()
    torch.testing.assert_close(tiled, layer.weight.grad)


def test_bfloat16_is_close() -> None:
    q, k, narrow = noise(1, 30, DIM), noise(1, 200, DIM), noise(1, 200, NARROW)
    low = attend_narrow(q.bfloat16(), k.bfloat16(), narrow.bfloat16(), widen().bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), textbook(q, k, widen()(narrow)), atol=0.03, rtol=0)
