from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from segma.training.board import FOLDER, Board


def test_events_are_written_where_tensorboard_is_installed(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.add(1, {"loss": 2.0})
    board.close()
    assert (tmp_path / FOLDER).is_dir() == (find_spec("tensorboard") is not None)
