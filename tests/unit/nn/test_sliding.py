"""Sliding maxima: those of pooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segma.nn.sliding import widest


@pytest.mark.parametrize("reach", [0, 1, 2, 3, 6, 7, 40])
def test_maxima_are_those_of_pooling(reach: int) -> None:
    torch.manual_seed(reach)
    x = torch.randn(2, 3, 17, 31) - 5
    pooled = F.max_pool2d(F.pad(x, [reach] * 4, value=-torch.inf), 2 * reach + 1, 1)
    assert torch.equal(widest(x, reach), pooled)


def test_what_is_given_stays() -> None:
    x = torch.randn(1, 5, 5)
    before = x.clone()
    widest(x, 2)
    assert torch.equal(x, before)
