"""Windows of a token map and back."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segma.nn.window import from_windows, to_windows


@settings(deadline=None, max_examples=40)
@given(batch=st.integers(1, 3), height=st.integers(1, 20), width=st.integers(1, 20), side=st.integers(1, 9))
def test_there_and_back_is_the_same(batch: int, height: int, width: int, side: int) -> None:
    x = torch.arange(batch * height * width * 2, dtype=torch.float32).view(batch, height, width, 2)
    windows = to_windows(x, side)
    assert windows.shape == (batch * -(-height // side) * -(-width // side), side, side, 2)
    assert torch.equal(from_windows(windows, (height, width)), x)


def test_windows_come_row_by_row_and_are_filled_with_zeros() -> None:
    x = torch.arange(1.0, 7.0).view(1, 2, 3, 1)
    windows = to_windows(x, 2)[..., 0]
    assert windows.tolist() == [[[1, 2], [4, 5]], [[3, 0], [6, 0]]]
