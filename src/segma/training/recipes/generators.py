"""Generators over codes: the paper's language models, and a small one that makes worlds by a sentence."""

from __future__ import annotations

from dataclasses import replace

from segma.training.config import LanguageConfig, OptimConfig, TrainConfig


def omnitokenizer_gpt_images() -> TrainConfig:
    """Pictures by class (OmniTokenizer section 4.2; the numbers are those of the scripts)."""
    return TrainConfig(
        name="omnitokenizer_gpt_images",
        system="omnitokenizer_gpt",
        variant="omnitokenizer_gpt_imagenet",
        batch=32,
        steps=1_000_000,
        language=LanguageConfig(tokenizer="omnitokenizer_imagenet_k600", size=256),
        optim=OptimConfig(
            kind="adamw", lr=1e-3, final_lr=1e-3, warmup=1, weight_decay=0.01, betas=(0.9, 0.95)
        ),
    )


def omnitokenizer_gpt_clips() -> TrainConfig:
    """Clips of 17 frames by class."""
    images = omnitokenizer_gpt_images()
    return replace(
        images,
        name="omnitokenizer_gpt_clips",
        variant="omnitokenizer_gpt_ucf",
        batch=4,
        language=replace(images.language, frames=17),
    )


def omnitokenizer_gpt_frames() -> TrainConfig:
    """Clips of 17 frames, of which later the first frames are given: frame prediction."""
    clips = omnitokenizer_gpt_clips()
    return replace(
        clips,
        name="omnitokenizer_gpt_frames",
        variant="omnitokenizer_gpt_k600",
        language=replace(clips.language, classes=False),
    )


def omnitokenizer_gpt_small() -> TrainConfig:
    """A small one that makes worlds of 128 pixels by class and by a short sentence, from nothing."""
    return TrainConfig(
        name="omnitokenizer_gpt_small",
        system="omnitokenizer_gpt",
        variant="omnitokenizer_gpt_small",
        batch=16,
        steps=6000,
        workers=0,
        validate_objects=192,
        language=LanguageConfig(made=8_000),
        optim=OptimConfig(lr=4e-3, warmup=60, weight_decay=0.02, betas=(0.9, 0.95), ema=0.995),
    )
