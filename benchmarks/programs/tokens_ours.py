"""segma's tokenizers with made-up weights, and how fast this machine multiplies matrices."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from programs.turns import Task
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from segma.checkpoints.fill import made_up
from segma.models.omnitokenizer.config import VARIANTS
from segma.models.omnitokenizer.model import OmniTokenizer
from segma.runtime import Precision, Runtime

ENCODE, DECODE = "encode", "decode"
Shape = tuple[int, int]
"""Frames, and pixels along a side."""


def task_name(way: str, shape: Shape) -> str:
    """Of a table: "encode 17 x 128 x 128"."""
    return f"{way} {shape[0]} x {shape[1]} x {shape[1]}"


def state_of(variant: str) -> dict[str, Tensor]:
    """Official names -> values that follow from names and shapes; whole numbers as they are."""
    network = OmniTokenizer(VARIANTS[variant])
    return {
        name: made_up(name, tuple(value.shape)) if value.is_floating_point() else value.clone()
        for name, value in network.state_dict().items()
    }


def inputs_of(variant: str, shape: Shape) -> tuple[Tensor, Tensor]:
    """Pixels, and codes for as many, by chance from a seed."""
    config, (frames, side) = VARIANTS[variant], shape
    generator = torch.Generator().manual_seed(side + frames)
    # smooth, as pictures are: noise of single pixels tells nothing of a patch
    coarse = torch.rand(1, 3, frames, side // 8 + 1, side // 8 + 1, generator=generator) - 0.5
    pixels = torch.nn.functional.interpolate(coarse[0], size=(side, side), mode="bilinear")[None]
    grid = (1, config.num_groups(frames), side // config.patch, side // config.patch)
    return pixels, torch.randint(config.num_codes, grid, generator=generator)


def flops_of(variant: str, way: str, shape: Shape) -> int:
    """Operations (a multiplication and an addition are two) of products, convolutions and attention."""
    pixels, codes = inputs_of(variant, shape)
    with torch.device("meta"):
        network = OmniTokenizer(VARIANTS[variant]).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if way == ENCODE:
            numbers = network.project(pixels.to("meta"))
            # distances to all codes; autocast, which that switches off, knows no meta device
            torch.mm(numbers.flatten(0, 3), network.codebook.embeddings.T)
        else:
            network.decode_codes(codes.to("meta"))
    return counter.get_total_flops()


def product_flops_per_second(dtype: torch.dtype, side: int, repeats: int = 8) -> float:
    """Operations a second of the product of two square matrices, at best."""
    one, other = (torch.rand(side, side).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        torch.mm(one, other)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def tokens(variant: str, precision: Precision, shapes: Sequence[Shape], product_side: int) -> dict[str, Task]:
    """A task for each way and shape; and two that multiply matrices."""
    network = OmniTokenizer(VARIANTS[variant])
    network.load_state_dict(state_of(variant), strict=True)
    Runtime(device="cpu", precision=precision).place(network.eval().requires_grad_(False))
    tasks = {
        f"product {name}": Task(
            run=lambda dtype=dtype: product_flops_per_second(dtype, product_side), summary=float
        )
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    }
    for shape in shapes:
        pixels, codes = inputs_of(variant, shape)
        tasks[task_name(ENCODE, shape)] = Task(
            run=lambda pixels=pixels: _quietly(network.encode_codes, pixels), summary=summary
        )
        tasks[task_name(DECODE, shape)] = Task(
            run=lambda codes=codes: _quietly(network.decode_codes, codes), summary=summary
        )
    return tasks


def summary(found: Tensor) -> Tensor:
    """All codes, or each fourth pixel of each row and column."""
    return (found.float()[..., ::4, ::4] if found.is_floating_point() else found).clone()


def _quietly(run: object, given: Tensor) -> Tensor:
    with torch.inference_mode():
        return run(given)  # type: ignore[operator]
