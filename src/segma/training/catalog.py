"""The training recipes by name. Imports nothing; a recipe is imported when asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from segma.errors import InputError

if TYPE_CHECKING:
    from segma.training.config import TrainConfig

FINETUNE = "finetune"
"""The recipe for a user's own folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Where a recipe stands: a function without arguments that gives a whole TrainConfig."""

    module: str
    function: str
    help: str


RECIPES: Mapping[str, Entry] = MappingProxyType(
    {
        "sam2_conv_images": Entry(
            module="segma.training.recipes.images",
            function="sam2_conv_images",
            help="a small convolutional SAM 2 on pictures, from random weights",
        ),
        "sam2_conv_clips": Entry(
            module="segma.training.recipes.clips",
            function="sam2_conv_clips",
            help="its memory on clips, with the encoder as it is; goes on from weights (--model)",
        ),
        "omnitokenizer_images": Entry(
            module="segma.training.recipes.codes",
            function="omnitokenizer_images",
            help="stage 1 of a tokenizer of the official size: pictures",
        ),
        "omnitokenizer_joint": Entry(
            module="segma.training.recipes.codes",
            function="omnitokenizer_joint",
            help="stage 2: pictures and clips of several sizes; goes on from stage 1 (--model)",
        ),
        "omnitokenizer_kl": Entry(
            module="segma.training.recipes.codes",
            function="omnitokenizer_kl",
            help="stage 3: Gaussians instead of codes; goes on from stage 2 (--model)",
        ),
        "omnitokenizer_small": Entry(
            module="segma.training.recipes.codes",
            function="omnitokenizer_small",
            help="a small tokenizer of codes and of Gaussians on one trunk, from nothing",
        ),
        "omnitokenizer_gpt_images": Entry(
            module="segma.training.recipes.generators",
            function="omnitokenizer_gpt_images",
            help="a language model of pictures by class, in the paper's size",
        ),
        "omnitokenizer_gpt_clips": Entry(
            module="segma.training.recipes.generators",
            function="omnitokenizer_gpt_clips",
            help="the same of clips by class",
        ),
        "omnitokenizer_gpt_frames": Entry(
            module="segma.training.recipes.generators",
            function="omnitokenizer_gpt_frames",
            help="the same that goes on from the first frames of clips",
        ),
        "omnitokenizer_gpt_small": Entry(
            module="segma.training.recipes.generators",
            function="omnitokenizer_gpt_small",
            help="a small one that makes worlds by a sentence, from nothing and without data",
        ),
        "omnitokenizer_dit": Entry(
            module="segma.training.recipes.generators",
            function="omnitokenizer_dit",
            help="diffusion on latents of pictures by class, in the paper's size",
        ),
        "omnitokenizer_latte": Entry(
            module="segma.training.recipes.generators",
            function="omnitokenizer_latte",
            help="the same of clips by class",
        ),
        "omnitokenizer_dit_small": Entry(
            module="segma.training.recipes.generators",
            function="omnitokenizer_dit_small",
            help="a small one that makes worlds by a sentence, from nothing and without data",
        ),
        "omnitokenizer_enhance": Entry(
            module="segma.training.recipes.enhance",
            function="omnitokenizer_enhance",
            help="a small network that makes pictures 2 and 4 times larger, from pixels and tokens",
        ),
        FINETUNE: Entry(
            module="segma.training.recipes.finetune",
            function="finetune",
            help="the mask decoder of a model (--model) on your own pictures; what a folder stands for",
        ),
    }
)


def recipe(name: str) -> TrainConfig:
    """The config of a recipe. Raises InputError `input.value`, which names the nearest one."""
    if name not in RECIPES:
        nearest = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.0)[0]
        raise InputError(
            "input.value", f'No recipe "{name}". Nearest: {nearest}.', f"Recipes: {', '.join(RECIPES)}."
        )
    entry = RECIPES[name]
    return getattr(import_module(entry.module), entry.function)()
