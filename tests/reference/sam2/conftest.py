"""SAM 2.1 tiny with made-up weights, the photo of a truck, and what the official code computed of them.

The `.npz` files in `shared/golden/sam2` hold its outputs; the README there says how they were made (official
package, float32, weights filled by the name rule of `checkpoints.fill`, most of them "enlivened" afterwards).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.geometry.transforms import Transform
from segma.media.image import read_image
from segma.models.interfaces import ImageFeatures
from segma.models.sam2.config import VARIANTS
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.tasks.preprocess import image_to_model

Golden = dict[str, ndarray]
TINY = "sam2.1_hiera_tiny"
_TIMES_16 = (
    "sam_mask_decoder.iou_token.weight",
    "sam_mask_decoder.mask_tokens.weight",
    "sam_mask_decoder.obj_score_token.weight",
    "sam_prompt_encoder.point_embeddings.",
    "sam_prompt_encoder.not_a_point_embed.weight",
    "sam_prompt_encoder.no_mask_embed.weight",
    "no_obj_ptr",
)
_TIMES_8 = ("maskmem_tpos_enc", "no_obj_embed_spatial", "memory_encoder.mask_downsampler.encoder.12.weight")
_PLUS_2 = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Largest differences allowed to the official numbers, in float32; from the README beside them."""

    values: float = 2e-4
    """Trunk, neck, embeddings, tokens, pointers, masks of the decoder."""
    memory: float = 3e-4
    conditioned: float = 1e-4
    score: float = 1e-5
    """Predicted IoU and scores."""
    logits: tuple[float, float] = (1.2e-2, 1e-3)
    """Stored as float16: absolute, and relative."""
    area_pixels: int = 30
    pixels: float = 2e-6
    """The normalised picture."""


@dataclass(frozen=True, kw_only=True)
class Truck:
    """The photo as a network sees it."""

    pixels: Tensor
    transform: Transform
    frame: ImageFeatures
    """Unconditioned."""
    features: ImageFeatures


@pytest.fixture(scope="session")
def tolerance() -> Tolerance:
    return Tolerance()


@pytest.fixture(scope="session")
def golden_file(shared: Path) -> Callable[[str], Golden]:
    def read(name: str) -> Golden:
        with np.load(shared / "golden" / "sam2" / f"{name}.npz") as file:
            return dict(file)

    return read


def plain_state(name: str = TINY) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = shapes_of(Sam2(VARIANTS[name]))
    return made_up_state(shapes)


def enlivened(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The rule of the README: plain values make prompts without effect and every object absent."""
    changed = dict(state)
    for name, value in state.items():
        factor = 16 if name.startswith(_TIMES_16) else 8 if name in _TIMES_8 else 1
        changed[name] = factor * value + (2.0 if name == _PLUS_2 else 0.0)
    return changed


def filled(state: dict[str, Tensor], name: str = TINY) -> Sam2:
    with torch.device("meta"):
        network = Sam2(VARIANTS[name])
    fit(network, state, "made up")
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def made() -> Callable[[str], Sam2]:
    """A network of a variant by its name, enlivened."""
    return lambda name: filled(enlivened(plain_state(name)), name)


@pytest.fixture(scope="session")
def tiny() -> Sam2:
    """Enlivened."""
    return filled(enlivened(plain_state()))


@pytest.fixture(scope="session")
def plain_tiny() -> Sam2:
    return filled(plain_state())


@pytest.fixture(scope="session")
def truck(shared: Path, tiny: Sam2) -> Truck:
    return seen(shared, tiny)


@pytest.fixture(scope="session")
def plain_truck(shared: Path, plain_tiny: Sam2, truck: Truck) -> Truck:
    """The encoder has the same weights; only what comes after it differs."""
    features = plain_tiny.condition_first(truck.frame)
    return Truck(pixels=truck.pixels, transform=truck.transform, frame=truck.frame, features=features)


def seen(shared: Path, network: Sam2) -> Truck:
    image = read_image(shared / "media" / "truck.jpg")
    pixels, transform = image_to_model(image, network.input_spec, Runtime(device="cpu").torch_device)
    with torch.inference_mode():
        frame = network.encode_frame(pixels)
        return Truck(pixels=pixels, transform=transform, frame=frame, features=network.condition_first(frame))
