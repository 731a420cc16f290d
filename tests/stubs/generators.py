"""Generators so small that they answer in milliseconds, for the tokenizers of `stubs.tokenizer`."""

from __future__ import annotations

from dataclasses import replace

import torch
from stubs.tokenizer import SMALL, toy_tokenizer

from segma.models.interfaces import Generator
from segma.models.omnitokenizer.dit import Dit
from segma.models.omnitokenizer.dit_config import DitConfig
from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import VARIANTS, GptConfig
from segma.runtime import Runtime
from segma.tasks.maker import Maker

LATENTS = replace(SMALL, num_codes=0, code_dim=6)
"""A tokenizer of latents."""
PICTURES = GptConfig(
    vocabulary=54, block=17, dim=24, layers=2, heads=2, order="class_start", num_classes=3,
    class_names=("cube", "ball", "cone"), side=4, parity=False,
)  # fmt: skip
CLIPS = replace(PICTURES, block=49, order="start_class")
PLAIN = replace(PICTURES, vocabulary=50, block=48, order="codes", num_classes=0, class_names=())
"""Clips of 9 frames: three latent frames of 4 x 4 codes."""
WORDED = replace(
    VARIANTS["omnitokenizer_gpt_small"], dim=24, layers=1, heads=2, side=4, block=26, tied=False, axes=False
)
WORDED = replace(WORDED, vocabulary=WORDED.first_code + SMALL.num_codes)
"""Pictures of what words of made worlds say."""
DIT = DitConfig(channels=6, side=4, dim=16, layers=2, heads=2, num_classes=3, guided_channels=2)
LATTE = replace(DIT, groups=3)
COVERED = replace(DIT, cover=2, outline_dim=8, outline_layers=2, guided_channels=0)
"""Pictures whose outlines are made first."""


def toy_gpt(config: GptConfig, seed: int = 1) -> Gpt:
    """A network of random weights that prefers some ids clearly."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Gpt(config)
        torch.nn.init.normal_(network.pos_emb)
        assert network.head is not None
        torch.nn.init.normal_(network.head.weight, std=0.5)
        return network.eval().requires_grad_(False)


def toy_dit(config: DitConfig, seed: int = 2) -> Dit:
    """A network of random weights, with a place for what it modulates by."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Dit(config).eval().requires_grad_(False)


def toy_maker(config: GptConfig | DitConfig) -> Maker:
    """With the tokenizer that fits."""
    is_coded = isinstance(config, GptConfig)
    generator: Generator = toy_gpt(config) if isinstance(config, GptConfig) else toy_dit(config)
    tokenizer = toy_tokenizer(SMALL if is_coded else LATENTS)
    return Maker(generator=generator, tokenizer=tokenizer, runtime=Runtime(device="cpu", precision="fp32"))
