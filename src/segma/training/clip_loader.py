"""Batches of clips for video steps; batch number i is the same whoever makes it.

Half and half by default: real clips with labels, and cut-outs of labelled photos that move over something
else; a few are photos under a moving camera.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from numpy import ndarray
from torch.utils.data import Dataset

from segma.errors import InputError, SegmaError
from segma.tasks import track_follow
from segma.training.batch import ClipBatch
from segma.training.clip_sources import Clip, ClipPool, real_clip, sprite_clip, still_clip
from segma.training.config import TrainConfig
from segma.training.loader import made_ahead
from segma.training.prompting import compared_places, weights_of_objects

# Share of clips that are photos under a moving camera.
_STILLS = 0.1
# On its first frame an object has at least this many pixels of 256 x 256, and at most this share.
_LEAST_PIXELS, _MOST_SHARE = 40, 0.85
# Of the frames where the objects of a clip are known, they may be gone on this share.
_MOST_ABSENT = 0.4
_TRIES = 40
# Marks the draws of clips, so that they are not those of the pictures with the same seed.
_CLIPS = 1


@dataclass(frozen=True, slots=True)
class ClipBatches(Dataset[ClipBatch]):
    """Batch number i of a run's clips, for a `DataLoader`."""

    pool: ClipPool
    config: TrainConfig

    def __len__(self) -> int:
        return self.config.steps * self.config.optim.accumulate

    def __getitem__(self, index: int) -> ClipBatch:
        """The batch, made from the run's seed and its number. Raises InputError where that hardly works."""
        started = time.perf_counter()
        random = np.random.default_rng((self.config.seed, index, _CLIPS))
        parts: list[Clip] = []
        skipped = unreadable = 0
        while len(parts) < self.config.clips.clips:
            try:
                part = self._clip(random)
            except (SegmaError, OSError):
                part, unreadable = None, unreadable + 1
            if part is not None:
                parts.append(part)
                continue
            skipped += 1
            if skipped > _TRIES * self.config.clips.clips:
                raise InputError(
                    "input.unreadable", "Hardly any clip can be read, or has an object on its first frame."
                )
        points = self.config.prompts.points
        batch = _joined(parts, points, random)
        seconds = time.perf_counter() - started
        return replace(batch, skipped=skipped, unreadable=unreadable, seconds=seconds)

    def _clip(self, random: np.random.Generator) -> Clip | None:
        """One clip with the objects to ask about, or None where there are none.

        Raises InputError, or OSError, where a picture cannot be read.
        """
        config = self.config
        shares = (config.clips.sprites, _STILLS, max(0.0, 1 - config.clips.sprites - _STILLS))
        at_hand = (bool(self.pool.cut_outs), len(self.pool.photos) > 0, bool(self.pool.videos))
        chances = np.array(shares) * at_hand
        make = (sprite_clip, still_clip, real_clip)[int(random.choice(3, p=chances / chances.sum()))]
        clip = make(self.pool, config.clips, config.crop, config.image_size, random)
        if clip is None:
            return None
        chosen = _chosen(clip, config.clips.objects, random)
        if not len(chosen):
            return None
        return Clip(clip.frames, clip.masks[chosen], clip.known[chosen], clip.complete[chosen])


def _chosen(clip: Clip, most: int, random: np.random.Generator) -> Integer[ndarray, " chosen"]:
    """The objects to ask about: seen on the first frame, known on another one, not gone for too long."""
    count, frames, size, _ = clip.masks.shape
    areas = clip.masks.reshape(count, frames, -1).sum(2, dtype=np.int64)
    seen = (areas[:, 0] >= _LEAST_PIXELS * (size / 256) ** 2) & (areas[:, 0] <= _MOST_SHARE * size**2)
    usable = np.flatnonzero(seen & clip.known[:, 0] & (clip.known.sum(1) > 1))
    if not len(usable):
        return usable
    shares = weights_of_objects(areas[usable, 0] / size**2)
    chosen = random.choice(usable, min(most, len(usable)), replace=False, p=shares)
    gone = ((areas == 0) & clip.known).sum(1)
    while len(chosen) and gone[chosen].sum() > _MOST_ABSENT * clip.known[chosen].sum():
        chosen = np.delete(chosen, int(np.argmax(gone[chosen] / clip.known[chosen].sum(1))))
    return chosen


def _joined(parts: list[Clip], points: int, random: np.random.Generator) -> ClipBatch:
    pixels = np.stack([part.frames for part in parts]).transpose(0, 1, 4, 2, 3)
    numbers = [np.full(len(part.masks), number) for number, part in enumerate(parts)]
    masks = np.concatenate([part.masks for part in parts])
    compared = [compared_places(mask, points, random) for mask in masks.reshape(-1, *masks.shape[2:])]
    places, inside, weights, _ = (
        torch.as_tensor(np.stack(column).reshape(*masks.shape[:2], *column[0].shape))
        for column in zip(*compared, strict=True)
    )
    return ClipBatch(
        pixels=torch.as_tensor(np.ascontiguousarray(pixels)),
        clip=torch.as_tensor(np.concatenate(numbers)),
        masks=torch.as_tensor(masks),
        known=torch.as_tensor(np.concatenate([part.known for part in parts])),
        places=places,
        inside=inside,
        weights=weights,
        complete=torch.as_tensor(np.concatenate([part.complete for part in parts])),
        motion=torch.as_tensor(np.stack([_motion(part.frames) for part in parts])),
    )


def _motion(frames: UInt8[ndarray, "frames size size 3"]) -> Float[ndarray, "frames size size 2"]:
    """The flow from every frame to the one before, in half precision."""
    seen = [track_follow.grey(frame, frames.shape[1]) for frame in frames]
    flows = [track_follow.flow(now, before) for before, now in pairwise(seen)]
    return np.stack([np.zeros((*seen[0].shape, 2), np.float32), *flows]).astype(np.float16)


def clip_batches(
    pool: ClipPool, config: TrainConfig, numbers: Sequence[int] | None = None
) -> Iterator[ClipBatch]:
    """The run's batches of clips of these numbers (None: of all), made ahead by `config.workers` processes.

    Raises InputError where the pool is empty.
    """
    if not (pool.videos or len(pool.photos)):
        raise InputError("input.not_found", "There are no labelled clips or pictures to make clips of.")
    dataset = ClipBatches(pool, config)
    return made_ahead(dataset, range(len(dataset)) if numbers is None else numbers, config.workers)
