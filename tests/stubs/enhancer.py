"""An enhancer so small that it answers in milliseconds, for the tokenizer of `stubs.tokenizer`."""

from __future__ import annotations

from dataclasses import replace

import torch
from stubs.tokenizer import SMALL

from segma.models.omnitokenizer.enhancer import Enhancer
from segma.models.omnitokenizer.enhancer_config import EnhancerConfig

LATENTS = replace(SMALL, joint=True, encoder_spatial="cw", decoder_spatial="w")
"""Codes and latents of eight channels; no layer attends to a whole frame."""

TOY = EnhancerConfig(dim=8, blocks=2, channels=LATENTS.code_dim)


def toy_enhancer(config: EnhancerConfig = TOY, seed: int = 0) -> Enhancer:
    """A network of random weights, whose residuals are to be seen."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Enhancer(config).eval().requires_grad_(False)
