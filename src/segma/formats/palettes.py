"""Palette PNGs: one picture a frame, one object id a pixel.

Invariant of `PaletteFrames`: every file was read once, so sizes and ids are known; its masks are made again
when asked for, those of a few frames are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import FormatError
from segma.formats.document import MAX_PIXELS
from segma.formats.frame_files import STALE, check_size, frame_files, frame_stem, of_file, pictures_in
from segma.formats.loss import note
from segma.formats.tracks import LazyMasks, annotated_frames, empty_mask, left_out
from segma.masks.mask import CompactMasks, Mask, Masklet
from segma.media.files import new_folder
from segma.media.image import read_palette, write_palette
from segma.samples import TrackSample, VideoSample

MAX_IDS = 254
"""255 is void."""

VOID = 255

_KEPT_FRAMES = 256  # whose masks, as run lengths, stay in memory

_log = logging.getLogger(__name__)


def id_map(
    masks: CompactMasks, ids: Sequence[int] | None = None
) -> tuple[UInt8[ndarray, "height width"], int]:
    """One id a pixel, 0 for none; and how many pixels lie in several masks, where the lowest id stands.

    `ids` count from 1 to n unless they are given, in the order of the masks. Raises FormatError
    `format.loss` for more than 254 masks.
    """
    if len(masks) > MAX_IDS:
        raise FormatError(
            "format.loss",
            f"A palette PNG holds {MAX_IDS} objects, there are {len(masks)}.",
            "Write .coco.json, or a folder of masks.",
        )
    numbers = list(range(1, len(masks) + 1)) if ids is None else list(ids)
    found = np.zeros(masks.size, np.uint8)
    shared = np.zeros(masks.size, bool)
    for number, mask in sorted(zip(numbers, masks, strict=True), key=lambda pair: -pair[0]):
        (top, left), (rows, columns) = mask.offset, mask.crop_size
        place = (slice(top, top + rows), slice(left, left + columns))
        crop = mask.crop()
        shared[place] |= crop & (found[place] > 0)
        found[place][crop] = number
    return found, int(shared.sum())


class PaletteFrames:
    """The masks of a video's palette PNGs. `void` are values that are no object."""

    def __init__(self, files: Mapping[int, Path], size: tuple[int, int] | None, void: frozenset[int]) -> None:
        """Reads every file once. Raises FormatError where one is broken or not of `size`."""
        self.files = files
        self.size = size
        self.present: dict[int, frozenset[int]] = {}
        """The ids that are to be seen, by frame."""
        self.void_pixels = 0
        self._void = void
        self._kept: dict[int, dict[int, Mask]] = {}
        for frame in files:
            self.present[frame] = frozenset(self._read(frame))

    @property
    def ids(self) -> list[int]:
        """The ids of all frames, in order."""
        return sorted(frozenset[int]().union(*self.present.values()))

    def mask(self, object_id: int, frame: int) -> Mask:
        """One object on one frame; an empty mask where it is not to be seen."""
        assert self.size is not None, "there is a frame, so there is a size"
        if object_id not in self.present[frame]:
            return empty_mask(self.size)
        found = self._kept.get(frame)
        found = self._read(frame) if found is None else found
        return found.get(object_id, empty_mask(self.size))

    def _read(self, frame: int) -> dict[int, Mask]:
        """The masks of a frame by id; kept, and the oldest frame forgotten for it."""
        path = self.files[frame]
        self.size = check_size(path, self.size)
        with of_file(path):
            values = read_palette(path, max_pixels=MAX_PIXELS)
        if frame not in self.present:
            self.void_pixels += int(np.isin(values, list(self._void)).sum())
        found = {v: Mask.from_dense(values == v) for v in _values(values) if v not in self._void}
        if len(self._kept) >= _KEPT_FRAMES:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[frame] = found
        return found


def read_folder(
    folder: Path,
    *,
    images: Path | None = None,
    void: frozenset[int] = frozenset({VOID}),
    labels: Mapping[int, str | None] | None = None,
    shown: Mapping[int, frozenset[str]] | None = None,
) -> VideoSample:
    """The video of a folder of palette PNGs; its frames are those in the folder `images`, if there are any.

    An id that stands only in `labels` is an object without pixels. `shown` are, by id, the files' stems of
    which something else says that they show the object: where they do not, it was not annotated; on all
    other frames an object without pixels is not to be seen. Raises FormatError.
    """
    pictures = pictures_in(images) if images is not None else None
    files = frame_files(folder, pictures)
    frames = PaletteFrames(files, pictures.size if pictures else None, void)
    if frames.size is None:
        raise FormatError("format.bad", f"{folder.name}: there are no PNGs in it.")
    if frames.void_pixels:
        _log.warning("%s: %d void pixels belong to no object", folder.name, frames.void_pixels)
    labels = labels or {}
    objects: list[TrackSample] = []
    for number in sorted({*frames.ids, *labels}):
        away = (shown or {}).get(number, frozenset[str]())
        own = {f: f for f, path in files.items() if number in frames.present[f] or path.stem not in away}
        masklet = Masklet(size=frames.size, masks=LazyMasks(own, partial(frames.mask, number)))
        objects.append(TrackSample(object_id=number, masklet=masklet, label=labels.get(number)))
    return VideoSample(
        name=folder.name,
        size=frames.size,
        num_frames=len(pictures.names) if pictures else max(files) + 1,
        frame_names=pictures.names if pictures else None,
        objects=tuple(objects),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What writing palettes did: `seen` are the frames on which each object has pixels, in their order.

    Counted are pixels in several objects and on how many frames, masks on frames that are not written,
    masks that nobody made on frames that are (they read back as absent), and objects with another id.
    """

    seen: tuple[tuple[int, ...], ...]
    shared_pixels: int
    shared_frames: int
    left_out: int
    unknown: int
    renumbered: int


def write_folder(sample: VideoSample, folder: Path, *, every: int = 1, overwrite: bool = False) -> Written:
    """Write a folder of `<frame>.png`, frame by frame, of the frames with a mask.

    Object ids stay as they are where all lie in 1 to 254, else objects are numbered in their order. Raises
    FormatError `format.loss` for more than 254 objects, and the errors of `media.files`.
    """
    numbers = object_numbers(sample)
    frames, stem = annotated_frames(sample, every=every), frame_stem(sample)
    seen: dict[int, list[int]] = {number: [] for number in numbers}
    shared_pixels = shared_frames = unknown = 0
    with new_folder(folder, overwrite=overwrite, stale=STALE) as part:
        for frame in frames:
            found = zip(numbers, (each.masklet.masks.get(frame) for each in sample.objects), strict=True)
            given = [(number, mask) for number, mask in found if mask is not None]
            unknown += len(numbers) - len(given)
            masks = CompactMasks((mask for _, mask in given), sample.size)
            ids, shared = id_map(masks, [number for number, _ in given])
            shared_pixels, shared_frames = shared_pixels + shared, shared_frames + bool(shared)
            for value in _values(ids):
                seen[value].append(frame)
            write_palette(ids, part / f"{stem(frame)}.png")
    if shared_pixels:
        _log.warning("%s: %d pixels lie in several objects, the lowest id won", sample.name, shared_pixels)
    return Written(
        seen=tuple(tuple(seen[number]) for number in numbers),
        shared_pixels=shared_pixels,
        shared_frames=shared_frames,
        left_out=left_out(sample, every),
        unknown=unknown,
        renumbered=sum(n != each.object_id for n, each in zip(numbers, sample.objects, strict=True)),
    )


def object_numbers(sample: VideoSample) -> list[int]:
    """The value of each object in a palette. Raises FormatError for more than 254."""
    ids = [each.object_id for each in sample.objects]
    if len(ids) > MAX_IDS:
        raise FormatError(
            "format.loss",
            f"{sample.name}: a palette PNG holds {MAX_IDS} objects, there are {len(ids)}.",
            "Write sav-png or coco, which keep them all.",
        )
    fits = len(set(ids)) == len(ids) and all(1 <= number <= MAX_IDS for number in ids)
    return ids if fits else list(range(1, len(ids) + 1))


def cost(reports: Sequence[Written], *, keeps_unseen: bool = False) -> tuple[str, ...]:
    """The sentences of a LossReport. `keeps_unseen`: objects without pixels are not lost."""
    frames = sum(report.shared_frames for report in reports)
    where = f"pixels on {frames} frame{'s' * (frames != 1)} lie in several objects, the lowest id won"
    unseen = sum(not frames for report in reports for frames in report.seen) * (not keeps_unseen)
    return (
        *note(sum(report.shared_pixels for report in reports), where),
        *note(sum(report.renumbered for report in reports), "object ids, numbered by position"),
        *note(unseen, "objects without a pixel"),
        *note(sum(report.left_out for report in reports), "masks on frames between those written"),
        *note(sum(report.unknown for report in reports), "masks not there, which read back as empty"),
    )


def _values(ids: UInt8[ndarray, "height width"]) -> list[int]:
    """The ids in a map, in order, without the background."""
    return [int(value) for value in np.flatnonzero(np.bincount(ids.reshape(-1), minlength=256)) if value]
