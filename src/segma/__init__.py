"""Promptable vision: point at something in an image and get its mask.

The public names are loaded when they are first used, so `import segma` needs neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segma.api import Model as Model
    from segma.api import load as load
    from segma.errors import SegmaError as SegmaError
    from segma.masks.mask import CompactMasks as CompactMasks
    from segma.masks.mask import Mask as Mask
    from segma.prompts.types import Box as Box
    from segma.prompts.types import Embedding as Embedding
    from segma.prompts.types import MaskPrompt as MaskPrompt
    from segma.prompts.types import Points as Points
    from segma.prompts.types import PromptSet as PromptSet
    from segma.prompts.types import Text as Text
    from segma.results import MaskRecord as MaskRecord
    from segma.results import Prediction as Prediction
    from segma.runtime import Runtime as Runtime

__version__ = "0.1.0.dev0"

_HOMES = {
    "load": "segma.api",
    "Model": "segma.api",
    "SegmaError": "segma.errors",
    "Mask": "segma.masks.mask",
    "CompactMasks": "segma.masks.mask",
    "Points": "segma.prompts.types",
    "Box": "segma.prompts.types",
    "MaskPrompt": "segma.prompts.types",
    "Text": "segma.prompts.types",
    "Embedding": "segma.prompts.types",
    "PromptSet": "segma.prompts.types",
    "Prediction": "segma.results",
    "MaskRecord": "segma.results",
    "Runtime": "segma.runtime",
}
__all__ = [*_HOMES, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]  # names are in the table once


def __getattr__(name: str) -> Any:  # the type of a public name is that of its home
    if name not in _HOMES:
        raise AttributeError(f"module 'segma' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
