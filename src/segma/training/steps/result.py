"""What every training step gives."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class StepResult:
    """The loss to go back from, and numbers to log (detached)."""

    loss: Float[Tensor, ""]
    numbers: dict[str, float]
