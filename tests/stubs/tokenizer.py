"""A tokenizer so small that it answers in milliseconds, and pictures for it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy import ndarray

from segma.models.omnitokenizer.config import OmniTokenizerConfig
from segma.models.omnitokenizer.model import OmniTokenizer

SMALL = OmniTokenizerConfig(
    dim=32, heads=2, head_dim=16, mlp_dim=40, window=2, encoder_spatial="tw", encoder_temporal="t",
    decoder_temporal="t", decoder_spatial="t", num_codes=50, temporal_layout="causal", temporal_memory=2,
)  # fmt: skip
"""Causal, of 50 codes (6 bits), sides in multiples of 16 pixels."""


def toy_tokenizer(config: OmniTokenizerConfig = SMALL, seed: int = 0) -> OmniTokenizer:
    """A network of random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return OmniTokenizer(config).eval().requires_grad_(False)


def smooth_clip(frames: int, height: int = 20, width: int = 36, seed: int = 0) -> ndarray:
    """Blobs of colour that drift, (frames, height, width, 3)."""
    rng = np.random.default_rng(seed)
    large: Any = cv2.resize(
        rng.integers(0, 256, (6, 10, 3), np.uint8),
        (width + 2 * frames, height),
        interpolation=cv2.INTER_CUBIC,
    )
    return np.stack([large[:, 2 * index : 2 * index + width] for index in range(frames)])
