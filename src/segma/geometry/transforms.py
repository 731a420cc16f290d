"""Between image pixels and model pixels, with exact inverses. Pure numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Transform:
    """How an image of `image_size` came to lie in the model's square of `model_size` pixels.

    It was resized to `input_size` and lies top left; the rest of the square is padding, of which a
    `stretched` one has none. Sizes are (height, width).
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    model_size: int
    stretched: bool = False

    @classmethod
    def pad(cls, image_size: tuple[int, int], model_size: int) -> Transform:
        """Longest side to `model_size`, aspect ratio kept up to rounding (SAM's ResizeLongestSide)."""
        scale = model_size / max(image_size)
        height, width = (max(1, math.floor(side * scale + 0.5)) for side in image_size)
        return cls(image_size=image_size, input_size=(height, width), model_size=model_size)

    @classmethod
    def stretch(cls, image_size: tuple[int, int], model_size: int) -> Transform:
        """Both sides to `model_size`, aspect ratio lost (SAM 2)."""
        square = (model_size, model_size)
        return cls(image_size=image_size, input_size=square, model_size=model_size, stretched=True)

    @property
    def scale(self) -> Float[ndarray, " 2"]:
        """Model pixels per image pixel, x then y: the two rounded ratios, float64."""
        return np.array([self.input_size[1] / self.image_size[1], self.input_size[0] / self.image_size[0]])

    def to_model(self, xy: Float[ndarray, "*n 2"]) -> Float[ndarray, "*n 2"]:
        """Image coordinates in the model's frame, float64."""
        return np.asarray(xy, np.float64) * self.scale

    def to_image(self, xy: Float[ndarray, "*n 2"]) -> Float[ndarray, "*n 2"]:
        """The inverse of `to_model`."""
        return np.asarray(xy, np.float64) / self.scale
