"""Which tokenizer belongs to a generator that does not say."""

from __future__ import annotations

from segma.checkpoints.load import LoadedModel, load, load_inside
from segma.errors import ModelError
from segma.models.interfaces import GeneratorSpec
from segma.models.omnitokenizer.gpt_layout import TOKENIZER_PREFIX
from segma.runtime import Runtime

USUAL = "tokenizer"
"""Gives codes and latents."""


def tokenizer_for(generator: LoadedModel, spec: GeneratorSpec, runtime: Runtime) -> LoadedModel:
    """The one in the generator's own file, if there is one; else the usual one.

    Raises ModelError, and what `load` raises.
    """
    if generator.files and spec.num_codes:
        try:
            return load_inside(generator.files[0], TOKENIZER_PREFIX, runtime)
        except ModelError as error:
            if error.code != "model.unreadable":
                raise
    return load(USUAL, runtime)
