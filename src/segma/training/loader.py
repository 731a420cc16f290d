"""Batches of pictures with prompts, made in processes of their own; batch i is the same whoever makes it.

So a run that is resumed at step i goes on with the batch it would have had.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy import ndarray
from torch.utils.data import DataLoader, Dataset

from segma.errors import InputError, SegmaError
from segma.media.image import read_picture
from segma.samples import ImageSample
from segma.training.augment import Labelled, crop_window, mirrored, mosaic, recoloured, take
from segma.training.batch import FIRST, ImageBatch
from segma.training.config import TrainConfig
from segma.training.heads import vocabulary
from segma.training.pasting import cut_from, pasted
from segma.training.prompting import (
    chosen_objects,
    compared_places,
    first_click,
    jittered,
    moved,
    weights_of_objects,
)
from segma.worlds.sprites import Sprite, usable

# Masks that agree more than this are one truth for a click.
_SAME = 0.85
_TRIES = 20

_Batch = TypeVar("_Batch")


@dataclass(frozen=True, slots=True)
class Pool:
    """Samples by source, each source with the chance of the square root of its size, or a multiple of it.

    `names` are the numbers of what objects are called, where training asks for names.
    """

    sources: tuple[tuple[ImageSample, ...], ...]
    chances: tuple[float, ...]
    names: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(cls, samples: Sequence[ImageSample], mix: Sequence[str] = ()) -> Pool:
        """The pool of samples that have objects and pixels. Raises InputError as `shares_of` does."""
        shares, found = shares_of(mix), dict[str, list[ImageSample]]()
        for sample in samples:
            if sample.objects and sample.picture is not None and shares.get(sample.source, 1.0):
                found.setdefault(sample.source, []).append(sample)
        sizes = [shares.get(name, 1.0) * len(group) ** 0.5 for name, group in found.items()]
        groups = tuple(tuple(group) for group in found.values())
        return cls(groups, tuple(size / sum(sizes) for size in sizes), vocabulary(samples))

    def __len__(self) -> int:
        return sum(len(group) for group in self.sources)

    def draw(self, random: np.random.Generator) -> ImageSample:
        """A sample."""
        group = self.sources[int(random.choice(len(self.sources), p=self.chances))]
        return group[int(random.integers(len(group)))]


def shares_of(mix: Sequence[str]) -> dict[str, float]:
    """How often sources are drawn, as multiples: `["coco=3"]`. Raises InputError for anything else."""
    found: dict[str, float] = {}
    for each in mix:
        name, _, number = each.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] < float("inf"):
            raise InputError("input.value", f'mix has "{each}".', "Write SOURCE=MULTIPLE: coco=3.")
    return found


@dataclass(frozen=True, slots=True)
class ImageBatches(Dataset[ImageBatch]):
    """Batch number i of a run, for a `DataLoader`."""

    pool: Pool
    config: TrainConfig

    def __len__(self) -> int:
        return self.config.steps * self.config.optim.accumulate

    def __getitem__(self, index: int) -> ImageBatch:
        """The batch, made from the run's seed and its number. Raises InputError where none can be made."""
        started = time.perf_counter()
        random = np.random.default_rng((self.config.seed, index))
        parts: list[_Asked] = []
        skipped = unreadable = 0
        while len(parts) < self.config.batch:
            try:
                part = self._picture(random)
            except (SegmaError, OSError):
                part, unreadable = None, unreadable + 1
            if part is not None:
                parts.append(part)
                continue
            skipped += 1
            if skipped > _TRIES * self.config.batch:
                raise InputError(
                    "input.unreadable", "Hardly any picture can be read, or has an object to ask about."
                )
        batch = _joined(parts, skipped, time.perf_counter() - started)
        return replace(batch, unreadable=unreadable)

    def _picture(self, random: np.random.Generator) -> _Asked | None:
        """One training picture with its prompts, or None where there is nothing to ask about.

        Raises InputError, or OSError, where it cannot be read.
        """
        config = self.config
        if random.random() < config.crop.mosaic:
            half = config.image_size // 2
            quarters = [self._part(random, half, mosaic_part=True) for _ in range(4)]
            labelled = mosaic(quarters, config.image_size)
            loose = False
        else:
            sample = self.pool.draw(random)
            labelled = self._part(random, config.image_size, sample=sample)
            loose = bool(sample.loose)
            if random.random() < config.crop.paste:
                labelled = self._pasted(labelled, random)
        image = recoloured(labelled.image, config.crop, random)
        labelled = Labelled(image, labelled.masks, labelled.labels)
        chosen = chosen_objects(labelled.masks, config.prompts, random)
        if not chosen:
            return None
        return _asked(labelled, chosen, self.pool.names, config, random, loose=loose)

    def _pasted(self, labelled: Labelled, random: np.random.Generator) -> Labelled:
        """With a few things of other pictures in front. Raises InputError, or OSError."""
        sprites: list[Sprite] = []
        labels: list[str] = []
        for _ in range(int(random.integers(1, 4))):
            sample = self.pool.draw(random)
            if not (numbers := usable(sample)):
                continue
            each = sample.objects[numbers[int(random.integers(len(numbers)))]]
            sprite = cut_from(sample, each, random)
            if sprite is not None:
                sprites.append(sprite)
                labels.append(each.label or "")
        return pasted(labelled, sprites, labels, random)

    def _part(
        self,
        random: np.random.Generator,
        size: int,
        *,
        sample: ImageSample | None = None,
        mosaic_part: bool = False,
    ) -> Labelled:
        """A picture of the pool, cropped to `size`."""
        config = self.config.crop
        sample = sample or self.pool.draw(random)
        labelled = read_labelled(sample)
        fate = random.random()
        height, width = labelled.image.shape[:2]
        angle = float(random.uniform(-20, 20)) if random.random() < config.rotate else 0.0
        if mosaic_part:  # at about its own pixels
            side = min(size * float(random.uniform(0.8, 1.6)), height, width)
            corner = random.uniform(0, (width - side, height - side))
            window = (float(corner[0]), float(corner[1]), side, side)
        elif fate < config.whole:
            window = (0.0, 0.0, float(width), float(height))
        else:
            aim = None
            if fate < config.whole + config.aimed and labelled.masks:
                areas = np.array([cv2.countNonZero(mask) / mask.size for mask in labelled.masks])
                aim = int(random.choice(len(areas), p=weights_of_objects(areas)))
            window = crop_window(labelled, aim, config, random)
        labelled = take(labelled, window, size, angle)
        return mirrored(labelled) if random.random() < 0.5 else labelled


def read_labelled(sample: ImageSample) -> Labelled:
    """The pixels of a sample with its masks, at the picture's own size. Raises InputError."""
    assert sample.picture is not None
    image = read_picture(sample.picture)
    masks: list[np.ndarray] = []
    labels: list[str] = []
    for each in sample.objects:
        mask = each.mask.dense().astype(np.uint8)
        if mask.shape == image.shape[:2] and mask.any():
            masks.append(mask)
            labels.append(each.label or "")
    return Labelled(image, masks, labels)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One picture's share of a batch, as arrays; rows of truths count within the picture."""

    image: np.ndarray
    places: np.ndarray
    inside: np.ndarray
    weights: np.ndarray
    edge: np.ndarray
    names: np.ndarray
    masks: np.ndarray
    under: np.ndarray
    clicks: np.ndarray
    boxes: np.ndarray
    first: np.ndarray
    before: np.ndarray
    loose: np.ndarray


def _asked(
    labelled: Labelled,
    chosen: list[int],
    names: Mapping[str, int],
    config: TrainConfig,
    random: np.random.Generator,
    *,
    loose: bool,
) -> _Asked:
    """Prompts and places for the chosen objects of a picture."""
    prompts = config.prompts
    truths = list(chosen)  # indices of masks; the asked ones first, one row for each
    under = np.full((len(chosen), 3), -1)
    clicks = np.zeros((len(chosen), 2), np.float32)
    boxes = np.zeros((len(chosen), 4), np.float32)
    shares = (1 - prompts.box - prompts.mask, prompts.box, prompts.mask)
    first = random.choice(len(FIRST), len(chosen), p=shares)
    before = np.zeros((len(chosen), *labelled.image.shape[:2]), np.uint8)
    for row, index in enumerate(chosen):
        mask = labelled.masks[index]
        clicks[row] = x, y = first_click(mask, prompts.inner, random)
        boxes[row] = jittered(mask, prompts.jitter, random)
        if FIRST[first[row]] == "mask":
            before[row] = moved(mask, random)
        under[row, 0] = row
        for place, other in enumerate(_truths_under(labelled.masks, index, (x, y))[1:], 1):
            if other not in truths:
                truths.append(other)
            under[row, place] = truths.index(other)
    compared = [compared_places(labelled.masks[index], prompts.points, random) for index in truths]
    places, inside, weights, edge = (np.stack(part) for part in zip(*compared, strict=True))
    return _Asked(
        image=labelled.image,
        places=places,
        inside=inside,
        weights=weights,
        edge=edge,
        names=np.array([names.get(labelled.labels[index], -1) for index in truths]),
        masks=np.stack([labelled.masks[index] for index in chosen]),
        under=under,
        clicks=clicks,
        boxes=boxes,
        first=first,
        before=before,
        loose=np.full(len(chosen), loose),
    )


def _truths_under(masks: list[np.ndarray], index: int, xy: tuple[int, int]) -> list[int]:
    """Up to three different masks that cover a pixel, the asked one first."""
    found = [index]
    for other, mask in enumerate(masks):
        if len(found) == 3:
            break
        if other != index and mask[xy[1], xy[0]] and all(_iou(mask, masks[k]) < _SAME for k in found):
            found.append(other)
    return found


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    both = cv2.countNonZero(cv2.bitwise_and(a, b))
    return both / max(1, cv2.countNonZero(a) + cv2.countNonZero(b) - both)


def _tensor(array: ndarray) -> torch.Tensor:
    return torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped


def _joined(parts: list[_Asked], skipped: int, seconds: float) -> ImageBatch:
    offsets = np.cumsum([0] + [len(part.places) for part in parts])
    under = [np.where(p.under >= 0, p.under + o, -1) for p, o in zip(parts, offsets[:-1], strict=True)]
    asked = [np.arange(len(p.masks)) + o for p, o in zip(parts, offsets[:-1], strict=True)]
    pictures = [np.full(len(part.places), number) for number, part in enumerate(parts)]

    def joined(name: str) -> torch.Tensor:
        return _tensor(np.concatenate([getattr(part, name) for part in parts]))

    images = np.stack([part.image for part in parts]).transpose(0, 3, 1, 2)
    return ImageBatch(
        pixels=_tensor(np.ascontiguousarray(images)),
        picture=_tensor(np.concatenate(pictures)),
        places=joined("places"),
        inside=joined("inside"),
        weights=joined("weights"),
        edge=joined("edge"),
        names=joined("names"),
        masks=joined("masks"),
        asked=_tensor(np.concatenate(asked)),
        under=_tensor(np.concatenate(under)),
        clicks=joined("clicks"),
        boxes=joined("boxes"),
        first=joined("first"),
        before=joined("before"),
        loose=joined("loose"),
        skipped=skipped,
        seconds=seconds,
    )


@dataclass(frozen=True, slots=True)
class Carried(Dataset[Any]):
    """Another data set, whose errors are carried out of a worker: torch would make other errors of them."""

    dataset: Dataset[Any]

    def __getitem__(self, index: int) -> Any:  # whatever the data set makes
        """The item, or the error instead of it."""
        try:
            return self.dataset[index]
        except SegmaError as error:
            return error


def made_ahead(dataset: Dataset[_Batch], numbers: Sequence[int], workers: int) -> Iterator[_Batch]:
    """The batches of these numbers, made ahead by so many processes (0: by this one). Raises InputError."""
    loader = DataLoader(
        Carried(dataset),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_prepare_worker,
    )
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a fork does not copy OpenCV's pool of threads, and a worker would wait for it
    made = iter(loader)
    cv2.setNumThreads(threads)
    for batch in made:
        if isinstance(batch, SegmaError):
            raise batch
        yield batch


def batches(pool: Pool, config: TrainConfig, numbers: Sequence[int] | None = None) -> Iterator[ImageBatch]:
    """The run's batches of these numbers (None: of all), made ahead by `config.workers` processes."""
    dataset = ImageBatches(pool, config)
    return made_ahead(dataset, range(len(dataset)) if numbers is None else numbers, config.workers)


def _prepare_worker(_: int) -> None:
    """A worker leaves the other cores to the step, and stops when the run stops it, not at Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
