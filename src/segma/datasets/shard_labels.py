"""The labels of one WebDataset sample: its JSON made a photo or a clip, what cannot be used counted."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from segma.datasets.report import ReadReport
from segma.errors import FormatError
from segma.formats.document import Row, attributes_of, image_size, optional_number, whole
from segma.formats.tracks import empty_mask
from segma.masks.mask import Mask, Masklet
from segma.masks.rle import CocoRle
from segma.samples import (
    Attribute,
    ImageSample,
    ObjectSample,
    PictureFile,
    Sentence,
    TrackSample,
    VideoSample,
)

OWN_FIELDS = frozenset({"name", "area", "segmentation", "bbox"})
"""What an object's entry says that is no attribute."""

_CLIP = frozenset(
    {"source", "ident", "width", "height", "fps", "frames", "names", "sentences", "masks", "loose"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a sample's labels stand (for the report), and which collection they are of."""

    name: str
    source: str
    loose: str


def image(
    row: Row, place: Place, file_name: str, picture: PictureFile, report: ReadReport
) -> ImageSample | None:
    """A photo with the objects that can be used; None where its entry makes no sense."""
    with _counted(place, report):
        size, entries = image_size(row), _list(row.get("objects"), "objects")
        masks = dict(_masks(entries, size, place, report))
        return ImageSample(
            file_name=file_name,
            size=size,
            objects=tuple(
                ObjectSample(
                    object_id=number,
                    mask=mask,
                    label=_label(entries[number].get("name")),
                    attributes=_attributes(entries[number], masks),
                )
                for number, mask in masks.items()
            ),
            picture=picture,
            source=place.source,
            loose=place.loose,
        )
    return None


def video(row: Row, place: Place, frames: tuple[PictureFile, ...], report: ReadReport) -> VideoSample | None:
    """A clip with the objects that can be used; None where the entry or a frame is bad."""
    with _counted(place, report):
        size, by_frame = image_size(row), _list(row.get("masks"), "masks")
        if len(by_frame) != len(frames) or not all(picture.size for picture in frames):
            report.add("unreadable picture", f"{place.name}: {len(frames)} of {len(by_frame)} frames")
            return None
        names = _object(row.get("names") or {}, "names")
        objects = tuple(_tracks(by_frame, size, names, place, report))
        return VideoSample(
            name=str(row.get("ident") or place.name.removesuffix(".json")),
            size=size,
            num_frames=len(frames),
            fps=optional_number(row.get("fps")),
            objects=objects,
            attributes=attributes_of({key: value for key, value in row.items() if key not in _CLIP}),
            pictures=frames,
            sentences=tuple(_sentences(row, {each.object_id for each in objects}, place, report)),
            source=place.source,
            loose=place.loose,
        )
    return None


@contextmanager
def _counted(place: Place, report: ReadReport) -> Generator[None, None, None]:
    """What is wrong inside is counted as broken labels."""
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        report.add("broken labels", place.name)


def _masks(
    entries: list[Any], size: tuple[int, int], place: Place, report: ReadReport
) -> Iterator[tuple[int, Mask]]:
    """The masks of a photo that can be used, with their positions."""
    for number, entry in enumerate(entries):
        with _counted(place, report):
            mask = _mask(_object(entry, "an object").get("segmentation"), size, place, report)
            if mask is not None and mask.crop_size[0]:
                yield number, mask
            elif mask is not None:
                report.add("empty object", place.name)


def _mask(value: object, size: tuple[int, int], place: Place, report: ReadReport) -> Mask | None:
    """The mask of run lengths; None, and counted, where it is of another size. Raises FormatError."""
    row = _object(value, "segmentation")
    if [whole(number) for number in _list(row.get("size"), "size")] != list(size):
        report.add("size", place.name)
        return None
    return Mask.from_coco(cast(CocoRle, row))  # which checks the counts


def _attributes(entry: Row, kept: dict[int, Mask]) -> dict[str, Attribute]:
    """What else an entry says; a whole that was left out is not named."""
    found = {name: value for name, value in entry.items() if name not in OWN_FIELDS and value is not None}
    if "part_of" in found and found["part_of"] not in kept:
        del found["part_of"]
    return attributes_of(found)


def _tracks(
    by_frame: list[Any], size: tuple[int, int], names: Row, place: Place, report: ReadReport
) -> Iterator[TrackSample]:
    """The objects of a clip that are to be seen on some frame."""
    labelled = {frame: _object(masks, "masks") for frame, masks in enumerate(by_frame) if masks is not None}
    ids = sorted({whole(int(key)) for masks in (names, *labelled.values()) for key in masks})
    for object_id in ids:
        found: dict[int, Mask] = {}
        for frame, masks in labelled.items():
            with _counted(place, report):
                value = masks.get(str(object_id))
                mask = empty_mask(size) if value is None else _mask(value, size, place, report)
                if mask is not None:
                    found[frame] = mask
        if not any(mask.crop_size[0] for mask in found.values()):
            report.add("empty object", place.name)
            continue
        label = _label(names.get(str(object_id)))
        yield TrackSample(object_id=object_id, masklet=Masklet(size=size, masks=found), label=label)


def _sentences(row: Row, kept: set[int], place: Place, report: ReadReport) -> Iterator[Sentence]:
    """The sentences of a clip; one that means an object that was left out is not true any more."""
    for entry in _list(row.get("sentences") or [], "sentences"):
        with _counted(place, report):
            fields = _object(entry, "a sentence")
            ids = tuple(whole(value) for value in _list(fields["obj"], "obj"))
            if not isinstance(fields["text"], str) or not kept.issuperset(ids):
                raise FormatError("format.bad", "a sentence without words, or of no object.")
            yield Sentence(fields["text"], ids)


def _label(value: object) -> str | None:
    return None if value is None else str(value)


def _list(value: object, what: str) -> list[Any]:  # JSON: what it holds is checked entry by entry
    if not isinstance(value, list):
        raise TypeError(f"{what} is no list")
    return cast("list[Any]", value)


def _object(value: object, what: str) -> Row:
    if not isinstance(value, dict):
        raise TypeError(f"{what} is no object")
    return cast(Row, value)  # keys of JSON objects are strings
