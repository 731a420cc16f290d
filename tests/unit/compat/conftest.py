"""A SAM of toy size under the original's names, and a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy import ndarray

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.compat.sam import Sam, SamPredictor
from segma.models.sam.config import SamConfig


@pytest.fixture
def sam(toy_config: SamConfig) -> Sam:
    with torch.device("meta"):
        network = Sam(toy_config)
    fit(network, made_up_state(shapes_of(network)), "toy")
    return network.eval()


@pytest.fixture
def picture() -> ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


@pytest.fixture
def predictor(sam: Sam, picture: ndarray) -> SamPredictor:
    predictor = SamPredictor(sam)
    predictor.set_image(picture)
    return predictor
