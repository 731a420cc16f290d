"""A small network on labelled pictures, from nothing."""

from __future__ import annotations

from segma.training.config import TrainConfig


def sam2_conv_images() -> TrainConfig:
    """The convolutional SAM 2 on pictures of many sources at 256 px: clicks, boxes, three candidates.

    The memory is not trained: `recipes.clips` goes on from the weights.
    """
    return TrainConfig(name="sam2_conv_images")
