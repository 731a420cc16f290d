"""A recipe fitted to the hardware at hand, and to weights that it goes on from."""

from __future__ import annotations

from dataclasses import replace

from segma.runtime import Runtime
from segma.training.config import TrainConfig

# A GPU is not busy with the pictures that suffice for a CPU.
_MORE_ON_A_GPU = 8
# Trained weights are not thrown about by the steps that random ones need.
_CONTINUED, _CONTINUED_WARMUP = 0.5, 50
# Only the time ends such a run; the schedule goes by it.
_ENDLESS = 1_000_000
_MOST_WORKERS = 14


def scaled(
    config: TrainConfig, runtime: Runtime, *, cores: int, minutes: float | int, start: str = ""
) -> TrainConfig:
    """The recipe for so many minutes on this hardware, going on from weights where `start` names them.

    On a GPU batches are eight times as large, the learning rate the square root of that, at most twice the
    recipe's; processes that make batches take all cores but two. Going on halves the learning rate after a
    short warm-up of a fresh optimizer.
    """
    is_gpu = runtime.torch_device.type != "cpu"
    more = _MORE_ON_A_GPU if is_gpu else 1
    factor = min(2.0, more**0.5) * (_CONTINUED if start else 1.0)
    optim = replace(
        config.optim,
        lr=config.optim.lr * factor,
        final_lr=config.optim.final_lr * factor,
        warmup=_CONTINUED_WARMUP if start else config.optim.warmup,
    )
    return replace(
        config,
        start=start,
        image_size=0 if start else config.image_size,
        batch=config.batch * more,
        clips=replace(config.clips, clips=config.clips.clips * more),
        workers=max(1, min(cores - 2, _MOST_WORKERS)) if is_gpu else config.workers,
        optim=optim,
        steps=_ENDLESS,
        minutes=float(minutes),
    )


def samples_of(config: TrainConfig, steps: int) -> int:
    """How many pictures and clips so many steps see, about."""
    share = config.video_share
    each = (1 - share) * config.batch + share * config.clips.clips
    return round(steps * config.optim.accumulate * each)
