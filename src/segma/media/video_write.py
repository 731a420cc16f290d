"""Writing video: frames with their own times go in, one file or folder comes out, whole or not at all.

The first frame written is at time 0 of the file, the others keep their distance to it in ticks of the
source's time base (WebM counts milliseconds). Sound is copied for the same stretch of time.
"""

from __future__ import annotations

import csv
import io
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import InputError
from segma.media.colour import BT709, ColourTags
from segma.media.files import check_free, check_room, explained_errors, new_file, new_folder
from segma.media.provenance import Mark, marked_png
from segma.media.source import FrameSource
from segma.media.video import VideoFile
from segma.media.video_encode import VideoEncoder
from segma.media.video_kinds import kind_of

_FINE_TICKS = 90_000
_MOST_TICKS = 2**31 - 1  # what MP4 can say
_PNG_LEVEL = 3  # zlib's: a third larger than the smallest, several times as fast


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How a source counts time; `average_rate` is a hint only, frames have their own times.

    `start` is the source file's own timestamp of its frame 0 in seconds (None: where its video begins), by
    which sound finds its place; `num_frames`, where it is known, is used to ask for room on the disk.
    """

    time_base: Fraction = Fraction(1, _FINE_TICKS)
    average_rate: Fraction | None = None
    start: Fraction | None = None
    num_frames: int | None = None

    def __post_init__(self) -> None:
        base = self.time_base
        if base <= 0 or base.denominator > _MOST_TICKS or base.numerator > _MOST_TICKS:
            raise InputError("input.value", f"A time base of {base} seconds cannot be written.")

    @classmethod
    def of_rate(cls, fps: float | int | None, *, num_frames: int | None = None) -> Timing:
        """For a source that has no time base: even frames and uneven ones fall on ticks of about 1/90000 s.

        >>> Timing.of_rate(29.97002997).time_base
        Fraction(1, 90000)
        """
        if not fps or not 0 < fps < _MOST_TICKS:
            return cls(num_frames=num_frames)
        rate = Fraction(fps).limit_denominator(1001)
        rate = rate if rate > 0 else Fraction(1, 1001)
        ticks = rate.numerator * -(-_FINE_TICKS // rate.numerator)
        return cls(time_base=Fraction(1, ticks), average_rate=rate, num_frames=num_frames)


def writer_like(
    source: FrameSource,
    path: str | Path,
    *,
    kind: str,
    first: int = 0,
    last: int | None = None,
    scale: int = 1,
    overwrite: bool = False,
    mark: Mark | None = None,
) -> VideoWriter:
    """A writer for frames `first` to `last` of a source, with its times, colours, pixel shape and sound.

    Frames are `scale` times as large as the source's.
    Raises InputError `input.exists` where the output is the source itself, and as `VideoWriter`.
    """
    end = source.num_frames if last is None else last + 1
    num_frames = None if end is None else max(1, end - first)
    size = (scale * source.size[0], scale * source.size[1])
    if not isinstance(source, VideoFile):
        timing = Timing.of_rate(source.fps, num_frames=num_frames)
        return VideoWriter(path, size, kind=kind, timing=timing, overwrite=overwrite, mark=mark)
    if source.path is not None and _is_same(source.path, Path(path)):
        raise InputError(
            "input.exists", f"{source.name} is the source of this video.", "Give the output another name."
        )
    timing = Timing(
        time_base=source.time_base,
        average_rate=source.average_rate,
        start=int(source.index.pts[0]) * source.time_base,
        num_frames=num_frames,
    )
    aspect = source.sample_aspect or Fraction(1)
    return VideoWriter(
        path,
        size,
        kind=kind,
        timing=timing,
        audio_from=source.path if source.has_audio else None,
        colour=source.colour,
        pixel_aspect=1 / aspect if source.rotation % 180 else aspect,
        overwrite=overwrite,
        mark=mark,
    )


def _is_same(source: Path, output: Path) -> bool:
    return output.exists() and source.exists() and output.samefile(source)


class VideoWriter:
    """A context manager that writes RGB or RGBA frames as one of `video_kinds.KINDS`.

    `size` = (height, width); `colour` are the tags to write and to compute with (default bt709);
    `pixel_aspect` is how wide a pixel is for its height; `mark` says what made the frames. Where the block is
    left by an error nothing is left on the disk, and an existing file stays as it was. RGBA frames lose their
    alpha where the kind has none.

    Raises InputError (`input.exists`, `input.value`, `input.array`), FormatError for what a kind cannot
    hold, StoreError `disk.full` and `disk.unwritable`.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int],
        *,
        kind: str = "h264",
        timing: Timing | None = None,
        audio_from: str | Path | None = None,
        colour: ColourTags | None = None,
        pixel_aspect: Fraction | None = None,
        overwrite: bool = False,
        mark: Mark | None = None,
    ) -> None:
        self.path = Path(path)
        self.size = size
        self.kind = kind_of(kind)
        self.timing = timing or Timing()
        self.num_written = 0
        self._audio_from = None if audio_from is None else Path(audio_from)
        self._colour = colour or BT709
        self._pixel_aspect = pixel_aspect
        self._overwrite = overwrite
        self._mark = mark
        self._stack = ExitStack()
        self._sink: _Sink | None = None
        self._last_time = -np.inf

    def __enter__(self) -> VideoWriter:
        if min(self.size) < 1:
            raise InputError("input.value", f"A video of {self.size[1]}x{self.size[0]} pixels is none.")
        if self.kind.codec:
            check_free(self.path, overwrite=self._overwrite)
        frames, pixels = self.timing.num_frames or 1, self.size[0] * self.size[1]
        check_room(self.path.parent, round(frames * pixels * self.kind.bytes_per_pixel))
        try:
            self._sink = self._open()
        except BaseException:
            self._leave()
            raise
        return self

    def write(
        self, pixels: UInt8[ndarray, "height width channels"], time: float | int, index: int | None = None
    ) -> None:
        """Add a frame shown from `time` (seconds, later than the one before) until the next one's.

        `index` is its number in the source, by which a folder of pictures names it.
        """
        assert self._sink is not None, "write inside the with block"
        if pixels.shape[:2] != self.size or pixels.shape[2] not in (3, 4):
            found, (height, width) = "x".join(map(str, pixels.shape)), self.size
            raise InputError(
                "input.array", f"A frame of {found} values for a video of {height}x{width} with 3 or 4."
            )
        if not (np.isfinite(time) and time > self._last_time):
            raise InputError("input.value", f"A frame at {time} s cannot follow one at {self._last_time} s.")
        with explained_errors(self.path):
            self._sink.write(pixels, time, self.num_written if index is None else index)
        self._last_time = time
        self.num_written += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._leave()
            return
        try:
            if not self.num_written:
                raise InputError("input.value", f"{self.path.name}: there is no frame to write.")
            assert self._sink is not None
            with explained_errors(self.path):
                self._sink.finish()
        except BaseException:
            self._leave()
            raise
        self._sink = None
        self._stack.close()

    def _open(self) -> _Sink:
        """The file or folder, under its temporary name."""
        place = self._stack
        if not self.kind.codec:
            folder = place.enter_context(new_folder(self.path, overwrite=self._overwrite, stale="*.png"))
            return _Pictures(folder, self._mark)
        stream = place.enter_context(new_file(self.path, overwrite=self._overwrite))
        with explained_errors(self.path):
            # FFmpeg opens the file by its name, because it moves the index to the front in the end
            encoder = VideoEncoder(Path(stream.name).absolute(), self.kind, self.size, self._colour)
            place.callback(encoder.abandon)
            encoder.open(self.timing.time_base, self.timing.average_rate, self._pixel_aspect)
            if self._mark is not None:
                encoder.set_mark(self._mark)
            if self._audio_from is not None:
                encoder.add_sound(self._audio_from, self.timing.start)
            encoder.start()
        return encoder

    def _leave(self) -> None:
        """Remove what was written. The caller's own error, even one of another file, stays what it is."""
        self._sink = None
        self._stack.__exit__(_Left, _Left(), None)


class _Left(Exception):
    """Tells the temporary file that it is not wanted."""


class _Sink(Protocol):
    def write(self, pixels: UInt8[ndarray, "h w c"], time: float | int, index: int) -> None: ...
    def finish(self) -> None: ...


class _Pictures:
    """A folder of PNG files named by frame number, and `times.csv` that says when each is shown."""

    def __init__(self, folder: Path, mark: Mark | None) -> None:
        self._folder = folder
        self._mark = mark
        self._times: list[tuple[int, str]] = []

    def write(self, pixels: UInt8[ndarray, "h w c"], time: float | int, index: int) -> None:
        """One picture."""
        order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
        _, data = cv2.imencode(".png", cv2.cvtColor(pixels, order), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        picture = data.tobytes() if self._mark is None else marked_png(data.tobytes(), self._mark)
        (self._folder / f"{index:05d}.png").write_bytes(picture)
        self._times.append((index, f"{time:.9f}".rstrip("0").rstrip(".")))

    def finish(self) -> None:
        """The table of times."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("frame", "seconds"))
        table.writerows(self._times)
        (self._folder / "times.csv").write_text(text.getvalue(), encoding="utf-8")
