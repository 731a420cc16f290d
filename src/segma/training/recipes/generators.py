"""Generators: the paper's language models and diffusion transformers; small ones of worlds by a sentence."""

from __future__ import annotations

from dataclasses import replace

from segma.training.config import GeneratorConfig, OptimConfig, TrainConfig


def omnitokenizer_gpt_images() -> TrainConfig:
    """Pictures by class (OmniTokenizer section 4.2; the numbers are those of the scripts)."""
    return TrainConfig(
        name="omnitokenizer_gpt_images",
        system="omnitokenizer_gpt",
        variant="omnitokenizer_gpt_imagenet",
        batch=32,
        steps=1_000_000,
        generator=GeneratorConfig(tokenizer="omnitokenizer_imagenet_k600", size=256),
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
        generator=replace(images.generator, frames=17),
    )


def omnitokenizer_gpt_frames() -> TrainConfig:
    """Clips of 17 frames, of which later the first frames are given: frame prediction."""
    clips = omnitokenizer_gpt_clips()
    return replace(
        clips,
        name="omnitokenizer_gpt_frames",
        variant="omnitokenizer_gpt_k600",
        generator=replace(clips.generator, classes=False),
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
        generator=GeneratorConfig(made=8_000),
        optim=OptimConfig(lr=4e-3, warmup=60, weight_decay=0.02, betas=(0.9, 0.95), ema=0.995),
    )


def omnitokenizer_dit() -> TrainConfig:
    """DiT-XL/2 on the latents of pictures, by class (section 9; the numbers are those of the scripts)."""
    return TrainConfig(
        name="omnitokenizer_dit",
        system="omnitokenizer_dit",
        variant="omnitokenizer_dit_xl",
        batch=256,
        steps=7_000_000,
        generator=GeneratorConfig(tokenizer="omnitokenizer_imagenet_k600_vae", size=256),
        optim=OptimConfig(
            kind="adamw", lr=1e-4, final_lr=1e-4, warmup=1, weight_decay=0.0, betas=(0.9, 0.999), ema=0.9999
        ),
    )


def omnitokenizer_latte() -> TrainConfig:
    """Latte-XL/2 on the latents of clips of 17 frames, every third of the video, by class."""
    pictures = omnitokenizer_dit()
    return replace(
        pictures,
        name="omnitokenizer_latte",
        variant="omnitokenizer_latte_xl",
        batch=5,
        steps=1_000_000,
        generator=replace(pictures.generator, frames=17, stride=3),
    )


def omnitokenizer_dit_small() -> TrainConfig:
    """A small one that makes worlds of 128 pixels by class and by a short sentence, from nothing."""
    return TrainConfig(
        name="omnitokenizer_dit_small",
        system="omnitokenizer_dit",
        variant="omnitokenizer_dit_small",
        batch=64,
        steps=6000,
        workers=0,
        validate_objects=256,
        generator=GeneratorConfig(made=24_000, snr_limit=5.0, variance=0.1),
        optim=OptimConfig(lr=3e-3, warmup=100, weight_decay=0.01, ema=0.999),
    )
