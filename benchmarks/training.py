"""Where the time of a training step goes: loading, encoder, decoder, memory, losses, backward, optimizer.

A step of the recipe on pictures (prompts of all rounds) and one on clips, each with one thread and with more.
With one thread the processor's seconds count, so that other programs hardly matter; with more those of the
clock.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from programs import lineup
from torch import nn

from segma.evaluation.protocols.speed import computed_picture, text_table
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime, keep_freed_memory
from segma.training.catalog import recipe
from segma.training.clip_loader import ClipBatches
from segma.training.clip_sources import ClipPool
from segma.training.config import TrainConfig
from segma.training.data import Samples, read_samples
from segma.training.kinds import step_of
from segma.training.loader import ImageBatches, Pool
from segma.training.network import build
from segma.training.optim import WeightMean, adamw
from segma.training.steps import asking, clips

ENCODER, DECODER, MEMORY, CLICKS = "encoder", "decoder, all rounds", "memory", "next clicks"
LOADING, LOSSES, BACKWARD, OPTIMIZER = (
    "loading, one worker",
    "losses and the rest",
    "backward",
    "optimizer, mean",
)
METHODS = (
    (ENCODER, ("encode_frame",)),
    (DECODER, ("decode", "render_all", "pointers", "reduce_masks")),
    (MEMORY, ("condition", "encode_memory")),
)
PARTS = (LOADING, ENCODER, DECODER, MEMORY, CLICKS, LOSSES, BACKWARD, OPTIMIZER)
BUSY = "Other programs kept the cores busy: only the processor's seconds mean something, not the clock's."


class Parts:
    """Seconds by part: of the clock, and of the processor."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[float, float]]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done in here belongs to a part."""
        start = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            spent = time.perf_counter() - start[0], time.process_time() - start[1]
            self.found.setdefault(name, []).append(spent)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that belongs to a part."""

        def run(*arguments: Any, **named: Any) -> Any:
            with self.part(name):
                return function(*arguments, **named)

        return run

    def total(self, name: str) -> tuple[float, float]:
        """All that a part took so far."""
        rows = self.found.get(name, [])
        return sum(row[0] for row in rows), sum(row[1] for row in rows)


def main() -> int:
    options = arguments()
    print(f"training: {options.recipe}, {options.steps} steps each\n{lineup.machine()}", flush=True)
    keep_freed_memory()
    cv2.setNumThreads(1)
    tables: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="segma-") as name:
        folder = options.data or made_pictures(Path(name))
        samples = read_samples(folder)
        config = configured(options)
        for kind in ("pictures", "clips"):
            batches, loading = loaded(kind, samples, config, options.steps + 1)
            for threads in sorted({1, options.threads}):
                found = measured(config, batches, threads)
                found[LOADING] = loading
                tables[f"{kind}, {threads} threads"] = document(found, batches)
                print(report(kind, threads, found, batches), flush=True)
    if options.save:
        options.repeats, options.variant = options.steps, config.variant
        what = options.data.name if options.data else "made pictures"
        print(f"saved {lineup.save('training', options, what, {'note': note(tables), **tables})}")
    return 0


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = lineup.plain_parser(__doc__ or "")
    parser.add_argument("--recipe", default="sam2_conv_images", help="whose numbers are taken")
    parser.add_argument("--data", type=Path, help="labelled pictures and clips; without it made ones")
    parser.add_argument("--steps", type=int, default=5, help="steps that count, of each kind")
    parser.add_argument("--batch", type=int, help="pictures of a batch; the recipe's without")
    parser.add_argument("--weights", default="", help="what to start from; the recipe's size without")
    return parser.parse_args()


def configured(options: argparse.Namespace) -> TrainConfig:
    """The recipe, with a network that has a memory to train."""
    config = replace(recipe(options.recipe), video_share=0.5, frozen=(), workers=0)
    if options.weights:
        config = replace(config, start=options.weights, image_size=0)
    return replace(config, batch=options.batch or config.batch)


def made_pictures(folder: Path) -> Path:
    """Sixteen pictures of 448 x 336 with eight discs each, as a folder that a user would have."""
    random = np.random.default_rng(0)
    texture = computed_picture()
    for number in range(16):
        top, left = (
            int(random.integers(0, side - cut)) for side, cut in zip(texture.shape, (336, 448), strict=False)
        )
        image = np.ascontiguousarray(texture[top : top + 336, left : left + 448])
        for disc in range(8):
            mask = np.zeros(image.shape[:2], np.uint8)
            centre = int(random.integers(30, 418)), int(random.integers(30, 306))
            axes = int(random.integers(8, 70)), int(random.integers(8, 70))
            cv2.ellipse(mask, centre, axes, float(random.uniform(0, 180)), 0, 360, 255, -1)
            image[mask > 0] = image[mask > 0] // 2 + random.integers(0, 128, 3).astype(np.uint8)
            cv2.imwrite(str(folder / f"photo{number}_{disc}.png"), mask)
        cv2.imwrite(str(folder / f"photo{number}.jpg"), image)
    return folder


def loaded(
    kind: str, samples: Samples, config: TrainConfig, count: int
) -> tuple[list[Any], list[tuple[float, float]]]:
    """Batches, and how long each took to make."""
    pool = Pool.of(samples.pictures)
    dataset = ImageBatches(pool, config)
    if kind == "clips":
        dataset = ClipBatches(ClipPool.of(samples.clips, samples.pictures), config)
    parts = Parts()
    torch.set_num_threads(1)
    batches: list[Any] = []
    for number in range(count):
        with parts.part(LOADING):
            batches.append(dataset[number])
    return batches, parts.found[LOADING][1:]


def measured(config: TrainConfig, batches: list[Any], threads: int) -> dict[str, list[tuple[float, float]]]:
    """By part what each step took; the first one does not count."""
    torch.set_num_threads(threads)
    module = build(config).module
    runtime = Runtime(device="cpu", precision="fp32")
    step, optimizer = step_of(config, runtime), adamw(module, config.optim)
    mean = WeightMean(module, config.optim.ema)
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in PARTS[1:]}
    for number, batch in enumerate(batches):
        parts = Parts()
        with watched(module, parts):
            one_step(module, batch, step, optimizer, mean, parts, number)
        inner = [parts.total(name) for name in (ENCODER, DECODER, MEMORY, CLICKS)]
        whole = parts.total("forward")
        rest = tuple(whole[k] - sum(each[k] for each in inner) for k in (0, 1))
        parts.found[LOSSES] = [(rest[0], rest[1])]
        if number:
            for name in rows:
                rows[name].append(parts.total(name))
    return rows


def one_step(
    module: nn.Module,
    batch: Any,
    step: Callable[..., Any],
    optimizer: torch.optim.Optimizer,
    mean: WeightMean,
    parts: Parts,
    number: int,
) -> None:
    """A step as `training.loop` takes it."""
    generator = torch.Generator().manual_seed(number)
    optimizer.zero_grad(set_to_none=True)
    with parts.part("forward"):
        loss = step(module, batch, generator).loss
    with parts.part(BACKWARD):
        loss.backward()
    with parts.part(OPTIMIZER):
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        mean.update(module)


@contextmanager
def watched(module: Sam2, parts: Parts) -> Iterator[None]:
    """While this lasts the methods of a network, and the choice of clicks, tell how long they take."""
    before = asking.next_clicks
    for name, methods in METHODS:
        for method in methods:
            setattr(module, method, parts.timed(name, getattr(module, method)))
    asking.next_clicks = clips.next_clicks = parts.timed(CLICKS, before)
    try:
        yield
    finally:
        asking.next_clicks = clips.next_clicks = before
        for _, methods in METHODS:
            for method in methods:
                delattr(module, method)


def report(kind: str, threads: int, found: dict[str, list[tuple[float, float]]], batches: list[Any]) -> str:
    """The table of one kind of step; with one thread the processor's seconds count."""
    clock, processor = ({name: median(row[k] for row in found[name]) for name in PARTS} for k in (0, 1))
    mattering = processor if threads == 1 else clock
    whole = sum(mattering[name] for name in PARTS[1:])
    rows = [
        [
            name,
            f"{processor[name]:.3f}",
            f"{clock[name]:.3f}",
            "" if name == LOADING else f"{mattering[name] / whole:.0%}",
        ]
        for name in PARTS
        if clock[name] or name != MEMORY
    ]
    pictures = median(pictures_of(batch) for batch in batches)
    return (
        f"\na step on {kind}, {threads} threads\n"
        f"{text_table(['part', 'processor s', 'clock s', 'share'], rows)}\n"
        f"step {whole:.3f} s by the {'processor' if threads == 1 else 'clock'}, "
        f"{pictures / whole:.1f} {'pictures' if kind == 'pictures' else 'frames'}/s"
    )


def note(tables: dict[str, Any]) -> dict[str, str]:
    """Whether the clock can be believed: with one thread it goes as the processor does."""
    backward = tables["pictures, 1 threads"]["parts"][BACKWARD]
    return {"text": BUSY if backward["seconds"] > 1.2 * backward["processor_seconds"] else ""}


def pictures_of(batch: Any) -> int:
    """Pictures, or frames of clips, of a batch."""
    return batch.pixels.shape[:-3].numel()


def document(found: dict[str, list[tuple[float, float]]], batches: list[Any]) -> dict[str, Any]:
    """The numbers for the file: medians of the clock's and the processor's seconds."""
    rows = {
        name: {
            "seconds": median(row[0] for row in spent),
            "processor_seconds": median(row[1] for row in spent),
        }
        for name, spent in found.items()
    }
    return {"parts": rows, "pictures_per_step": median(pictures_of(batch) for batch in batches)}


if __name__ == "__main__":
    sys.exit(main())
