"""Labels and the pictures they belong to put together; what does not fit is left out and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from segma.datasets.report import ReadReport
from segma.errors import InputError, SegmaError
from segma.media.image import picture_size
from segma.samples import ImageSample, PictureFile, TrackSample, VideoSample


def no_layout(root: Path, layout: str) -> InputError:
    """The error for a folder that is not what a reader wants."""
    return InputError("input.not_found", f"{root}: not this layout.", f"Wanted: {layout}.")


def broken(report: ReadReport) -> Callable[[SegmaError], None]:
    """Counts what a format's reader leaves out; its message says where it stood and what was wrong."""
    return lambda error: report.add("broken labels", error.message.rstrip("."))


def with_picture(
    sample: ImageSample, path: Path | None, *, source: str, report: ReadReport
) -> ImageSample | None:
    """The sample with its picture and without empty objects.

    None where the picture is not there (`path` None), is no picture, or has another size than the masks.
    """
    if path is None or not _fits(path, sample.size, max(len(sample.objects), 1), report):
        if path is None:
            report.add("unreadable picture", f"{sample.file_name}: not there")
        return None
    kept = tuple(each for each in sample.objects if each.mask.crop_size[0])
    if len(kept) < len(sample.objects):
        report.add("empty object", sample.file_name, len(sample.objects) - len(kept))
    return replace(sample, objects=kept, picture=PictureFile(path), source=source)


def with_frames(sample: VideoSample, folder: Path, *, source: str, report: ReadReport) -> VideoSample | None:
    """The sample with the pictures of its frames, which lie in `folder`, and without empty objects.

    None where there are no pictures, one is empty, or the first has another size than the masks.
    """
    paths = [folder / name for name in sample.frame_names or ()]
    lost = next((path for path in paths if not _has_bytes(path)), None)
    if not paths or lost is not None:
        name = f"{sample.name}/{lost.name}" if lost is not None else f"{sample.name}: no pictures"
        report.add("unreadable picture", name)
        return None
    if not _fits(paths[0], sample.size, max(len(sample.objects), 1), report):
        return None
    pictures = tuple(PictureFile(path) for path in paths)
    return replace(sample, objects=shown(sample, report), pictures=pictures, source=source)


def shown(sample: VideoSample, report: ReadReport) -> tuple[TrackSample, ...]:
    """The objects of a video that are to be seen on some frame; the others are counted."""
    kept = tuple(
        each for each in sample.objects if any(mask.crop_size[0] for mask in each.masklet.masks.values())
    )
    if len(kept) < len(sample.objects):
        report.add("empty object", sample.name, len(sample.objects) - len(kept))
    return kept


def _fits(path: Path, size: tuple[int, int], count: int, report: ReadReport) -> bool:
    """Whether a picture can be opened and has this size; what depends on it is counted where not."""
    name = f"{path.parent.name}/{path.name}"
    try:
        found = picture_size(path, upright=True)
    except InputError:
        report.add("unreadable picture", name)
        return False
    if found != size:
        report.add("size", name, count)
    return found == size


def _has_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
