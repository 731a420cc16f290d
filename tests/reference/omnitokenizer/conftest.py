"""Full-size networks with made-up weights, and what the official code computed of them.

The `.npz` files in `shared/golden/omnitokenizer` hold its outputs; the README there says how they were made
and how far ours may be off (float32).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor, nn

from segma.checkpoints.fill import made_up

Golden = dict[str, ndarray]


def fill(module: nn.Module, prefix: str = "") -> None:
    """Every weight and buffer by its official name."""
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                value.copy_(made_up(prefix + name, tuple(value.shape)))
    module.eval()


def formula(frames: int, side: int, variant: int) -> Tensor:
    """The README's picture or clip: (1, 3, frames, side, side)."""
    c, t, y, x = np.meshgrid(*(np.arange(count) for count in (3, frames, side, side)), indexing="ij")
    waves = np.sin(
        2 * np.pi * ((1 + c) * x / side + (2 + c) * y / side + 0.07 * t * (1 + c) + 0.13 * variant)
    )
    values = 0.5 * waves * np.cos(2 * np.pi * ((3 + variant) * x * y / side**2 - 0.05 * t))
    return torch.from_numpy(values.astype(np.float32))[None]


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Golden]:
    def read(name: str) -> Golden:
        with np.load(shared / "golden" / "omnitokenizer" / f"{name}.npz") as file:
            return {key: file[key] for key in file}

    return read
