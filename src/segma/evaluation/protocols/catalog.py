"""The protocols by name. Imports nothing; a protocol is imported when it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal

from segma.errors import InputError

_HERE = "segma.evaluation.protocols"


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """One protocol: a module with `run(network, samples, config, *, runtime, on_progress) -> Report`."""

    module: str
    config: str
    holds: Literal["images", "videos", "pixels"]
    help: str


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "clicks": Protocol(
            module=f"{_HERE}.clicks",
            config="ClicksConfig",
            holds="images",
            help="IoU after 1, 3 and 5 clicks and from a box, clicks to 85 and 90 %, boundary F, calibration",
        ),
        "boxes": Protocol(
            module=f"{_HERE}.boxes",
            config="BoxesConfig",
            holds="images",
            help="IoU from a tight box, from one that is off, and with the first answer fed back",
        ),
        "video": Protocol(
            module=f"{_HERE}.video",
            config="VideoConfig",
            holds="videos",
            help="J, F and J&F from the first frame's mask and from clicks on it",
        ),
        "everything": Protocol(
            module=f"{_HERE}.everything",
            config="RecallConfig",
            holds="images",
            help="recall of everything mode with a limited number of masks",
        ),
        "tokens": Protocol(
            module=f"{_HERE}.tokens",
            config="TokensConfig",
            holds="pixels",
            help="PSNR and SSIM of codes and latents beside k-means, WebP, H.264 and PCA at the same rate",
        ),
    }
)


def protocol(name: str) -> Any:  # a module, see Protocol
    """The module of a protocol. Raises InputError `input.value`."""
    row = PROTOCOLS.get(name)
    if row is None:
        raise InputError(
            "input.value", f'There is no protocol "{name}".', f"Protocols: {', '.join(PROTOCOLS)}."
        )
    return import_module(row.module)
