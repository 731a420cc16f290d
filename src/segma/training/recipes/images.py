"""A small network on labelled pictures, from nothing."""

from __future__ import annotations

from segma.training.config import TrainConfig

EVERYDAY = (
    "coco=3", "coco_person=3", "coco_street=3", "pascal10_coseg=3", "animals_endangered=3", "pelota=3",
    "ccp=1.5", "pets128=1.5", "pets_few=1.5", "feral_cats=1.5", "pug=1.5", "mugs=1.5", "bottles=1.5",
    "banana=1.5", "fruit_yolo=1.5", "sandwich=1.5", "occluded_human=1.5", "vehicles_rgc=1.5", "class5=1.5",
)  # fmt: skip
"""Sources with photos of whole things, as people take them: nearly half of all pictures then are of these.

Most others show one thing of a trade: teeth, cracks, cells.
"""


def sam2_conv_images() -> TrainConfig:
    """The convolutional SAM 2 on pictures of many sources at 256 px: clicks, boxes, three candidates.

    The memory is not trained: `recipes.clips` goes on from the weights.
    """
    return TrainConfig(name="sam2_conv_images", mix=EVERYDAY)
