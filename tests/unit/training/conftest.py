"""Pictures of plain shapes, a tiny network, and a config for both."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from stubs.shapes_folder import TINY, write_shapes

from segma.checkpoints.save import save
from segma.models.sam2.model import Sam2
from segma.training.config import CropConfig, OptimConfig, PromptConfig, TrainConfig


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures with two objects each."""
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes", 12)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the tiny network, as a file of ours."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    return save(Sam2(TINY), TINY, path, origin="made up for tests", licence="CC0-1.0")


@pytest.fixture
def tiny_run(shapes: Path, tiny: Path) -> TrainConfig:
    """A run of six small steps in this process."""
    return TrainConfig(
        name="tiny",
        start=str(tiny),
        image_size=0,
        data=(str(shapes),),
        batch=2,
        steps=6,
        workers=0,
        held_out=0.2,
        validate_objects=3,
        crop=CropConfig(mosaic=0.2),
        prompts=PromptConfig(objects=2, least=2, rounds=2, points=128),
        optim=OptimConfig(lr=3e-3, warmup=2, ema=0.9),
    )
