"""segma's language model over codes, sampled by `tasks.sample_codes`, with made-up weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from programs.turns import Task

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import shapes_of
from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import VARIANTS, GptConfig
from segma.runtime import Precision, Runtime
from segma.tasks.sample_codes import SamplingConfig, sample_codes

SIZES: Mapping[str, GptConfig] = {
    "toy": GptConfig(vocabulary=100, block=64, dim=32, layers=2, heads=2, side=8),
    "small": GptConfig(vocabulary=4096, block=1024, dim=512, layers=8, heads=8),
    "medium": GptConfig(vocabulary=8192, block=1024, dim=768, layers=12, heads=12),
    **{name: config for name, config in VARIANTS.items() if not config.words},
}
"""By name: for a quick look, for machines that are not to hold 2.8 GB twice, and the official ones."""
LIKELY = SamplingConfig(top_k=2048, top_p=0.9)


def config_of(variant: str) -> GptConfig:
    """The sizes; the ids are codes alone, so that both programs begin with a 0."""
    known = SIZES[variant]
    return GptConfig(
        vocabulary=known.vocabulary,
        block=known.codes_at_most,  # whole latent frames, whatever stands before the codes
        dim=known.dim,
        layers=known.layers,
        heads=known.heads,
        side=known.side,
        parity=False,
    )


def state_of(variant: str) -> dict[str, torch.Tensor]:
    """Weights that follow from their names."""
    with torch.device("meta"):
        shapes = shapes_of(Gpt(config_of(variant)))
    return made_up_state(shapes)


def task_name(kind: str, rows: int) -> str:
    """Of a table."""
    return f"{kind}, {rows} row{'s' if rows > 1 else ''}"


def weight_bytes(variant: str, bytes_each: int) -> int:
    """What is read of the weights for every step: all but the embeddings, of which a row is."""
    with torch.device("meta"):
        network = Gpt(config_of(variant))
    unread = network.tok_emb.weight.numel() + network.pos_emb.numel()
    return bytes_each * (sum(each.numel() for each in network.parameters()) - unread)


def copied_bytes_per_second(megabytes: int = 512, repeats: int = 5) -> float:
    """Read and written by copying one large array to another, at best."""
    import time

    source = torch.ones(megabytes * 250_000)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        target.copy_(source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def sampling(variant: str, precision: Precision, tokens: int, rows: Sequence[int]) -> dict[str, Task]:
    """Tasks that sample so many codes in batches of so many rows; and one that copies memory."""
    network = Gpt(config_of(variant))
    network.load_state_dict(state_of(variant), strict=True, assign=True)
    runtime = Runtime(device="cpu", precision=precision)
    runtime.place(network.eval().requires_grad_(False))

    def run(config: SamplingConfig, count: int) -> Any:  # a tensor
        chances = [torch.Generator().manual_seed(seed) for seed in range(count)]
        with torch.inference_mode():
            return sample_codes(network, [None] * count, tokens, chances, config)

    tasks = {"copy": Task(run=copied_bytes_per_second, summary=float)}
    for kind, config in (("greedy", SamplingConfig(temperature=0)), ("top-k and top-p", LIKELY)):
        for count in rows:
            tasks[task_name(kind, count)] = Task(
                run=lambda config=config, count=count: run(config, count),
                summary=lambda ids: ids.tolist(),
            )
    return tasks
