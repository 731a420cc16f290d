"""Fixed position codes against their formulas, term by term."""

from __future__ import annotations

import math

import pytest
import torch

from segma.nn.position import sine_line, sine_map

CPU = torch.device("cpu")


def test_a_map_has_sines_and_cosines_of_y_then_of_x() -> None:
    codes = sine_map(16, 3, 5, device=CPU).view(3, 5, 16)
    for y, x, channel in ((0, 0, 0), (2, 1, 3), (1, 4, 8), (2, 3, 15)):
        at, side = (y, 3) if channel < 8 else (x, 5)
        index = channel % 8
        phase = (at + 1) / (side + 1e-6) * 2 * math.pi / 10000 ** (2 * (index // 2) / 8)
        expected = math.cos(phase) if index % 2 else math.sin(phase)
        assert codes[y, x, channel].item() == pytest.approx(expected, abs=1e-5)


def test_a_pooled_cell_stands_in_the_middle_of_its_cells() -> None:
    """Of three cells the middle one is a cell itself."""
    pooled = sine_map(16, 2, 2, device=CPU, stride=3).view(2, 2, 16)
    torch.testing.assert_close(pooled, sine_map(16, 6, 6, device=CPU).view(6, 6, 16)[1::3, 1::3])


def test_a_number_has_all_sines_then_all_cosines() -> None:
    codes = sine_line(8, torch.tensor([0.0, 0.4]))
    divisors = [1, 1, 100, 100]
    expected = [math.sin(0.4 / d) for d in divisors] + [math.cos(0.4 / d) for d in divisors]
    torch.testing.assert_close(codes[1], torch.tensor(expected))
    torch.testing.assert_close(codes[0], torch.tensor([0.0] * 4 + [1.0] * 4))
