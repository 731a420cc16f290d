"""What `tasks.enhance` needs of a network that makes pictures larger; see `models.interfaces`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhanceSpec:
    """What an enhancer gives: pictures `scales` times larger, from pixels and latents of `channels`.

    `channels` is 0 where it looks at pixels alone; a token stands for `patch` pixels squared. A pixel depends
    on pixels, and on what latents say of pixels, at most `reach` away. `tokenizer` is the hash of the weights
    whose latents were learned; "" where that is not known.
    """

    scales: tuple[int, ...]
    channels: int = 0
    patch: int = 8
    reach: int
    tokenizer: str = ""


@runtime_checkable
class Enhances(Protocol):
    """A network that makes pictures larger: what `tasks.enhance` needs. Pixels are value / 255 - 0.5."""

    @property
    def enhance_spec(self) -> EnhanceSpec:
        """What it takes and gives."""
        ...

    def __call__(
        self,
        pixels: Float[Tensor, "batch 3 h w"],
        latents: Float[Tensor, "batch rows columns channels"] | None,
        scale: int,
    ) -> Float[Tensor, "batch 3 large_h large_w"]:
        """The enlarged pixels, not clamped; the latents (None without tokens) begin where the pixels do."""
        ...
