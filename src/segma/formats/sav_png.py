"""SA-V's validation layout: one PNG an object and frame, `Annotations_6fps/<video>/<object %03d>/%05d.png`.

Objects may overlap; a value above 0 is the object. A file's number is that of the frame in
`JPEGImages_24fps/<video>`, of which every 4th is annotated. `<split>.txt` lists the videos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segma.errors import FormatError
from segma.formats.document import Skip, skipping
from segma.formats.frame_files import frame_files, frame_stem, listed_videos, pictures_in, read_binary
from segma.formats.loss import LossReport, note
from segma.formats.tracks import annotated_frames, file_names, left_out, lost
from segma.masks.mask import Mask, Masklet
from segma.media.files import check_free, make_folder, new_folder, write_text
from segma.media.image import write_mask
from segma.samples import TrackSample, VideoSample

_MASKS, _IMAGES = "Annotations_6fps", "JPEGImages_24fps"


def read(path: str | Path, *, split: str | None = None) -> list[VideoSample]:
    """The videos of a folder by name, or those of the list `<split>.txt`. Raises FormatError, InputError."""
    return list(each(path, split=split))


def each(path: str | Path, *, split: str | None = None, skip: Skip | None = None) -> Iterator[VideoSample]:
    """The same one by one; with `skip` a broken video is left out, and told to it."""
    root = Path(path)
    folder = root / _MASKS
    listing = None if split is None else root / f"{split}.txt"
    for name in listed_videos(folder, listing):
        with skipping(skip):
            yield read_objects(folder / name, images=root / _IMAGES / name)


def write(
    samples: Sequence[VideoSample],
    path: str | Path,
    *,
    every: int = 4,
    split: str | None = None,
    overwrite: bool = False,
) -> LossReport:
    """Write the masks on frames that are multiples of `every`, and `<split>.txt` (the folder's own name).

    Raises FormatError `format.loss` where an id is negative or two objects have the same, and the errors of
    `media.files`.
    """
    root = Path(path)
    names, changed = file_names(samples, "folder")
    listing = root / f"{root.resolve().name if split is None else split}.txt"
    check_free(listing, overwrite=overwrite)
    reports = [
        write_objects(sample, root / _MASKS / name, every=every, overwrite=overwrite)
        for sample, name in zip(samples, names, strict=True)
    ]
    make_folder(root)
    write_text(listing, "".join(f"{name}\n" for name in names), overwrite=overwrite)
    objects = sum(len(sample.objects) for sample in samples)
    return LossReport(written=objects, lost=(*cost(reports), *lost(samples), *changed))


def read_objects(folder: Path, *, images: Path | None = None) -> VideoSample:
    """The video of a folder with a folder for each object; its frames are those in `images`, if any."""
    pictures = pictures_in(images) if images is not None else None
    size = pictures.size if pictures else None
    found: dict[int, dict[int, Path]] = {}
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir() or entry.name[0] == ".":
            continue
        if not (entry.name.isascii() and entry.name.isdecimal()) or int(entry.name) in found:
            raise FormatError(
                "format.bad", f"{folder.name}/{entry.name}: is no number of an object of its own."
            )
        found[int(entry.name)] = frame_files(entry, pictures)
    masks: dict[int, Mapping[int, Mask]] = {}
    for number, files in sorted(found.items()):
        masks[number], size = read_binary(files, size)
    if size is None:
        raise FormatError("format.bad", f"{folder.name}: there are no PNGs in it.")
    last = max((max(files, default=-1) for files in found.values()), default=-1)
    return VideoSample(
        name=folder.name,
        size=size,
        num_frames=len(pictures.names) if pictures else last + 1,
        frame_names=pictures.names if pictures else None,
        objects=tuple(
            TrackSample(object_id=number, masklet=Masklet(size=size, masks=by_frame))
            for number, by_frame in masks.items()
        ),
    )


def write_objects(sample: VideoSample, folder: Path, *, every: int = 1, overwrite: bool = False) -> int:
    """Write `folder/<object %03d>/<frame>.png`, one mask in memory at a time; gives how many were left out.

    Left out are masks on frames that are no multiple of `every`. Errors as in `write`.
    """
    ids = [each.object_id for each in sample.objects]
    if len(set(ids)) < len(ids) or any(number < 0 for number in ids):
        raise FormatError(
            "format.loss",
            f"{sample.name}: the ids of its objects are {ids}; each needs its own, from 0 on.",
            "Number the objects.",
        )
    frames, stem = annotated_frames(sample, every=every), frame_stem(sample)
    with new_folder(folder, overwrite=overwrite, stale="[0-9]*/*.png") as part:
        for each in sample.objects:
            inside = make_folder(part / f"{each.object_id:03d}")
            for frame in frames:
                if frame in each.masklet.masks:
                    write_mask(each.masklet.masks[frame].dense(), inside / f"{stem(frame)}.png")
    return left_out(sample, every)


def cost(counts: Sequence[int]) -> tuple[str, ...]:
    """The sentence of a LossReport."""
    return note(sum(counts), "masks on frames between those written")
