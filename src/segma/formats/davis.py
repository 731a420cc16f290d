"""DAVIS: a folder of palette PNGs for each video, `Annotations/480p/<video>/%05d.png`.

0 is the background, 1 to 254 are objects, the same over the whole video, 255 is void. Pictures, where they
are there, lie in `JPEGImages/480p/<video>`; they say how long a video is and what its frames are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segma.formats import palettes
from segma.formats.document import Skip, skipping
from segma.formats.frame_files import listed_videos
from segma.formats.loss import LossReport
from segma.formats.tracks import file_names, lost
from segma.samples import VideoSample

_MASKS, _IMAGES, _SPLITS = "Annotations", "JPEGImages", "ImageSets"


def read(
    path: str | Path,
    *,
    resolution: str = "480p",
    split: str | None = None,
    void: Sequence[int] = (palettes.VOID,),
) -> list[VideoSample]:
    """The videos of a DAVIS folder by name, or those of the list `ImageSets/<split>.txt` ("2017/val").

    `void` are values that are no object; TrackEval's notes say 254, so (254, 255) reads both. Raises
    FormatError, InputError.
    """
    return list(each(path, resolution=resolution, split=split, void=void))


def each(
    path: str | Path,
    *,
    resolution: str = "480p",
    split: str | None = None,
    void: Sequence[int] = (palettes.VOID,),
    skip: Skip | None = None,
) -> Iterator[VideoSample]:
    """The same one by one; with `skip` a broken video is left out, and told to it."""
    root = Path(path)
    folder = root / _MASKS / resolution
    listing = None if split is None else root / _SPLITS / f"{split}.txt"
    for name in listed_videos(folder, listing):
        with skipping(skip):
            images = root / _IMAGES / resolution / name
            yield palettes.read_folder(folder / name, images=images, void=frozenset(void))


def write(
    samples: Sequence[VideoSample],
    path: str | Path,
    *,
    resolution: str = "480p",
    every: int = 1,
    overwrite: bool = False,
) -> LossReport:
    """Write `Annotations/<resolution>/<video>/<frame>.png` of the frames with a mask.

    With `every` only multiples of it. Where several objects share a pixel the lowest id stands, with a
    warning in the log. Errors as in `palettes.write_folder`.
    """
    names, changed = file_names(samples, "folder")
    reports = [
        palettes.write_folder(
            sample, Path(path) / _MASKS / resolution / name, every=every, overwrite=overwrite
        )
        for sample, name in zip(samples, names, strict=True)
    ]
    objects = sum(len(sample.objects) for sample in samples)
    return LossReport(written=objects, lost=(*palettes.cost(reports), *lost(samples), *changed))
