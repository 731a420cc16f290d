"""Enhancers: a small one of ours."""

from __future__ import annotations

from segma.training.config import OptimConfig, TrainConfig


def omnitokenizer_enhance() -> TrainConfig:
    """A small network for 2x and 4x on photos, with the latents of the tokenizer in the package."""
    return TrainConfig(
        name="omnitokenizer_enhance",
        system="omnitokenizer_enhancer",
        variant="omnitokenizer_enhancer_small",
        batch=8,
        steps=20_000,
        workers=0,
        validate_objects=60,
        optim=OptimConfig(lr=3e-3, warmup=100, weight_decay=0.0, ema=0.998),
    )
