"""Memory attention against the official numbers on the path of training: the library's fused kernel.

Outside training the loop over tiles is used; `test_modules.py` compares that one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from numpy import ndarray

from segma.models.interfaces import ImageFeatures, MemoryBank
from segma.models.sam2.model import Sam2

# Centre and radii of the three masks in the frame of 1024 pixels: prompted, tracked, absent.
ELLIPSES = ((400, 500, 200, 150), (650, 420, 120, 180), (300, 300, 80, 80))


@pytest.fixture(scope="module")
def bank(tiny: Sam2, truck: Any, golden_file: Callable[[str], dict[str, ndarray]]) -> MemoryBank:
    """What frame 5 remembers: prompted frames 0 and 9, tracked frames 3 and 4."""
    rows, columns = torch.meshgrid(torch.arange(1024), torch.arange(1024), indexing="ij")
    masks = torch.stack(
        [
            (14.0 * (((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2 < 1) - 7).sigmoid()
            for x, y, rx, ry in ELLIPSES
        ]
    )[:, None]
    masks[0].round_()
    present = torch.tensor([True, True, False])
    with torch.no_grad():
        frame = ImageFeatures(embedding=truck.frame.embedding.clone())
        first, tracked, absent = tiny.encode_memory(frame, masks, present)
    pointers = torch.as_tensor(golden_file("modules")["ptrs"])
    return MemoryBank(
        maps=(first, absent, tracked, absent),
        rows=(6, 6, 1, 0),
        pointers=(pointers[0], pointers[2], pointers[1]),
        distances=(5 / 15, 1 / 15, 2 / 15),
    )


def test_the_fused_kernel_gives_the_official_map(
    tiny: Sam2,
    truck: Any,
    bank: MemoryBank,
    golden_file: Callable[[str], dict[str, ndarray]],
    tolerance: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("segma.nn.narrow_attention._tiles_pay", lambda *tensors: False)
    frame = ImageFeatures(embedding=truck.frame.embedding.clone())
    with torch.no_grad():
        seen = tiny.condition(frame, [bank]).embedding[0, ::8, ::4, ::4]
    expected = torch.as_tensor(golden_file("modules")["ma_fwd_s"])
    torch.testing.assert_close(seen, expected, atol=tolerance.conditioned, rtol=0)
