"""A folder of pictures of plain shapes with their masks, and a network small enough to learn them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from segma.models.sam2.config import Sam2Config

TINY = Sam2Config(
    trunk="conv",
    stage_depths=(1, 1, 1, 1),
    stage_widths=(8, 16, 24, 32),
    stage_heads=(1, 1, 1, 1),
    stage_mlp_dims=(32, 64, 96, 128),
    global_blocks=(),
    image_size=64,
    dim=32,
    memory_dim=16,
    memory_layers=1,
    memory_mlp_dim=32,
    fuser_layers=1,
    fuser_dim=32,
    decoder_heads=4,
    decoder_mlp_dim=32,
    mask_channels=16,
    iou_hidden_dim=32,
    prompt_maps=True,
    refiner_width=8,
)
"""A convolutional SAM 2 for 64 px that takes a training step in a tenth of a second."""


def write_shapes(folder: Path, count: int, side: int = 80) -> Path:
    """Write `count` pictures, each of a bright box and a bright disc on something dark."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for number in range(count):
        image = np.full((side, side, 3), random.integers(0, 90, 3), np.uint8)
        for kind in range(2):
            x, y = (int(value) for value in random.integers(20, side - 20, 2))
            mask = np.zeros((side, side), np.uint8)
            if kind:
                cv2.circle(mask, (x, y), int(random.integers(9, 18)), 255, -1)
            else:
                cv2.rectangle(mask, (x - 12, y - 9), (x + 12, y + 9), 255, -1)
            image[mask > 0] = random.integers(130, 255, 3)
            cv2.imwrite(str(folder / f"photo{number}_{kind}.png"), mask)
        cv2.imwrite(str(folder / f"photo{number}.jpg"), image)
    return folder
