"""Projects with one small video, and masks that differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from segma.masks.mask import Mask
from segma.results import TrackRecord
from segma.store.project import Project
from segma.store.tracks import AssetTracks

SIZE = (24, 32)
MakeRecord = Callable[..., TrackRecord]


@pytest.fixture
def record() -> MakeRecord:
    """Gives the record of a number: other numbers, other masks; some are empty."""

    def make(number: int, **fields: object) -> TrackRecord:
        dense = np.random.default_rng(number).random(SIZE) > 0.7 if number % 7 else np.zeros(SIZE, bool)
        given = {"predicted_iou": number / 100, "object_score": float(number - 5), **fields}
        return TrackRecord(compact=Mask.from_dense(dense), **given)  # pyright: ignore[reportArgumentType]

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the project is."""
    return tmp_path / "zoo.segma"


@pytest.fixture
def project(folder: Path) -> Iterator[Project]:
    """A project of one video, `clip.mp4` beside it."""
    (folder.parent / "clip.mp4").write_bytes(b"no real video")
    with Project.create(folder) as project:
        project.add_asset(
            folder.parent / "clip.mp4", kind="video", size=SIZE, num_frames=100, fps=30000 / 1001
        )
        yield project


@pytest.fixture
def tracks(project: Project) -> AssetTracks:
    """The keeper of its video."""
    return AssetTracks(project, project.assets()[0], model="toy", model_hash="aa", settings_hash="bb")
