"""A photo encoded and clicked on, by SAM or by SAM 2."""

from __future__ import annotations

from numpy import ndarray
from programs import lively, ours
from programs.turns import Task

from segma.models.sam.config import VARIANTS
from segma.prompts.types import Points, PromptSet
from segma.runtime import Precision
from segma.tasks.segment import ImageSession, encode


def photo(variant: str, precision: Precision, image: ndarray) -> dict[str, Task]:
    """The photo from the RGB array to its features; and a click on it, the whole answer."""
    made = ours.network_of if variant in VARIANTS else lively.network_of
    network, runtime = made(variant, precision)
    click = PromptSet(points=Points([(0.28 * image.shape[1], 0.31 * image.shape[0])]))
    sessions: list[ImageSession] = []

    def clicked() -> int:
        if not sessions:
            sessions.append(ImageSession(network, image, runtime))
        return int(sessions[0].predict([click]).masks.areas[0])

    return {
        "encode": Task(run=lambda: encode(network, image, runtime), summary=lambda _: None),
        "click": Task(run=clicked, summary=lambda area: area),
    }
