"""A run's numbers as TensorBoard event files, where that package is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FOLDER = "events"


class Board:
    """Writes scalars by step into `events/` of a run's folder; without the package tensorboard, nothing.

    What was written of steps after `first` (by a session that was killed) is hidden.
    """

    def __init__(self, folder: Path, first: int = 0) -> None:
        self._writer: Any = None  # torch's SummaryWriter: its types need the package
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / FOLDER), purge_step=first + 1 if first else None)

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write numbers of a step."""
        if self._writer is not None:
            for name, value in numbers.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
