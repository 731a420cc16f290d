"""A model fitted to a few pictures of a user."""

from __future__ import annotations

from segma.training.config import CropConfig, OptimConfig, TrainConfig


def finetune() -> TrainConfig:
    """The mask decoder on some twenty pictures, a few hundred small steps, then averaged with the original.

    Both keep what the model knew: the encoder is not touched, and weights half way between the original and
    the fitted ones usually are better elsewhere than the fitted ones, and hardly worse here
    (arXiv 2109.01903).
    """
    return TrainConfig(
        name="finetune",
        start="default",
        image_size=0,
        batch=4,
        steps=300,
        held_out=0.25,
        blend=0.5,
        frozen=("image_encoder.", "sam_prompt_encoder.", "no_mem_embed"),
        choice_clicks=0,
        crop=CropConfig(mosaic=0.0),
        optim=OptimConfig(kind="adamw", lr=2e-4, final_lr=2e-6, warmup=20, weight_decay=0.01, ema=0.99),
        validate_minutes=5.0,
    )
