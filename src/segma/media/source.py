"""Where frames come from: a video file, a folder of pictures, an array, a camera.

Frames count from 0 in display order, whether or not they can be decoded; a frame that cannot be is left out
of an iteration, and nothing after it is renumbered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from numpy import ndarray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One frame: RGB, upright. `time` is its own timestamp, seconds from the first frame."""

    index: int
    time: float
    pixels: UInt8[ndarray, "height width 3"]


@runtime_checkable
class FrameSource(Protocol):
    """Anything with frames. `num_frames` is None where it is not known or there is no end (a camera).

    `size` = (height, width) of the upright picture. Sources are used by one thread at a time.
    """

    @property
    def name(self) -> str:
        """What messages call it: the file's name, or the address."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        ...

    @property
    def num_frames(self) -> int | None:
        """How many frames, or None."""
        ...

    @property
    def fps(self) -> float | None:
        """Frames a second on average, or None."""
        ...

    @property
    def can_seek(self) -> bool:
        """Whether `read` and frames in reverse are possible; a camera or standard input gives each once."""
        ...

    def time_of(self, index: int) -> float:
        """Seconds of a frame. Raises InputError `input.frame_range`."""
        ...

    def read(self, index: int) -> Frame:
        """One frame, exactly. Raises InputError `input.frame_range`, `input.frame_broken`."""
        ...

    def frames(self, first: int = 0, last: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Frames `first` to `last` (inclusive; None = to the end), decoded as they are asked for.

        In reverse they come from `last` down to `first`. Frames that do not decode are left out.
        """
        ...

    def close(self) -> None:
        """Let go of the file or device."""
        ...
