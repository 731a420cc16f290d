"""Where frames come from: a video file, a folder of pictures, an array, a camera.

Frames count from 0 in display order, whether or not they can be decoded; a frame that cannot be is left out
of an iteration, and nothing after it is renumbered.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import InputError
from segma.media.arrays import Tensor
from segma.media.image import MAX_PIXELS, SUFFIXES, list_images, picture_size, read_image

DEFAULT_FPS = 24
"""Frames a second of pictures and arrays, where nothing is said."""

_log = logging.getLogger(__name__)


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


def check_range(name: str, index: int, num_frames: int) -> None:
    """Raises InputError `input.frame_range` where there is no such frame."""
    if not 0 <= index < num_frames:
        has = f"frames 0 to {num_frames - 1}" if num_frames else "no frames"
        raise InputError("input.frame_range", f"Frame {index} does not exist: {name} has {has}.")


def span(name: str, first: int, last: int | None, num_frames: int) -> tuple[int, int]:
    """First and last frame (inclusive) of a range. Raises InputError `input.frame_range`."""
    check_range(name, first, num_frames)
    if last is None:
        return first, num_frames - 1
    check_range(name, last, num_frames)
    return first, last


class ArraySource:
    """Frames in memory: an array or tensor of all frames, or a list of arrays, tensors or Pillow images.

    An array is (frames, height, width, 3), or what `image.read_image` takes, stacked; it is not copied.
    Raises InputError `input.array` where frames differ in size or there are none.
    """

    can_seek = True

    def __init__(self, frames: object, *, fps: float | int = DEFAULT_FPS, name: str = "array") -> None:
        self.name = name
        self.fps: float = _positive(fps)
        items = (
            frames if _is_stack(frames) else [read_image(item) for item in cast("Iterable[object]", frames)]
        )
        self._frames = cast("Sequence[object]", items)
        self.num_frames = len(self._frames)
        if not self.num_frames:
            raise InputError("input.array", f"The {name} has no frames.")
        height, width = self._pixels(0).shape[:2]
        self.size = height, width
        if not _is_stack(items):
            for index in range(self.num_frames):
                self._pixels(index)

    def time_of(self, index: int) -> float:
        """Seconds of a frame. Raises InputError `input.frame_range`."""
        check_range(self.name, index, self.num_frames)
        return index / self.fps

    def read(self, index: int) -> Frame:
        """One frame. Raises InputError `input.frame_range`."""
        return Frame(time=self.time_of(index), index=index, pixels=self._pixels(index))

    def frames(self, first: int = 0, last: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Frames `first` to `last` (inclusive; None = to the end). Raises InputError `input.frame_range`."""
        first, last = span(self.name, first, last, self.num_frames)
        order = range(first, last + 1)
        return (self.read(index) for index in (reversed(order) if reverse else order))

    def close(self) -> None:
        """Nothing to let go of."""

    def _pixels(self, index: int) -> UInt8[ndarray, "height width 3"]:
        pixels = read_image(self._frames[index])
        if index and pixels.shape[:2] != self.size:
            height, width = pixels.shape[:2]
            raise InputError(
                "input.array",
                f"Frame {index} of the {self.name} is {width}x{height}, the first is "
                f"{self.size[1]}x{self.size[0]}.",
                "All frames of a video have one size.",
            )
        return pixels


class FolderSource:
    """The pictures of a folder, glob or list as frames, in the order people count (2 before 10).

    All must be of one size. A picture that cannot be read is a broken frame: said once, and left out.
    Raises InputError `input.not_found`, `input.unreadable`, `input.array`.
    """

    can_seek = True

    def __init__(self, source: str | Path | Sequence[str | Path], *, fps: float | int = DEFAULT_FPS) -> None:
        many = not isinstance(source, str | Path)
        self.paths = [Path(path) for path in source] if many else list_images(source)
        """The picture of each frame."""
        self.name = "list of pictures" if many else (Path(source).name or str(source))
        self.fps: float = _positive(fps)
        self.num_frames = len(self.paths)
        self._broken: set[int] = set()
        self.size = self._first_size()
        self._check_sizes()

    @property
    def frame_names(self) -> tuple[str, ...]:
        """The file names of all frames, without suffix."""
        return tuple(path.stem for path in self.paths)

    @property
    def broken(self) -> tuple[int, ...]:
        """The frames that were found unreadable, so far."""
        return tuple(sorted(self._broken))

    def time_of(self, index: int) -> float:
        """Seconds of a frame. Raises InputError `input.frame_range`."""
        check_range(self.name, index, self.num_frames)
        return index / self.fps

    def read(self, index: int) -> Frame:
        """One frame. Raises InputError `input.frame_range`, `input.frame_broken`, `input.array`."""
        time = self.time_of(index)
        try:
            pixels = read_image(self.paths[index])
        except InputError as error:
            self._note(index, error)
            raise InputError(
                "input.frame_broken",
                f"Frame {index} of {self.name} cannot be read. {error.message}",
                error.hint,
            ) from error
        height, width = pixels.shape[:2]
        self._check_size(index, (height, width))
        return Frame(time=time, index=index, pixels=pixels)

    def frames(self, first: int = 0, last: int | None = None, *, reverse: bool = False) -> Iterator[Frame]:
        """Frames `first` to `last` (inclusive; None = to the end), without those that cannot be read.

        Raises InputError `input.frame_range`, `input.array`.
        """
        first, last = span(self.name, first, last, self.num_frames)
        order = range(first, last + 1)
        return self._readable(reversed(order) if reverse else order)

    def close(self) -> None:
        """Nothing to let go of."""

    def _readable(self, order: Iterable[int]) -> Iterator[Frame]:
        for index in order:
            try:
                yield self.read(index)
            except InputError as error:
                if error.code != "input.frame_broken":
                    raise

    def _first_size(self) -> tuple[int, int]:
        """The upright size of the first picture that can be read."""
        if not self.paths:
            raise InputError("input.not_found", "The list of pictures is empty.")
        first: InputError | None = None
        for index, path in enumerate(self.paths):
            try:
                height, width = read_image(path).shape[:2]
                return height, width
            except InputError as error:
                self._note(index, error)
                first = first or error
        assert first is not None
        raise first

    def _check_sizes(self) -> None:
        """Look at all headers, so that a picture of another size is named before any work is done."""
        for index, path in enumerate(self.paths):
            try:
                height, width = picture_size(path)
            except InputError as error:
                self._note(index, error)
                continue
            # before turning: upright it may be the other way round, which reading it will tell
            if {height, width} != set(self.size):
                self._check_size(index, (height, width))

    def _check_size(self, index: int, size: tuple[int, int]) -> None:
        if size != self.size:
            raise InputError(
                "input.array",
                f"{self.paths[index].name} is {size[1]}x{size[0]}, the pictures before it "
                f"{self.size[1]}x{self.size[0]}.",
                "All frames of a video have one size.",
            )

    def _note(self, index: int, error: InputError) -> None:
        if index not in self._broken:
            self._broken.add(index)
            _log.warning("%s: frame %d left out. %s", self.name, index, error.message)


def open_source(
    source: object,
    *,
    fps: float | int | None = None,
    allow_network: bool = False,
    reconnect_seconds: float | int = 0,
    max_pixels: int = MAX_PIXELS,
) -> FrameSource:
    """Whatever has frames, as a FrameSource.

    `source` is a video file, a folder or glob of pictures, one picture, a list of paths, arrays, tensors or
    Pillow images, an array or tensor of frames, the bytes of a video, an open binary file (one that cannot
    seek is read as a stream), "cam:0" or a video device, an rtsp or http address (with `allow_network`), or
    a FrameSource, which comes back as it is. `fps` is that of pictures and arrays (else 24). A camera or
    address that goes away is tried again for `reconnect_seconds`. Raises InputError.
    """
    rate = DEFAULT_FPS if fps is None else fps
    if _is_source(source):
        return cast("FrameSource", source)
    if isinstance(source, ndarray | Tensor):
        return ArraySource(cast("object", source), fps=rate)
    if isinstance(source, list | tuple):
        items = cast("Sequence[object]", source)
        if items and all(isinstance(item, str | Path) for item in items):
            return FolderSource(cast("Sequence[str | Path]", items), fps=rate)
        return ArraySource(items, fps=rate, name="list")
    if isinstance(source, str | Path):
        return _open_named(source, rate, allow_network, reconnect_seconds, max_pixels)
    from segma.media.container import ByteFile, ByteStream
    from segma.media.live import pipe
    from segma.media.video import VideoFile

    if isinstance(source, bytes | bytearray):
        return VideoFile(bytes(source), max_pixels=max_pixels)
    if not isinstance(source, ByteStream):
        raise InputError(
            "input.array",
            f"A video cannot be a {type(source).__name__}.",
            "Give a path, a folder, bytes, a binary file, an array of frames, a camera or an address.",
        )
    if isinstance(source, io.TextIOBase):
        raise InputError("input.unreadable", "The file object is open as text.", 'Open it with mode "rb".')
    seekable = getattr(source, "seekable", None)
    if isinstance(source, ByteFile) and callable(seekable) and seekable():
        return VideoFile(source, max_pixels=max_pixels)
    return pipe(source, max_pixels=max_pixels)


def _open_named(
    source: str | Path, fps: float | int, allow_network: bool, reconnect_seconds: float | int, max_pixels: int
) -> FrameSource:
    """What a path or address names."""
    from segma.media.live import camera, device_of, named_pipe, network_stream
    from segma.media.video import VideoFile

    path = Path(source)
    if isinstance(source, str) and "://" in source:
        return network_stream(
            source, allow_network=allow_network, reconnect_seconds=reconnect_seconds, max_pixels=max_pixels
        )
    if device_of(str(source)) is not None:
        return camera(str(source), reconnect_seconds=reconnect_seconds, max_pixels=max_pixels)
    if path.is_fifo():
        return named_pipe(path, max_pixels=max_pixels)
    is_picture = path.suffix.lower() in set(SUFFIXES) - {".gif", ".apng"}
    if path.is_dir() or is_picture or (has_magic(str(source)) and not path.exists()):
        return FolderSource(source, fps=fps)
    return VideoFile(path, max_pixels=max_pixels)


def _is_source(value: object) -> bool:
    """Whether a value has all of FrameSource, asked of its class: asking the value would count its frames."""
    kind, wanted = type(value), ("read", "frames", "time_of", "close")
    return all(callable(getattr(kind, name, None)) for name in wanted)


def _is_stack(frames: object) -> bool:
    """Whether all frames are one array or tensor."""
    if not isinstance(frames, ndarray | Tensor):
        return False
    shape = tuple(int(length) for length in cast("ndarray", frames).shape)
    if len(shape) != 4:
        raise InputError(
            "input.array",
            f"The frames have shape {shape}, expected (frames, height, width, 3).",
            "One picture alone is given as array[None].",
        )
    return True


def _positive(fps: float | int) -> float:
    if not 0 < fps < float("inf"):
        raise InputError("input.value", f"{fps} frames a second make no video.", "Give a number above 0.")
    return float(fps)
