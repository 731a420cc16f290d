"""Promptable vision: point at something in an image or a video and get it.

The public names are loaded when they are first used, so `import segma` needs neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segma.api import Model as Model
    from segma.api import load as load
    from segma.api import stream as stream
    from segma.api import track as track
    from segma.errors import SegmaError as SegmaError
    from segma.live_tracker import LiveTracker as LiveTracker
    from segma.masks.mask import CompactMasks as CompactMasks
    from segma.masks.mask import Mask as Mask
    from segma.masks.mask import Masklet as Masklet
    from segma.prompts.types import Box as Box
    from segma.prompts.types import Embedding as Embedding
    from segma.prompts.types import MaskPrompt as MaskPrompt
    from segma.prompts.types import Points as Points
    from segma.prompts.types import PromptSet as PromptSet
    from segma.prompts.types import Text as Text
    from segma.results import CodeGrid as CodeGrid
    from segma.results import MaskRecord as MaskRecord
    from segma.results import Prediction as Prediction
    from segma.results import TrackFrame as TrackFrame
    from segma.results import TrackRecord as TrackRecord
    from segma.runtime import Runtime as Runtime
    from segma.tasks.track_config import TrackConfig as TrackConfig
    from segma.tracker import TrackedObject as TrackedObject
    from segma.tracker import Tracker as Tracker

__version__ = "0.1.0.dev0"

_HOMES = {
    "load": "segma.api",
    "Model": "segma.api",
    "track": "segma.api",
    "stream": "segma.api",
    "Tracker": "segma.tracker",
    "TrackedObject": "segma.tracker",
    "LiveTracker": "segma.live_tracker",
    "TrackConfig": "segma.tasks.track_config",
    "TrackFrame": "segma.results",
    "TrackRecord": "segma.results",
    "Masklet": "segma.masks.mask",
    "SegmaError": "segma.errors",
    "Mask": "segma.masks.mask",
    "CompactMasks": "segma.masks.mask",
    "Points": "segma.prompts.types",
    "Box": "segma.prompts.types",
    "MaskPrompt": "segma.prompts.types",
    "Text": "segma.prompts.types",
    "Embedding": "segma.prompts.types",
    "PromptSet": "segma.prompts.types",
    "CodeGrid": "segma.results",
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
