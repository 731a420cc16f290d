"""SAM 2 networks with weights made up by rule that see objects, and a clip to follow them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.media.video_write import VideoWriter
from segma.models.sam2.config import VARIANTS, Sam2Config
from segma.models.sam2.model import Sam2
from segma.runtime import Precision, Runtime

# Beginning of a name, factor, offset. Without them prompts would have hardly any effect, every object would
# be absent, and a memory would be much like any other.
ENLIVENING = (
    *(
        (f"sam_{name}", 16.0, 0.0)
        for name in (
            "mask_decoder.iou_token.",
            "mask_decoder.mask_tokens.",
            "mask_decoder.obj_score_token.",
            "prompt_encoder.point_embeddings.",
            "prompt_encoder.not_a_point_embed.",
            "prompt_encoder.no_mask_embed.",
        )
    ),
    ("no_obj_ptr", 16.0, 0.0),
    ("maskmem_tpos_enc", 8.0, 0.0),
    ("no_obj_embed_spatial", 8.0, 0.0),
    ("memory_encoder.mask_downsampler.encoder.12.weight", 8.0, 0.0),
    ("sam_mask_decoder.pred_obj_score_head.layers.2.bias", 1.0, 2.0),
)
TOY = "toy"
_TOY = Sam2Config(
    stage_depths=(1, 2, 3, 1),
    stage_widths=(16, 32, 48, 64),
    stage_heads=(1, 2, 3, 4),
    stage_mlp_dims=(32, 64, 96, 128),
    windows=(4, 2, 4, 2),
    global_blocks=(4,),
    window_position_side=4,
    image_size=128,
    dim=128,
    memory_dim=64,  # transformers knows no other width
    memory_layers=2,
    memory_mlp_dim=48,
    fuser_layers=1,
    fuser_dim=64,
    decoder_heads=4,
    decoder_mlp_dim=64,
    iou_hidden_dim=32,
)
CONFIGS: Mapping[str, Sam2Config] = {**VARIANTS, TOY: _TOY}
"""Every size that has a name, and one for a quick look whether a benchmark works."""


def state_of(variant: str) -> dict[str, Tensor]:
    """Official names -> values."""
    with torch.device("meta"):
        shapes = shapes_of(Sam2(CONFIGS[variant]))
    return made_up_state(shapes, adjusted=ENLIVENING)


def network_of(variant: str, precision: Precision) -> tuple[Sam2, Runtime]:
    """The network as `segma.load` would place it, and its runtime."""
    with torch.device("meta"):
        network = Sam2(CONFIGS[variant])
    fit(network, state_of(variant), variant)
    network.eval().requires_grad_(False)
    runtime = Runtime(device="cpu", precision=precision, threads=torch.get_num_threads())
    runtime.place(network)
    return network, runtime


def scene(size: tuple[int, int], count: int) -> Iterator[ndarray]:
    """Frames (height, width, 3) of six discs that wander over stripes, the same on every machine."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    ground = np.stack([(3 * x + 5 * y) % 256, x * y // 97 % 256, (x // 50 + y // 50) % 2 * 200], -1)
    radius = height // 9
    for frame in range(count):
        pixels = ground.astype(np.uint8)
        for number, (across, down) in enumerate(discs(size, frame)):
            inside = (x - across) ** 2 + (y - down) ** 2 < radius**2
            pixels[inside] = (40 * number + 30, 250 - 40 * number, 90 + 25 * number)
        yield pixels


def discs(size: tuple[int, int], frame: int) -> Sequence[tuple[float, float]]:
    """The middles (x, y) of the discs on a frame."""
    height, width = size
    turns = [frame / (40 + 9 * number) + number for number in range(6)]
    return [
        (
            width * (0.2 + 0.3 * (number % 3) + 0.08 * float(np.cos(turn))),
            height * (0.3 + 0.4 * (number // 3) + 0.1 * float(np.sin(turn))),
        )
        for number, turn in enumerate(turns)
    ]


def write_scene(path: Path, size: tuple[int, int], count: int) -> None:
    """The scene as a video file, 25 frames a second."""
    with VideoWriter(path, size) as video:
        for index, pixels in enumerate(scene(size, count)):
            video.write(pixels, index / 25)


FIRST_TRACKED = 16
"""With a prompt on frame 0 and all frames up to here known, the bank of the next frames is full: 7 memories
and 16 pointers."""


def clip(size: tuple[int, int], count: int) -> list[ndarray]:
    """Frames of the scene; those that nobody looks at, 1 to `FIRST_TRACKED` - 1, are the first one again."""
    first, *others = scene(size, 1 + count - FIRST_TRACKED)
    return [first] * FIRST_TRACKED + others
