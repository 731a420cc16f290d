"""Scenes without end, and rendered batches of them.

A stream is named by its families and a seed. Two streams with different seeds share no scene, and none
repeats one, so there is no pool that could be learned by heart; what is rendered may be used several times
under fresh crops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from segma.errors import InputError
from segma.worlds.families import FAMILIES, draw_scene
from segma.worlds.render import Rendered, render
from segma.worlds.reserved import EXAM_STREAM, STREAM_SIZE
from segma.worlds.scene import Scene


def scenes(
    families: Sequence[str], seed: int, *, num_frames: int | None = None, start: int = 0
) -> Iterator[Scene]:
    """Scenes of families drawn evenly, endless; `start` skips as many (for a run that continues).

    Raises InputError for a family that there is not, or for images and videos mixed without `num_frames`.
    """
    unknown = [name for name in families if name not in FAMILIES]
    if unknown or not families:
        known = ", ".join(FAMILIES)
        raise InputError("input.value", f"there are no families {unknown}.", f"Families are {known}.")
    if seed < 0 or start < 0:
        raise InputError("input.value", f"seed {seed} and start {start} must be 0 or more.")
    if seed == EXAM_STREAM:
        raise InputError("input.value", f"the stream of seed {seed} is the exam's.", "Take another seed.")
    if num_frames is None and len({FAMILIES[name].video for name in families}) > 1:
        raise InputError(
            "input.value", "families of images and videos are mixed.", "Give a number of frames."
        )
    return _endless(tuple(families), seed, num_frames, start)


def _endless(families: tuple[str, ...], seed: int, num_frames: int | None, start: int) -> Iterator[Scene]:
    number = start
    while True:
        choice = int(np.random.default_rng((seed, number, 11)).integers(len(families)))
        yield draw_scene(families[choice], seed * STREAM_SIZE + number, num_frames=num_frames)
        number += 1


def stream(
    families: Sequence[str],
    seed: int,
    *,
    batch: int,
    size: int | tuple[int, int],
    device: torch.device | str = "cpu",
    num_frames: int | None = None,
    start: int = 0,
) -> Iterator[Rendered]:
    """Rendered batches of `scenes`, endless."""
    source = scenes(families, seed, num_frames=num_frames, start=start)
    while True:
        yield render(tuple(islice(source, batch)), size=size, device=device)
