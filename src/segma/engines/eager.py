"""The network as it is."""

from __future__ import annotations

from segma.models.interfaces import Promptable
from segma.runtime import Runtime


def start(model: Promptable, runtime: Runtime) -> Promptable:
    """The model itself: eager PyTorch needs nothing more."""
    return model
