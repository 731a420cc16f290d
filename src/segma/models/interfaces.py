"""What tasks need of a model: protocols, and the input a model wants. Tensors in, tensors out.

A model never inherits from anything here; having the methods is enough. Coordinates are in the model's
input frame (pixels of the square input), after `tasks.preprocess` has scaled them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """The picture a model takes: a square of `size` pixels.

    `fit`: "pad" keeps the aspect ratio and pads right and bottom after normalising (SAM), "stretch"
    does not (SAM 2). `mean` and `std` are per channel on 0..255. `mask_size` is the side of the logits.
    """

    size: int
    mask_size: int
    fit: Literal["pad", "stretch"]
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class PromptTensors:
    """Prompts of a batch, in the input frame. `labels`: 1, 0, -1 padding, 2 and 3 box corners.

    `boxes` are separate where the model wants them so. Any part may be None.
    """

    coords: Float[Tensor, "batch points 2"] | None = None
    labels: Int[Tensor, "batch points"] | None = None
    boxes: Float[Tensor, "batch 4"] | None = None
    mask_logits: Float[Tensor, "batch 1 side side"] | None = None
    embeddings: Float[Tensor, "batch tokens dim"] | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder knows before it draws a mask: a quality for each of its masks, cheaply.

    `state` is the model's own, and only `render_masks` reads it.
    """

    predicted_iou: Float[Tensor, "batch masks"]
    state: Any  # each model's own tensors


@runtime_checkable
class Promptable(Protocol):
    """Encode an image once, then decode masks for many prompts.

    Masks are numbered as the model numbers them: 0 the single one, 1..3 the ambiguous set.
    """

    input_spec: InputSpec
    mask_threshold: float
    low_precision: tuple[str, ...]
    """Submodules whose linear layers and convolutions may run in bfloat16 or float16."""

    def encode_image(self, pixels: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch dim h w"]:
        """The image embedding of normalised, padded pixels."""
        ...

    def share(self, embedding: Float[Tensor, "1 dim h w"]) -> Any:  # each model's own tensors
        """What the decoder needs of an image whatever the prompt is: made once, passed to `decode`."""
        ...

    def decode(
        self,
        embedding: Float[Tensor, "1 dim h w"],
        prompts: PromptTensors,
        shared: Any = None,  # what `share` gave
    ) -> Decoded:
        """Qualities of all masks for all prompts on one image; no mask is drawn yet."""
        ...

    def render_masks(
        self, decoded: Decoded, prompt_index: Int[Tensor, " k"], mask_index: Int[Tensor, " k"]
    ) -> Float[Tensor, "k side side"]:
        """Low-resolution logits, float32, of the (prompt, mask) pairs asked for."""
        ...
