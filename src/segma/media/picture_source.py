"""Frames of a data set's video: a picture file for each, or stretches of one file (a tar)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from segma.errors import InputError
from segma.media.image import read_picture
from segma.media.source import DEFAULT_FPS, Frame, check_range, span
from segma.samples import PictureFile


class PictureSource:
    """A FrameSource over `pictures`, each read when it is asked for.

    `size` = (height, width) is what the annotation says. A picture that is broken or of another size raises
    InputError `input.frame_broken`, because a frame that is left out would shift no number but lose a score.
    """

    can_seek = True

    def __init__(
        self,
        pictures: Sequence[PictureFile],
        size: tuple[int, int],
        *,
        fps: float | int | None = None,
        name: str = "video",
    ) -> None:
        self.pictures = tuple(pictures)
        self.size = size
        self.fps: float = float(fps or DEFAULT_FPS)
        self.name = name
        self.num_frames = len(self.pictures)

    def time_of(self, index: int) -> float:
        """Seconds of a frame. Raises InputError `input.frame_range`."""
        check_range(self.name, index, self.num_frames)
        return index / self.fps

    def read(self, index: int) -> Frame:
        """One frame. Raises InputError `input.frame_range`, `input.frame_broken`."""
        time = self.time_of(index)
        try:
            pixels = read_picture(self.pictures[index])
        except InputError as error:
            raise InputError(
                "input.frame_broken", f"Frame {index} of {self.name}: {error.message}", error.hint
            ) from error
        if pixels.shape[:2] != self.size:
            found, said = f"{pixels.shape[1]}x{pixels.shape[0]}", f"{self.size[1]}x{self.size[0]}"
            raise InputError(
                "input.frame_broken", f"Frame {index} of {self.name} is {found}, its masks are {said}."
            )
        return Frame(index=index, time=time, pixels=pixels)

    def frames(self, first: int = 0, last: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Frames `first` to `last` (inclusive; None = to the end), or the other way round."""
        low, high = span(self.name, first, last, self.num_frames)
        order = range(high, low - 1, -1) if reverse else range(low, high + 1)
        return (self.read(index) for index in order)

    def close(self) -> None:
        """Nothing is held."""
