"""Pictures and clips that a network makes up: codes or latents are sampled, and a tokenizer decodes them.

Sample number i has a generator of chance of its own, seeded with `seed` + i: it is what that seed gives
alone, whatever the batch. Batches are sampled when they are asked for, so that memory does not grow with the
number of samples.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from segma.errors import InputError, ModelError
from segma.media.footage import middle_of
from segma.media.source import DEFAULT_FPS
from segma.results import CodeGrid
from segma.tasks import tokenize
from segma.tasks.maker import Config, Maker, Progress, Watch, grid_of, sampled
from segma.tasks.outlines import outline_of
from segma.tasks.sample_latents import DiffusionConfig
from segma.tasks.sentences import Label, label_of

Picture = UInt8[ndarray, "height width 3"]
Frame = UInt8[ndarray, "h w 3"]
"""Of any size."""
Clip = UInt8[ndarray, "frames height width 3"]
Mask = ndarray
"""Booleans (h, w), which `outlines.outline_of` checks."""

_MOST_SEED = 2**63 - 1
_GIVEN_GROUPS = 2  # as in the official frame prediction: 5 of 17 frames


def generate(
    maker: Maker,
    label: int | str | None = None,
    *,
    count: int = 1,
    num_frames: int | None = None,
    frames: Iterable[Frame] | None = None,
    mask: Mask | None = None,
    config: Config | None = None,
    seed: int = 0,
    batch: int = 4,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> list[UInt8[ndarray, "*frames height width 3"]]:
    """So many samples of a class, or of a sentence: pictures (height, width, 3) or clips.

    With `frames`, a single clip that goes on from their last ones (without these), of `num_frames`; with
    `mask`, pictures of a thing that has this shape. Raises as `generate_grids` and `continue_clip`.
    """
    number = label_of(maker.spec, label)
    if mask is not None and (frames is not None or maker.num_frames > 1):
        raise ModelError("model.task", "A mask is for pictures, and not for clips.")
    if frames is not None:
        last = last_frames(maker, frames)
        more = num_frames or maker.num_frames - len(last)
        windows = continue_clip(
            maker, last, more, config, label=number, seed=seed, on_progress=on_progress, cancel=cancel
        )
        return [np.concatenate([window.new for window in windows])]
    labels = [number] * count
    options: dict[str, Any] = {"seed": seed, "batch": batch, "on_progress": on_progress, "cancel": cancel}
    if maker.num_frames == 1 or num_frames == 1:
        return list(generate_images(maker, labels, config, mask=mask, **options))
    return list(generate_clips(maker, labels, config, num_frames=num_frames, **options))


def generate_images(
    maker: Maker,
    labels: Sequence[Label],
    config: Config | None = None,
    *,
    mask: Mask | None = None,
    seed: int = 0,
    batch: int = 4,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Picture]:
    """A picture for each label, in their order; of a thing of the shape of `mask`.

    Raises as `generate_grids`.
    """
    grids = generate_grids(
        maker,
        labels,
        config,
        mask=mask,
        seed=seed,
        batch=batch,
        num_frames=1,
        on_progress=on_progress,
        cancel=cancel,
    )
    for grid in grids:
        yield maker.decode(grid)[0]


def generate_clips(
    maker: Maker,
    labels: Sequence[Label],
    config: Config | None = None,
    *,
    seed: int = 0,
    batch: int = 4,
    num_frames: int | None = None,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Clip]:
    """A clip for each label, in their order, of `num_frames` (without: as many as are made at once).

    Longer ones of a language model go on as in `continue_clip`. Raises as `generate_grids`.
    """
    config = maker.config_or_usual(config)
    wanted = maker.num_frames if num_frames is None else num_frames
    if maker.num_frames == 1:
        raise ModelError("model.task", "This generator makes pictures, not clips.")
    at_once = min(wanted, maker.num_frames) if maker.is_coded else wanted
    more = wanted - at_once
    watch = Watch(on_progress, cancel)
    watch.total = len(labels) * (
        _steps(maker, at_once, config) + _steps_of_more(maker, more, at_once, _GIVEN_GROUPS)
    )
    grids = _grids(maker, labels, config, _chances(seed, len(labels)), batch, at_once, DEFAULT_FPS, watch)
    for label, (grid, chance) in zip(labels, grids, strict=True):
        clip = maker.decode(grid)
        windows = _continued(maker, clip, more, label, config, chance, _GIVEN_GROUPS, watch)
        yield np.concatenate([clip, *(window.new for window in windows)])


def generate_grids(
    maker: Maker,
    labels: Sequence[Label],
    config: Config | None = None,
    *,
    mask: Mask | None = None,
    seed: int = 0,
    batch: int = 4,
    num_frames: int | None = None,
    fps: float | int = DEFAULT_FPS,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[CodeGrid]:
    """Codes or latents for each label, in their order; of `num_frames` frames, 1 being a picture.

    A language model of clips makes shorter ones too. `mask` (of any size) is the shape of the things, for
    generators that make outlines. Raises InputError for wrong numbers and masks, ModelError model.task for
    frames that the generator does not make and for one that takes no mask, MemoryLimitError, and Cancelled.
    """
    config = maker.config_or_usual(config)
    outline = None if mask is None else outline_of(mask, maker.spec)
    wanted = maker.num_frames if num_frames is None else num_frames
    rate = None if wanted == 1 else fps
    steps = _steps(maker, wanted, config, has_outline=outline is not None)
    watch = Watch(on_progress, cancel, total=len(labels) * steps)
    chances = _chances(seed, len(labels))
    for grid, _ in _grids(maker, labels, config, chances, batch, wanted, rate, watch, outline):
        yield grid


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A clip made at once, of which the first `num_given` latent frames were given, and its new frames."""

    grid: CodeGrid
    num_given: int
    new: Clip


def continue_clip(
    maker: Maker,
    frames: Iterable[Frame],
    num_frames: int,
    config: Config | None = None,
    *,
    label: Label = None,
    seed: int = 0,
    given_groups: int = _GIVEN_GROUPS,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Window]:
    """Windows with so many new frames, which follow on the last of `frames`.

    The last frames (as many as `given_groups` latent frames are of, if there are as many) are `fitted` and
    encoded anew for each window. Raises InputError for wrong numbers or no frames, ModelError model.task for
    a generator that makes no clips or no codes, MemoryLimitError, and Cancelled.
    """
    if num_frames < 1:
        raise InputError("input.value", f"{num_frames} new frames are none.")
    config = maker.config_or_usual(config)
    last = last_frames(maker, frames, given_groups)
    total = _steps_of_more(maker, num_frames, len(last), given_groups)
    watch = Watch(on_progress, cancel, total=total)
    yield from _continued(maker, last, num_frames, label, config, _chances(seed, 1)[0], given_groups, watch)


def last_frames(maker: Maker, frames: Iterable[Frame], given_groups: int = _GIVEN_GROUPS) -> Clip:
    """The last frames, as many as are so many latent frames at most, fitted. Raises as `continue_clip`."""
    groups = maker.spec.groups
    if not maker.is_coded or groups == 1:
        hint = "It takes a language model over the codes of clips."
        raise ModelError("model.task", "This generator does not go on from frames.", hint)
    if not 1 <= given_groups < groups:
        raise InputError("input.value", f"{given_groups} given latent frames, expected 1 to {groups - 1}.")
    most = maker.frames_of(given_groups)
    found: list[Frame] = []
    for frame in frames:
        found = [*found, frame][-most:]
    if not found:
        raise InputError("input.unreadable", "There is no frame to go on from.")
    step = maker.tokenizer.code_spec.temporal_patch
    count = 1 + (len(found) - 1) // step * step
    return np.stack([middle_of(frame, maker.size) for frame in found[-count:]])


def _chances(seed: int, count: int) -> list[torch.Generator]:
    if not 0 <= seed <= _MOST_SEED - count:
        raise InputError("input.value", f"Seed {seed}: expected a whole number from 0 to 2**63.")
    return [torch.Generator().manual_seed(seed + index) for index in range(count)]


def _grids(
    maker: Maker,
    labels: Sequence[Label],
    config: Config,
    chances: list[torch.Generator],
    batch: int,
    num_frames: int,
    fps: float | int | None,
    watch: Watch,
    outline: Float[Tensor, "1 parts side side"] | None = None,
) -> Iterator[tuple[CodeGrid, torch.Generator]]:
    """A grid for each label, and what is left of its chance."""
    if batch < 1 or not labels or num_frames < 1:
        text = f"{len(labels)} samples of {num_frames} frames in batches of {batch}"
        raise InputError("input.value", f"{text} are none.")
    fits = num_frames <= maker.num_frames if maker.is_coded else num_frames == maker.num_frames
    if not fits:
        makes = "pictures" if maker.num_frames == 1 else f"clips of {maker.num_frames} frames"
        raise ModelError("model.task", f"This generator makes {makes}, not {num_frames} frames.")
    labels = [label_of(maker.spec, label) for label in labels]
    header = maker.header(fps)
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        groups = maker.groups_of(num_frames)
        values = sampled(maker, labels[part], config, chances[part], groups, watch, outline)
        for each, chance in zip(values, chances[part], strict=True):
            yield grid_of(header, each, num_frames), chance


def _continued(
    maker: Maker,
    frames: Clip,
    num_frames: int,
    label: Label,
    config: Config,
    chance: torch.Generator,
    given_groups: int,
    watch: Watch,
) -> Iterator[Window]:
    """Windows with so many new frames, the last of them cut off."""
    label = label_of(maker.spec, label)
    header = maker.header(DEFAULT_FPS)
    while num_frames > 0:
        last = last_frames(maker, frames, given_groups)
        start = tokenize.encode(maker.tokenizer, last, header, runtime=maker.runtime)
        room = min(maker.num_frames, len(last) + num_frames)
        given: Int[ndarray, "groups side side"] = start.values
        values = sampled(maker, [label], config, [chance], maker.groups_of(room), watch, given)[0]
        grid = grid_of(header, values, room)
        window = Window(grid=grid, num_given=len(given), new=maker.decode(grid)[len(last) :])
        frames = np.concatenate([last, window.new])
        num_frames -= len(window.new)
        yield window


def _steps(maker: Maker, num_frames: int, config: Config, *, has_outline: bool = False) -> int:
    """Steps of one sample made at once: codes to draw, or steps of denoising."""
    if isinstance(config, DiffusionConfig):
        return config.steps * (2 if maker.spec.cover and not has_outline else 1)
    return maker.groups_of(num_frames) * maker.spec.side**2


def _steps_of_more(maker: Maker, num_frames: int, given: int, given_groups: int) -> int:
    """Codes to draw for so many frames after given ones."""
    steps = 0
    while num_frames > 0:
        first = min(1 + (given - 1) // maker.tokenizer.code_spec.temporal_patch, given_groups)
        room = min(maker.num_frames, maker.frames_of(first) + num_frames)
        steps += (maker.groups_of(room) - first) * maker.spec.side**2
        num_frames -= room - maker.frames_of(first)
        given = room
    return steps
