"""What the user says: points, a box, a mask, a sentence, or an embedding; together a `PromptSet`.

Coordinates are pixels of the full image, x first; an integer is the middle of that pixel, for points
and box corners alike. Everything is frozen and checked on construction (PromptError); what only the
image can tell (a click outside it) is checked by `PromptSet.check_inside`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from segma.errors import PromptError
from segma.masks.mask import Mask

FOREGROUND, BACKGROUND = 1, 0


@dataclass(frozen=True, slots=True)
class Points:
    """Clicks: `xy` in image pixels, `labels` 1 (foreground) or 0 (background), one a point."""

    xy: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]

    def __init__(
        self, xy: Iterable[Sequence[float | int]] | ndarray, labels: Iterable[int] | ndarray | None = None
    ) -> None:
        """Labels default to foreground. A single (x, y) counts as one point."""
        array = _floats(xy, "points")
        if array.shape == (2,):
            array = array[None]
        if array.ndim != 2 or array.shape[1] != 2 or not len(array):
            raise PromptError(
                "prompt.shape", f"Points have shape {array.shape}, expected (n, 2): x and y of each."
            )
        marks = np.ones(len(array), int) if labels is None else np.atleast_1d(np.asarray(list(labels)))
        if marks.shape != (len(array),):
            raise PromptError(
                "prompt.shape", f"{len(array)} points but {len(marks)} labels: one label a point."
            )
        if not np.isin(marks, (FOREGROUND, BACKGROUND)).all():
            raise PromptError("prompt.shape", "A point label is 1 (foreground) or 0 (background).")
        object.__setattr__(self, "xy", tuple((float(x), float(y)) for x, y in array))
        object.__setattr__(self, "labels", tuple(int(mark) for mark in marks))

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True, slots=True)
class Box:
    """A box by two corners, x0 <= x1 and y0 <= y1, image pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        corners = _floats(self.xyxy, "box")
        if corners[2] < corners[0] or corners[3] < corners[1]:
            raise PromptError(
                "prompt.shape",
                f"Box {_text(self.xyxy)} is turned: it needs x0 <= x1 and y0 <= y1.",
                "A box is x0,y0,x1,y1: two corners, not width and height.",
            )

    @classmethod
    def of(cls, xyxy: Iterable[float | int] | ndarray) -> Box:
        """A box from any four numbers x0, y0, x1, y1."""
        array = _floats(xyxy, "box")
        if array.shape != (4,):
            raise PromptError("prompt.shape", f"A box has 4 numbers x0, y0, x1, y1; got {array.size}.")
        return cls(*(float(value) for value in array))

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """The four numbers."""
        return (self.x0, self.y0, self.x1, self.y1)


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt:
    """A mask to start from: low-resolution logits (side, side) of the padded model frame, float32.

    Normally the `low_res_logits` of an earlier answer; `tasks.preprocess.mask_prompt` makes one of
    a boolean mask of the image.
    """

    logits: Float[ndarray, "side side"]

    def __post_init__(self) -> None:
        array = np.asarray(self.logits, np.float32)
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not np.isfinite(array).all():
            raise PromptError(
                "prompt.shape",
                f"Mask logits have shape {array.shape}, expected a finite square array (256, 256).",
            )
        object.__setattr__(self, "logits", array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MaskPrompt) and np.array_equal(self.logits, other.logits)


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence."""

    sentence: str

    def __post_init__(self) -> None:
        if not self.sentence.strip():
            raise PromptError("prompt.empty", "The sentence is empty.")


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Vectors (n, dim) that enter the mask decoder as prompt tokens, as if they were clicks.

    This is how a sentence prompts: a language model gives one vector (VideoLISA section 3.2), and the
    decoder sees it beside points and boxes.
    """

    vectors: Float[ndarray, "n dim"]

    def __post_init__(self) -> None:
        array = np.asarray(self.vectors, np.float32)
        array = array[None] if array.ndim == 1 else array
        if array.ndim != 2 or not array.size or not np.isfinite(array).all():
            raise PromptError(
                "prompt.shape", f"An embedding has shape {array.shape}, expected finite (n, dim)."
            )
        object.__setattr__(self, "vectors", array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Embedding) and np.array_equal(self.vectors, other.vectors)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptSet:
    """All that is said about one object in one image."""

    points: Points | None = None
    box: Box | None = None
    mask: MaskPrompt | None = None
    text: Text | None = None
    embedding: Embedding | None = None

    def __post_init__(self) -> None:
        if all(part is None for part in (self.points, self.box, self.mask, self.text, self.embedding)):
            raise PromptError("prompt.empty", "No prompt given.", "Add a point, a box, a mask or a text.")
        alone = self.box is None and self.mask is None and self.text is None and self.embedding is None
        if alone and self.points is not None and FOREGROUND not in self.points.labels:
            raise PromptError(
                "prompt.empty", "There are only exclude points.", "Add one include point or a box."
            )

    @classmethod
    def of(
        cls,
        *,
        points: Iterable[Sequence[float | int]] | ndarray | None = None,
        labels: Iterable[int] | ndarray | None = None,
        box: Iterable[float | int] | ndarray | None = None,
        mask: MaskPrompt | None = None,
        text: str | None = None,
        embedding: Float[ndarray, "n dim"] | None = None,
    ) -> PromptSet:
        """A prompt of plain arguments: `points` (n, 2), `labels` (n), `box` (4), a sentence, vectors."""
        if points is None and labels is not None:
            raise PromptError("prompt.shape", "There are labels but no points.")
        return cls(
            points=None if points is None else Points(points, labels),
            box=None if box is None else Box.of(box),
            mask=mask,
            text=None if text is None else Text(text),
            embedding=None if embedding is None else Embedding(embedding),
        )

    @property
    def num_clicks(self) -> int:
        """Points, and two for a box: what decides between one mask and three (SAM section 5)."""
        return (len(self.points) if self.points else 0) + (2 if self.box else 0)

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is one click alone, which may mean several things (SAM section 5)."""
        return self.num_clicks == 1 and self.mask is None and self.embedding is None

    def check_inside(self, size: tuple[int, int]) -> None:
        """Raise PromptError `prompt.outside` where a point, or all of the box, is outside the image.

        `size` = (height, width); the image reaches from -0.5 to width - 0.5.
        """
        if self.points is not None:
            check_points_inside(self.points, size)
        if self.box is not None:
            check_box_inside(self.box, size)

    def denormalized(self, size: tuple[int, int]) -> PromptSet:
        """Fractions of the picture, 0 its left and top edge, 1 its right and bottom edge, as pixels."""
        height, width = size

        def pixels(x: float, y: float) -> tuple[float, float]:
            return (x * width - 0.5, y * height - 0.5)

        points = self.points and Points([pixels(*xy) for xy in self.points.xy], self.points.labels)
        box = self.box and Box(*pixels(self.box.x0, self.box.y0), *pixels(self.box.x1, self.box.y1))
        return PromptSet(points=points, box=box, mask=self.mask, text=self.text, embedding=self.embedding)


@dataclass(frozen=True, kw_only=True, slots=True)
class FramePrompt:
    """All that a person says about one object on one frame of a video.

    Points and box go together; a `mask` of the frame stands alone. Whether exclude points alone say enough
    depends on what is known of the frame, so the session decides.
    """

    points: Points | None = None
    box: Box | None = None
    mask: Mask | None = None

    def __post_init__(self) -> None:
        if self.points is None and self.box is None and self.mask is None:
            raise PromptError("prompt.empty", "No prompt given.", "Add a point, a box or a mask.")
        if self.mask is not None and (self.points is not None or self.box is not None):
            raise PromptError("prompt.shape", "A mask comes alone: clicks and boxes are other prompts.")

    @property
    def says_where(self) -> bool:
        """Whether something is included, so that the prompt stands without an earlier mask."""
        included = self.points is not None and FOREGROUND in self.points.labels
        return self.box is not None or self.mask is not None or included

    def check_inside(self, size: tuple[int, int]) -> None:
        """Raise PromptError where a part does not belong on a frame of `size` = (height, width)."""
        if self.mask is not None and self.mask.size != size:
            found = f"{self.mask.size[1]}x{self.mask.size[0]}"
            raise PromptError("prompt.shape", f"The mask is {found}, the video {size[1]}x{size[0]}.")
        if self.points is not None:
            check_points_inside(self.points, size)
        if self.box is not None:
            check_box_inside(self.box, size)


def check_points_inside(points: Points, size: tuple[int, int]) -> None:
    """Raise PromptError `prompt.outside` for a point outside an image of `size` = (height, width)."""
    height, width = size
    for x, y in points.xy:
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise PromptError(
                "prompt.outside",
                f"Point {_text((x, y))} is outside the image ({width}x{height}).",
                "Coordinates are pixels, x first.",
            )


def check_box_inside(box: Box, size: tuple[int, int]) -> None:
    """Raise PromptError `prompt.outside` for a box all of which is outside the image."""
    height, width = size
    x0, y0, x1, y1 = box.xyxy
    if x1 < -0.5 or y1 < -0.5 or x0 > width - 0.5 or y0 > height - 0.5:
        raise PromptError(
            "prompt.outside",
            f"Box {_text(box.xyxy)} is outside the image ({width}x{height}).",
            "Coordinates are pixels, x first.",
        )


def _floats(values: Iterable[object] | ndarray, what: str) -> Float[ndarray, ...]:
    """Finite float64 numbers of anything array-like, or PromptError."""
    try:
        array = np.asarray(values if isinstance(values, ndarray) else list(values), np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError("prompt.shape", f"The {what} are no numbers.") from error
    if not np.isfinite(array).all():
        raise PromptError("prompt.shape", f"The {what} hold values that are not finite.")
    return array


def _text(numbers: tuple[float, ...]) -> str:
    """(12, 30.5) for people."""
    return "(" + ", ".join(f"{v:.10g}" if math.isfinite(v) else str(v) for v in numbers) + ")"
