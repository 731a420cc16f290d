"""Steps on pictures and on clips: who makes their batches and their losses, and how they take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from segma.errors import InputError
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.training.batch import ClipBatch, ImageBatch
from segma.training.config import TrainConfig
from segma.training.data import Samples
from segma.training.distributed import Step, Team
from segma.training.heads import Student
from segma.training.loader import Pool, batches
from segma.training.loop import Batches
from segma.training.steps.images import image_step
from segma.training.steps.result import StepResult

Source = Callable[[Sequence[int]], Iterator[Any]]
"""Numbers -> the batches of these numbers."""


def step_of(config: TrainConfig, runtime: Runtime) -> Step:
    """The loss of a batch of either kind; in bfloat16 where the runtime computes in it."""
    device, dtype = runtime.torch_device.type, runtime.dtype

    def step(module: nn.Module, batch: ImageBatch | ClipBatch, generator: torch.Generator) -> StepResult:
        student = module if isinstance(module, Student) else None
        network = student.network if student else module
        assert isinstance(network, Sam2)
        with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
            if isinstance(batch, ClipBatch):
                from segma.training.steps.clips import clip_step

                return clip_step(network, batch, config, generator)
            return image_step(network, batch, config, generator, student)

    return step


def batches_of(samples: Samples, config: TrainConfig, team: Team | None = None) -> Batches:
    """The run's batches from any number on: of pictures, of clips, or of both in turns.

    In a team only this process's share of them, which are every so-many-th.
    Raises InputError where there is nothing of a kind that is wanted.
    """
    if not 0 <= config.video_share <= 1:
        raise InputError("input.value", f"video_share is {config.video_share}, expected 0 to 1.")
    pool = Pool.of(samples.pictures, config.mix)
    if config.video_share < 1 and not pool:
        raise InputError("input.not_found", "There are no pictures with masks to train on.")
    if not pool and not samples.clips:
        raise InputError("input.not_found", "There are no clips with masks to train on.")

    team = team or Team.alone()

    def of_pictures(numbers: Sequence[int]) -> Iterator[Any]:  # batches
        return batches(pool, config, numbers)

    if not config.video_share:
        return lambda first: of_pictures(team.numbers(first, config.steps * config.optim.accumulate))
    from segma.training.clip_loader import clip_batches
    from segma.training.clip_sources import ClipPool

    clips = ClipPool.of(samples.clips, samples.pictures)
    return in_turns(of_pictures, lambda numbers: clip_batches(clips, config, numbers), config, team)


def in_turns(pictures: Source, clips: Source, config: TrainConfig, team: Team) -> Batches:
    """Batches of both kinds; which kind number i is of is drawn from the seed, so that a run can be resumed.

    Each kind counts its own batches, over the whole team.
    """
    total = config.steps * config.optim.accumulate
    is_clip = np.random.default_rng((config.seed, 0xC11B)).random(total) < config.video_share

    own = np.where(is_clip, np.cumsum(is_clip), np.cumsum(~is_clip)) - 1

    def from_number(first: int) -> Iterator[Any]:
        share = np.array(team.numbers(first, total), dtype=int)
        turns = is_clip[share]
        sources = (pictures(own[share[~turns]].tolist()), clips(own[share[turns]].tolist()))
        for turn in turns:
            yield next(sources[int(turn)])

    return from_number
