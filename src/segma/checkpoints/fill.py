"""Made-up weights: the values of a tensor follow from its name and shape, the same on every machine.

Used for the models that have no trained weights yet, and to compare networks number by number without
shipping their weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

_SCALES = ("weight", "gamma", "scale")


def made_up(name: str, shape: tuple[int, ...], salt: str = "") -> Tensor:
    """Values of one tensor, float32: normal, seeded by the checksum of `salt + name`.

    Scales of norms (one axis, named weight, gamma or scale) lie near 1 and biases near 0; all else has
    a standard deviation of 1 / sqrt(fan_in), and of 0.02 at least, so that activations stay near 1.
    """
    seed = zlib.crc32((salt + name).encode())
    values = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        values *= np.float32(max(0.02, 1 / math.sqrt(math.prod(shape[1:]))))
    elif name.endswith(_SCALES):
        values = 1.0 + 0.1 * values
    else:
        values = 0.02 * values
    return torch.as_tensor(values, dtype=torch.float32)


def made_up_state(
    shapes: Mapping[str, tuple[int, ...]],
    salt: str = "",
    adjusted: Sequence[tuple[str, float, float]] = (),
) -> dict[str, Tensor]:
    """`made_up` for every name; where a name begins as `adjusted` says, times its factor, plus its offset."""
    state = {name: made_up(name, shape, salt) for name, shape in shapes.items()}
    for start, factor, offset in adjusted:
        for name in [name for name in state if name.startswith(start)]:
            state[name] = factor * state[name] + offset
    return state
