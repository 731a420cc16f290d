"""Pictures and clips made larger: a network on pixels and on the latents of a tokenizer, tile by tile.

The latents are those of the whole picture; tiles of the network overlap by as much as it looks around itself,
so that a picture in tiles is the picture done at once. What is held beside the result is one tile. A clip
goes through frame by frame, each as a picture of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from segma.errors import Cancelled, InputError, ModelError
from segma.media.image import MAX_PIXELS
from segma.models.enhancing import Enhances
from segma.models.interfaces import VisualTokenizer
from segma.runtime import Runtime, memory_errors
from segma.tasks import tokenize
from segma.tasks.tokenize_tiles import Tile, tiles_of

Picture = UInt8[ndarray, "height width 3"]
Larger = UInt8[ndarray, "large_h large_w 3"]
Progress = Callable[[int, int | None], None]

TILE_PIXELS = 256
"""Side of a tile of the small picture, of which the network holds a few dozen maps."""

# Of the tokenizer, whose maps are those of a whole tile; a margin of 128 leaves latents as they were.
_LATENT_TILES = tokenize.TokenizeConfig(tile_pixels=512)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Enhancement:
    """An enhancer with the tokenizer whose latents it looks at, and how many times larger pictures get.

    `weights` is the hash of the tokenizer's, "" where that is not known. Raises InputError input.value for a
    scale that the network does not have, ModelError model.task where the two do not fit each other.
    """

    network: Enhances
    tokenizer: VisualTokenizer | None
    scale: int
    runtime: Runtime
    tile_pixels: int = TILE_PIXELS
    weights: str = ""

    def __post_init__(self) -> None:
        """Check scale and tokenizer."""
        spec = self.network.enhance_spec
        if self.scale not in spec.scales:
            known = " or ".join(str(each) for each in spec.scales)
            raise InputError(
                "input.value", f"Pictures cannot be made {self.scale} times larger.", f"{known}."
            )
        if self.tile_pixels < 1:
            raise InputError("input.value", f"Tiles of {self.tile_pixels} pixels.")
        if not spec.channels:
            return
        codes = None if self.tokenizer is None else self.tokenizer.code_spec
        if codes is None or (codes.channels, codes.patch) != (spec.channels, spec.patch):
            has = "no tokenizer" if codes is None else f"latents of {codes.channels} channels"
            raise ModelError(
                "model.task", f"The enhancer knows latents of {spec.channels} channels, here: {has}."
            )
        if self.weights and spec.tokenizer not in ("", self.weights):
            _log.warning("the enhancer has learned the latents of another tokenizer")

    def picture(
        self,
        pixels: Picture,
        on_progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Larger:
        """The picture, larger. `on_progress(tiles done, all tiles)`.

        Raises InputError input.too_large, MemoryLimitError, and Cancelled once `cancel` is set.
        """
        size = self.size_of(pixels.shape[:2])
        made, cell = np.empty((*size, 3), np.uint8), self.network.enhance_spec.patch
        rows, columns = (-(-side // cell) for side in pixels.shape[:2])
        with memory_errors(), torch.inference_mode():
            latents = self._latents(pixels)
            reach = self.network.enhance_spec.reach + (cell if latents is not None else 0)
            side, margin = max(1, self.tile_pixels // cell), -(-reach // cell)
            tiles = tiles_of((rows, columns), side=side, margin=margin, step=1)
            for done, tile in enumerate(tiles, 1):
                if cancel is not None and cancel.is_set():
                    raise Cancelled
                self._paint(made, tile, pixels, latents)
                if on_progress is not None:
                    on_progress(done, len(tiles))
        return made

    def frames(self, frames: Iterable[Picture], cancel: threading.Event | None = None) -> Iterator[Larger]:
        """The frames of a clip, larger, one after the other. Raises as `picture`."""
        for frame in frames:
            yield self.picture(frame, cancel=cancel)

    def size_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what a picture of that size becomes. Raises InputError input.too_large."""
        height, width = (side * self.scale for side in size)
        if height * width > MAX_PIXELS:
            raise InputError(
                "input.too_large",
                f"{size[1]}x{size[0]} pixels would become {width}x{height}, over {MAX_PIXELS:,} pixels.",
                "Take a smaller --scale, or a part of the picture.",
            )
        return height, width

    def _latents(self, pixels: Picture) -> Float[Tensor, "1 rows columns channels"] | None:
        """Those of the whole picture, with what is padded to whole windows."""
        if not self.network.enhance_spec.channels or self.tokenizer is None:
            return None
        header = tokenize.header_for(self.tokenizer, pixels.shape[:2], latents=True)
        (group,) = tokenize.encode_groups(
            self.tokenizer, [pixels], header, runtime=self.runtime, config=_LATENT_TILES
        )
        return torch.from_numpy(group.values)[None]  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped

    def _paint(self, made: Larger, tile: Tile, small: Picture, latents: Tensor | None) -> None:
        """Put one tile where it belongs."""
        cell, device = self.network.enhance_spec.patch, self.runtime.torch_device
        rows, columns = (slice(each.start * cell, each.stop * cell) for each in tile.seen)
        seen = torch.from_numpy(np.ascontiguousarray(small[rows, columns]))  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        pixels = seen.to(device).permute(2, 0, 1)[None].float() / 255 - 0.5  # channels last in memory
        known = None if latents is None else latents[:, *tile.seen].to(device)
        found = self.network(pixels, known, self.scale)[0]
        large = cell * self.scale
        inner, core = (
            [slice(each.start * large, each.stop * large) for each in pair]
            for pair in (tile.inner, tile.core)
        )
        part = ((found[:, *inner] + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        room = made[*core]
        room[:] = part.permute(1, 2, 0).cpu().numpy()[: room.shape[0], : room.shape[1]]
