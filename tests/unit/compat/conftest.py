"""A SAM and a SAM 2 of toy size under the originals' names, and a picture."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.compat.sam import Sam, SamPredictor
from segma.compat.sam2 import SAM2Base, SAM2VideoPredictor
from segma.compat.sam2_settings import settings_of
from segma.models.sam.config import SamConfig
from segma.models.sam2.config import Sam2Config

Network = TypeVar("Network", bound=SAM2Base)


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


@pytest.fixture
def sam2_state(sam2_toy_config: Sam2Config) -> dict[str, Tensor]:
    """Made-up weights, under which objects count as present."""
    with torch.device("meta"):
        shapes = shapes_of(SAM2Base(sam2_toy_config))
    state = made_up_state(shapes)
    state["sam_mask_decoder.pred_obj_score_head.layers.2.bias"] += 2.0
    state["sam_mask_decoder.mask_tokens.weight"] *= 16
    return state


@pytest.fixture
def sam2(sam2_toy_config: Sam2Config, sam2_state: dict[str, Tensor]) -> SAM2Base:
    return _filled(SAM2Base, sam2_toy_config, sam2_state)


@pytest.fixture
def video_predictor(sam2_toy_config: Sam2Config, sam2_state: dict[str, Tensor]) -> SAM2VideoPredictor:
    return _filled(SAM2VideoPredictor, sam2_toy_config, sam2_state)


def _filled(kind: type[Network], config: Sam2Config, state: dict[str, Tensor]) -> Network:
    with torch.device("meta"):
        network = kind(config, settings_of((), apply_postprocessing=True))
    fit(network, state, "toy")
    return network.eval()
