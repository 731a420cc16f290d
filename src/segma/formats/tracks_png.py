"""A plain folder of palette PNGs, one a frame: `<folder>/%05d.png`; of several videos a folder each.

With one PNG an object as well: `<folder>/<object %03d>/%05d.png`, black and white, which keeps overlaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segma.errors import FormatError
from segma.formats import palettes, sav_png
from segma.formats.loss import LossReport
from segma.formats.tracks import file_names, lost
from segma.media.image import not_found
from segma.samples import VideoSample


def read(path: str | Path, *, images: str | Path | None = None) -> list[VideoSample]:
    """The video of a folder of PNGs, or those of the folders in a folder.

    `images` is the folder of the video's frames, or of one such folder a video; without it a file's number
    is its frame's. Folders of one PNG an object are told by their names, which are numbers. Raises
    FormatError, InputError.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise not_found(folder)
    pictures = None if images is None else Path(images)
    if _is_video(folder):
        return [_read_video(folder, pictures)]
    inside = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name[0] != "."]
    if not inside:
        raise FormatError("format.bad", f"{folder.name}: there are no PNGs in it.")
    return [_read_video(entry, None if pictures is None else pictures / entry.name) for entry in inside]


def write(
    samples: Sequence[VideoSample],
    path: str | Path,
    *,
    every: int = 1,
    one_per_object: bool = False,
    overwrite: bool = False,
) -> LossReport:
    """Write one video into `path`, or each of several into `path/<video>`.

    The frames are those with a mask; with `every` only multiples of it. Errors as in
    `palettes.write_folder`; with `one_per_object` as in `sav_png.write_objects`.
    """
    names, changed = file_names(samples, "folder")
    folders = [Path(path)] if len(samples) == 1 else [Path(path) / name for name in names]
    pairs = list(zip(samples, folders, strict=True))
    if one_per_object:
        texts = sav_png.cost(
            [
                sav_png.write_objects(sample, folder, every=every, overwrite=overwrite)
                for sample, folder in pairs
            ]
        )
    else:
        texts = palettes.cost(
            [
                palettes.write_folder(sample, folder, every=every, overwrite=overwrite)
                for sample, folder in pairs
            ]
        )
    objects = sum(len(sample.objects) for sample in samples)
    kept = changed if len(samples) > 1 else ()
    return LossReport(written=objects, lost=(*texts, *lost(samples), *kept))


def _is_video(folder: Path) -> bool:
    """Whether a folder holds one video: PNGs, or folders that are numbers of objects."""
    names = [entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."]
    return any(folder.glob("*.png")) or (bool(names) and all(name.isdecimal() for name in names))


def _read_video(folder: Path, images: Path | None) -> VideoSample:
    if any(folder.glob("*.png")):
        return palettes.read_folder(folder, images=images)
    return sav_png.read_objects(folder, images=images)
