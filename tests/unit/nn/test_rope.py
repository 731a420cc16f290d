"""Rotation in two axes, against complex numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segma.nn.rope import axial_turn, project_halves, rotate

CPU = torch.device("cpu")
DIM = 16


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def textbook(x: Tensor, places: list[tuple[float, float]]) -> Tensor:
    """Adjacent channels as complex numbers, the first half turned by x, the second by y."""
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    frequencies = torch.tensor([10000 ** (-4 * i / DIM) for i in range(DIM // 4)], dtype=torch.float64)
    angles = torch.stack([torch.cat([column * frequencies, row * frequencies]) for column, row in places])
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).float()


def in_halves(x: Tensor) -> Tensor:
    return torch.cat([x[..., ::2], x[..., 1::2]], -1)


@pytest.mark.parametrize(("side", "stride"), [(5, 1), (4, 2), (2, 3.0)])
def test_cells_turn_by_their_place_or_the_middle_of_those_they_stand_for(side: int, stride: float) -> None:
    x = noise(2, side * side, DIM)
    middles = [index * stride + (stride - 1) / 2 for index in range(side)]
    expected = textbook(x, [(column, row) for row in middles for column in middles])
    turned = rotate(in_halves(x), axial_turn(DIM, side, device=CPU, stride=stride))
    torch.testing.assert_close(turned, in_halves(expected))


def test_halves_are_the_even_outputs_and_then_the_odd_ones() -> None:
    linear, x = nn.Linear(6, DIM), noise(3, 6)
    torch.testing.assert_close(project_halves(linear, x), in_halves(linear(x)))


def test_products_know_only_the_distance() -> None:
    turn = axial_turn(DIM, 6, device=CPU)
    q, k = (rotate(noise(1, DIM + seed)[:, :DIM].expand(36, -1), turn) for seed in (0, 1))
    products = (q @ k.T).view(6, 6, 6, 6)
    torch.testing.assert_close(products[1, 2, 3, 5], products[0, 0, 2, 3], atol=1e-5, rtol=0)
    assert abs(products[0, 0, 0, 1] - products[0, 0, 1, 0]) > 1e-3


def test_bfloat16_is_turned_in_float32() -> None:
    x, turn = noise(25, DIM).bfloat16(), axial_turn(DIM, 5, device=CPU)
    turned = rotate(x, turn)
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned, rotate(x.float(), turn).bfloat16(), atol=0, rtol=0)
