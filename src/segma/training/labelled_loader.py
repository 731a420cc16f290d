"""Batches of pictures or clips with their classes, the names of the folders that they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch.utils.data import Dataset

from segma.errors import InputError, SegmaError
from segma.media.footage import middle_of
from segma.media.image import read_picture
from segma.samples import ImageSample, VideoSample
from segma.training.config import TrainConfig
from segma.training.generator_batch import LabelledBatch
from segma.training.pixel_loader import num_frames, read_frames

_LABELLED = 0x1ABE
_TRIES = 20
_PARTS = ("train", "val", "valid", "validation", "test")
Item = ImageSample | VideoSample


def class_names(folders: Sequence[str]) -> tuple[str, ...]:
    """The classes of folders in the layouts of ImageNet, UCF-101 and Kinetics, in alphabetic order.

    Raises InputError where a folder has none.
    """
    names: set[str] = set()
    for folder in map(Path, folders):
        root = folder / _PARTS[0] if (folder / _PARTS[0]).is_dir() else folder
        found = {each.name for each in root.iterdir() if each.is_dir()} if root.is_dir() else set[str]()
        if not found - set(_PARTS):
            raise InputError(
                "input.value", f"{folder}: no folders, one a class.", "Wanted: <class>/<name>.jpg."
            )
        names |= found - set(_PARTS)
    return tuple(sorted(names))


@dataclass(frozen=True, slots=True)
class LabelledBatches(Dataset[LabelledBatch]):
    """Batch number i of a run. Of a picture the middle square is taken, half of them mirrored."""

    items: tuple[Item, ...]
    classes: Mapping[str, int]
    config: TrainConfig
    rows: int

    def __getitem__(self, index: int) -> LabelledBatch:
        """The batch, made from the run's seed and its number. Raises InputError where hardly any can be."""
        random = np.random.default_rng((self.config.seed, index, _LABELLED))
        pixels: list[ndarray] = []
        labels: list[int] = []
        unreadable = 0
        while len(pixels) < self.rows:
            item = self.items[int(random.integers(len(self.items)))]
            try:
                pixels.append(self.pixels_of(item, random))
                labels.append(self.classes.get(item.source, -1))
            except (SegmaError, OSError) as error:
                unreadable += 1
                if unreadable > _TRIES * self.rows:
                    raise InputError("input.unreadable", "Hardly any picture can be read.") from error
        stacked = np.ascontiguousarray(np.stack(pixels).transpose(0, 1, 4, 2, 3))
        return LabelledBatch(
            pixels=torch.from_numpy(stacked),  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
            labels=torch.tensor(labels),
            unreadable=unreadable,
        )

    def pixels_of(self, item: Item, random: np.random.Generator) -> ndarray:
        """The frames of an item, uint8 (frames, size, size, 3)."""
        made = self.config.generator
        if isinstance(item, ImageSample):
            assert item.picture is not None, "only those with pixels are drawn"
            found = [read_picture(item.picture)]
        else:
            found = read_frames(item, lambda total: _in_a_row(total, made.frames, made.stride, random))
        frames = np.stack([middle_of(each, (made.size, made.size)) for each in found])
        return frames[:, :, ::-1] if random.random() < 0.5 else frames


def _in_a_row(total: int, count: int, stride: int, random: np.random.Generator) -> list[int]:
    """So many frames, each so many after the one before; a clip that is shorter stops at its last one."""
    start = int(random.integers(max(1, total - (count - 1) * stride)))
    return [min(start + number * stride, total - 1) for number in range(count)]


def items_of(pictures: Sequence[ImageSample], clips: Sequence[VideoSample], frames: int) -> tuple[Item, ...]:
    """What can be drawn from: pictures for `frames` of 1, else clips; only those with pixels."""
    if frames == 1:
        return tuple(each for each in pictures if each.picture is not None)
    return tuple(each for each in clips if num_frames(each) > 1)
