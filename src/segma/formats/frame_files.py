"""Which file belongs to which frame of a video, and folders of one black-and-white PNG a frame.

Where the video is a folder of pictures, frames count along them and a mask has the name of its picture;
else a mask's name is the number of its frame in five digits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segma.errors import FormatError, InputError
from segma.formats.document import MAX_PIXELS, placed, stored_name
from segma.formats.tracks import LazyMasks, video_name
from segma.masks.mask import Mask
from segma.media.image import list_images, not_found, picture_size, read_mask
from segma.samples import VideoSample

STALE = "*.png"
"""What is taken out of a folder that is written again."""

_MAX_DIGITS = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """The frames of a video as a folder of pictures: their names and their size (height, width)."""

    names: tuple[str, ...]
    size: tuple[int, int]


def listed_videos(folder: Path, listing: Path | None) -> list[str]:
    """The names of the folders in a folder, or those that a text file lists, one a line.

    Raises InputError where folder or file is not there, `input.outside` for a name that leaves the folder,
    FormatError where there is no folder of a name.
    """
    if not folder.is_dir():
        raise not_found(folder)
    if listing is None:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    try:
        lines = listing.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise not_found(listing) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("input.unreadable", f"{listing.name}: cannot be read ({error}).") from error
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        with placed(lambda number=number: f"{listing.name} line {number}"):
            names.append(video_name(line.strip()))
            if not (folder / names[-1]).is_dir():
                raise FormatError("format.bad", f"there is no folder {names[-1]} in {folder.name}.")
    return names


def pictures_in(folder: Path) -> Pictures | None:
    """The frames in a folder, in the order people count; None where there is no such folder, or none in it.

    The size is that of the first. Raises InputError where that is no picture.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    found = list_images(folder)
    return Pictures(names=tuple(path.name for path in found), size=picture_size(found[0]))


def frame_files(folder: Path, pictures: Pictures | None) -> dict[int, Path]:
    """The PNGs of a folder by frame, in order. Raises FormatError for a name that is no frame's."""
    names = pictures.names if pictures else ()
    by_stem = {PurePosixPath(name).stem: index for index, name in enumerate(names)}
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        if path.suffix.lower() != ".png" or path.name[0] == ".":
            continue
        frame = by_stem.get(path.stem) if pictures else _number(path.stem)
        if frame is None:
            expected = "no picture of this name" if pictures else "no number of a frame in its name"
            raise FormatError("format.bad", f"{folder.name}/{path.name}: there is {expected}.")
        if frame in found:
            raise FormatError("format.bad", f"{folder.name}: two files are frame {frame}.")
        found[frame] = path
    return dict(sorted(found.items()))


def picture_names(sample: VideoSample) -> Iterator[str]:
    """The file of each frame: of the sample's own, else `<number>.jpg`."""
    if sample.frame_names is not None:
        frame_stem(sample)  # complains where they do not fit
        return (stored_name(name) for name in sample.frame_names)
    return (f"{frame:05d}.jpg" for frame in range(sample.num_frames))


def frame_stem(sample: VideoSample) -> Callable[[int], str]:
    """The name of each frame's file, without its suffix.

    Raises FormatError `format.loss` where two frames of the sample have one name.
    """
    names = sample.frame_names
    if names is None:
        return lambda frame: f"{frame:05d}"
    stems = [PurePosixPath(name.replace("\\", "/")).stem for name in names]
    if len(stems) != sample.num_frames or len(set(stems)) < len(stems) or not all(stems):
        raise FormatError(
            "format.loss",
            f"{sample.name}: {len(stems)} names of frames, {len(set(stems))} different, "
            f"for {sample.num_frames} frames.",
        )
    return lambda frame: stems[frame]


def read_binary(
    files: Mapping[int, Path], size: tuple[int, int] | None
) -> tuple[Mapping[int, Mask], tuple[int, int] | None]:
    """Masks of black-and-white PNGs, read when asked for, and their size, which is compared now.

    Raises FormatError where one is not of `size` (None: that of the first) or is no picture.
    """
    for path in files.values():
        size = check_size(path, size)
    return LazyMasks(files, _load_binary), size


def check_size(path: Path, size: tuple[int, int] | None) -> tuple[int, int]:
    """The size of a mask's file, which must be `size`. Raises FormatError."""
    with of_file(path):
        height, width = picture_size(path)
        if height * width > MAX_PIXELS:
            raise ValueError(f"an image cannot have {width}x{height} pixels")
        if size is not None and (height, width) != size:
            raise ValueError(f"is {width}x{height}, the video's frames are {size[1]}x{size[0]}")
    return height, width


@contextmanager
def of_file(path: Path) -> Generator[None, None, None]:
    """Errors inside become FormatError that names the file with its folder, which is the video or object."""
    try:
        yield
    except InputError as error:  # its message begins with the file's name
        raise FormatError("format.bad", f"{path.parent.name}/{error.message}", error.hint) from error
    except ValueError as error:
        raise FormatError("format.bad", f"{path.parent.name}/{path.name}: {error}.") from error


def _load_binary(path: Path) -> Mask:
    with of_file(path):
        return Mask.from_dense(read_mask(path, max_pixels=MAX_PIXELS))


def _number(stem: str) -> int | None:
    return int(stem) if stem.isascii() and stem.isdecimal() and len(stem) <= _MAX_DIGITS else None
