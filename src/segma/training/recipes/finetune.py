"""A model fitted to a few pictures of a user."""

from __future__ import annotations

from segma.training.config import CropConfig, OptimConfig, TrainConfig


def finetune() -> TrainConfig:
    """The mask decoder on some twenty pictures, a few hundred small steps, then averaged with the original.

    Both keep what the model knew: the encoder is not touched, and weights a fifth of the way from the
    original to the fitted ones are about as good elsewhere as they were (arXiv 2109.01903; research/LOG.md,
    19). What tells how good a mask is stays as well, since the choice among masks was learned on it.
    """
    return TrainConfig(
        name="finetune",
        start="default",
        image_size=0,
        batch=4,
        steps=300,
        held_out=0.25,
        blend=0.2,
        frozen=(
            "image_encoder.",
            "sam_prompt_encoder.",
            "no_mem_embed",
            "sam_mask_decoder.iou",
            "sam_mask_decoder.judge",
            "sam_mask_decoder.pred_obj",
        ),
        choice_clicks=0,
        crop=CropConfig(mosaic=0.0),
        optim=OptimConfig(kind="adamw", lr=2e-4, final_lr=2e-6, warmup=20, weight_decay=0.01, ema=0.99),
        validate_minutes=5.0,
    )
