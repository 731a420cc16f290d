"""A data set of made pictures, for training where there are no real ones."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import torch

from segma.datasets.shard_writer import ShardWriter, image_members
from segma.media.files import make_folder
from segma.worlds.families import IMAGE_TRAINING
from segma.worlds.stream import stream
from segma.worlds.truth import SOURCE, image_truth

LEAST_PICTURES = 8
_BATCH = 4


def make_pictures(
    folder: Path, seed: int, seconds: float | int, *, size: int = 256, device: torch.device | None = None
) -> int:
    """Write a shard of pictures of the stream of this seed for so many seconds; how many there are.

    At least eight are made, however long that takes. Raises StoreError.
    """
    end = time.monotonic() + seconds
    writer = ShardWriter(make_folder(folder) / f"{SOURCE}-{seed}.tar")
    count = 0
    source = stream(IMAGE_TRAINING, seed, batch=_BATCH, size=size, device=device or "cpu")
    while count < LEAST_PICTURES or time.monotonic() < end:
        rendered = next(source)
        for image, truth in zip(rendered.images[:, 0], image_truth(rendered), strict=True):
            pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()[..., ::-1])
            done, data = cv2.imencode(".png", pixels)
            assert done, "a PNG holds any picture"
            writer.add(image_members(truth.sample, f"{count:07d}", data.tobytes()))
            count += 1
    writer.close()
    return count
