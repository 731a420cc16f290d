"""Tokenizers: the three stages of the paper, and a small one with codes and Gaussians at once."""

from __future__ import annotations

from dataclasses import replace

from segma.training.config import CodesConfig, OptimConfig, TrainConfig


def omnitokenizer_images() -> TrainConfig:
    """Stage 1: pictures of one size (OmniTokenizer section 3.3; the numbers are those of the scripts)."""
    return TrainConfig(
        name="omnitokenizer_images",
        system="omnitokenizer",
        variant="omnitokenizer_causal",
        batch=256,
        steps=500_000,
        codes=CodesConfig(sizes=(256,), frames=17, image_judge=0.01),
        optim=OptimConfig(
            kind="adamw", lr=1e-3, final_lr=5e-5, warmup=50_000, weight_decay=0.0, betas=(0.5, 0.9)
        ),
    )


def omnitokenizer_joint() -> TrainConfig:
    """Stage 2: pictures and clips in turns, of several sizes; goes on from stage 1."""
    first = omnitokenizer_images()
    return replace(
        first,
        name="omnitokenizer_joint",
        video_share=0.5,
        codes=replace(first.codes, sizes=(256, 128, 192, 320), clips=128, image_judge=0.0, video_judge=0.01),
        optim=replace(first.optim, lr=5e-5),
    )


def omnitokenizer_kl() -> TrainConfig:
    """Stage 3: Gaussians instead of codes; goes on from stage 2."""
    second = omnitokenizer_joint()
    return replace(second, name="omnitokenizer_kl", codes=replace(second.codes, to_gaussians=True))


def omnitokenizer_small() -> TrainConfig:
    """A small tokenizer of codes and of Gaussians on one trunk, on pictures and clips, without judges.

    Squared errors weigh as much as absolute ones: it is small, and PSNR is what it is measured by.
    """
    return TrainConfig(
        name="omnitokenizer_small",
        system="omnitokenizer",
        variant="omnitokenizer_small",
        batch=16,
        steps=20_000,
        video_share=0.3,
        validate_objects=60,
        codes=CodesConfig(absolute=1.0, squares=8.0, divergence=1e-7),
        optim=OptimConfig(lr=2e-3, warmup=100, weight_decay=0.01),
    )
