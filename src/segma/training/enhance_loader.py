"""Batches for enhancers: small pictures, and the larger ones that they are reductions of.

The large ones are crops of photos, or frames of clips where there are no photos, never enlarged themselves.
They are reduced by the bicubic kernel that Pillow has, a share by area; a share of the small ones then goes
through JPEG, as pictures that people want larger mostly have.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from segma.errors import InputError, SegmaError
from segma.media.image import read_picture
from segma.media.resample import reduced
from segma.training.config import TrainConfig
from segma.training.pixel_loader import PixelPool, cropped, mirrored, read_frames

Picture = UInt8[ndarray, "height width 3"]

# Tells these draws from those of other batches of the same seed and number.
_ENHANCE = 0xE4A6
_TRIES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhanceBatch:
    """Small pictures and what they shall become, `scale` times larger."""

    pixels: UInt8[Tensor, "rows 3 h w"]
    wanted: UInt8[Tensor, "rows 3 large_h large_w"]
    scale: int
    unreadable: int = 0
    seconds: float = 0.0

    def to(self, device: torch.device) -> EnhanceBatch:
        """The batch on a device."""
        return replace(self, pixels=self.pixels.to(device), wanted=self.wanted.to(device))


@dataclass(frozen=True, slots=True)
class EnhanceBatches(Dataset[EnhanceBatch]):
    """Batch number i of a run, for a `DataLoader`; one scale each."""

    pool: PixelPool
    config: TrainConfig
    scales: tuple[int, ...]

    def __len__(self) -> int:
        return self.config.steps * self.config.optim.accumulate

    def __getitem__(self, index: int) -> EnhanceBatch:
        """The batch, made from the run's seed and its number. Raises InputError where hardly any can be."""
        started = time.perf_counter()
        random = np.random.default_rng((self.config.seed, index, _ENHANCE))
        made, scale = self.config.enhance, int(random.choice(self.scales))
        large: list[Picture] = []
        unreadable, small = 0, 0
        while len(large) < self.config.batch:
            try:
                picture = self._picture(random)
            except (SegmaError, OSError) as error:
                unreadable += 1
                if unreadable > _TRIES * self.config.batch:
                    raise InputError("input.unreadable", "Hardly any picture can be read.") from error
                continue
            if min(picture.shape[:2]) < made.size * scale and small < _TRIES * self.config.batch:
                small += 1  # others are large enough; where none is, pictures are made finer
                continue
            large.append(mirrored(cropped([picture], made.size * scale, random), random)[0])
        return EnhanceBatch(
            pixels=_stacked([self._small(each, scale, random) for each in large]),
            wanted=_stacked(large),
            scale=scale,
            unreadable=unreadable,
            seconds=time.perf_counter() - started,
        )

    def _small(
        self, picture: Picture, scale: int, random: np.random.Generator
    ) -> UInt8[ndarray, "small_h small_w 3"]:
        made = self.config.enhance
        by_area, is_jpeg = random.random() < made.area, random.random() < made.jpeg
        quality = int(random.integers(made.quality[0], made.quality[1] + 1))
        size = (picture.shape[1] // scale, picture.shape[0] // scale)
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        small = small if by_area else reduced(picture, scale)
        return through_jpeg(small, quality) if is_jpeg else small

    def _picture(self, random: np.random.Generator) -> Picture:
        if not self.pool.pictures:
            _, video = self.pool.clips.draw(random)
            return read_frames(video, lambda total: [int(random.integers(total))])[0]
        _, sample = self.pool.pictures.draw(random)
        assert sample.picture is not None
        return read_picture(sample.picture)


def through_jpeg(picture: Picture, quality: int) -> Picture:
    """What JPEG keeps of a picture."""
    _, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(picture[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    found = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert found is not None, "it was encoded just now"
    return found[:, :, ::-1].astype(np.uint8, copy=False)


def _stacked(pictures: list[Picture]) -> UInt8[Tensor, "rows 3 h w"]:
    stack = np.stack(pictures).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(stack))  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
