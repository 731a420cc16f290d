"""The memory of a small network, on clips."""

from __future__ import annotations

from dataclasses import replace

from segma.training.config import OptimConfig, TrainConfig
from segma.training.recipes.images import sam2_conv_images


def sam2_conv_clips() -> TrainConfig:
    """The memory and the decoder on short clips, with a step on pictures now and then.

    The encoder stays as `start` brings it (SAM 2 section 12 of the specification does so for longer clips):
    a frame then costs a third, and what it knows of pictures is not lost.
    """
    return replace(
        sam2_conv_images(),
        name="sam2_conv_clips",
        video_share=0.75,
        frozen=("image_encoder.",),
        steps=3000,
        optim=OptimConfig(kind="adamw", lr=4e-4, final_lr=4e-6, warmup=100),
    )
