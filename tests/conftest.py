"""What all tests may use: where things are, and what this machine does not have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segma.models.sam.config import SamConfig
from segma.models.sam2.config import Sam2Config

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with recorded numbers of the official systems and sample media.

    It is no part of the repository. Without it a test is skipped, but fails in continuous integration.
    """
    folder = Path(os.environ.get("SEGMA_SHARED") or ROOT.parent / "shared")
    if folder.is_dir():
        return folder
    reason = f"no folder {folder} (set SEGMA_SHARED to where recorded numbers and media are)"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where there is none; torch is imported only if such tests were chosen."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no GPU on this machine"))


@pytest.fixture(scope="session")
def toy_config() -> SamConfig:
    """A SAM so small that it answers in milliseconds: one block of windows, one global."""
    return SamConfig(
        encoder_width=32,
        encoder_depth=2,
        encoder_heads=2,
        encoder_mlp_dim=64,
        global_blocks=(1,),
        window_size=3,
        image_size=64,
        dim=32,
        decoder_heads=4,
        decoder_mlp_dim=64,
        iou_hidden_dim=32,
    )


@pytest.fixture(scope="session")
def sam2_toy_config() -> Sam2Config:
    """A SAM 2.1 so small that it answers in milliseconds: every kind of block, windows that need padding."""
    return Sam2Config(
        stage_depths=(1, 2, 3, 1),
        stage_widths=(16, 32, 48, 64),
        stage_heads=(1, 2, 3, 4),
        stage_mlp_dims=(32, 64, 96, 128),
        windows=(4, 2, 6, 3),
        global_blocks=(4,),
        position_side=3,
        window_position_side=4,
        image_size=128,
        dim=32,
        memory_dim=16,
        memory_layers=2,
        memory_mlp_dim=48,
        fuser_layers=1,
        fuser_dim=64,
        decoder_heads=4,
        decoder_mlp_dim=64,
        iou_hidden_dim=32,
    )
