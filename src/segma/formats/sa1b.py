"""SA-1B: one JSON an image, the records of SAM's automatic mask generator.

`bbox` is the record's own: [x, y, w, h] with w = x1 - x0 of the outermost pixels, so that a mask one pixel
wide has w = 0. What was not measured is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from segma.errors import FormatError
from segma.formats.document import (
    Row,
    Skip,
    box_of,
    image_size,
    inside_name,
    json_text,
    optional_number,
    points_of,
    read_document,
    rle_mask,
    stored_name,
    whole,
    xywh,
)
from segma.formats.loss import LossReport, note
from segma.media.files import make_folder, write_files
from segma.samples import ImageSample, ObjectSample


def read(path: str | Path, *, skip: Skip | None = None) -> list[ImageSample]:
    """The image of a file, or those of all `*.json` in a folder, by name. Raises FormatError, InputError.

    With `skip` broken objects are left out, and told to it.
    """
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    return [_read_file(file, skip) for file in files]


def write(samples: Sequence[ImageSample], path: str | Path, *, overwrite: bool = False) -> LossReport:
    """Write one file (`path` ends in .json; one image only) or a folder with `<stem>.json` of each image.

    Raises FormatError where several images have one stem, and the errors of `media.files`.
    """
    path = Path(path)
    folder, names = _places(samples, path)
    texts = (json_text(to_document(sample, number)).encode() for number, sample in enumerate(samples, 1))
    write_files(folder, dict(zip(names, texts, strict=True)), overwrite=overwrite)
    objects = [each for sample in samples for each in sample.objects]
    return LossReport(
        written=len(objects),
        lost=(
            *note(sum(each.label is not None for each in objects), "labels"),
            *note(sum(bool(each.attributes) for each in objects), "objects' attributes"),
            *note(sum(each.is_crowd for each in objects), "crowd marks"),
            *note(
                sum(stored_name(sample.file_name) != sample.file_name for sample in samples),
                "file names written without their folders",
            ),
        ),
    )


def to_document(sample: ImageSample, image_id: int = 1) -> Row:
    """The JSON of one image; `image_id` is used where the sample has none."""
    return {
        "image": {
            "image_id": image_id if sample.image_id is None else sample.image_id,
            "width": sample.size[1],
            "height": sample.size[0],
            "file_name": stored_name(sample.file_name),
        },
        "annotations": [_annotation(each) for each in sample.objects],
    }


def _annotation(each: ObjectSample) -> Row:
    return {
        "id": each.object_id,
        "segmentation": each.mask.to_coco(),
        "bbox": xywh(each.mask.box),
        "area": each.mask.area,
        "predicted_iou": each.predicted_iou,
        "stability_score": each.stability_score,
        "crop_box": xywh(each.crop_box),
        "point_coords": [list(xy) for xy in each.points],
    }


def _places(samples: Sequence[ImageSample], path: Path) -> tuple[Path, list[str]]:
    """The folder, and the file's name of each image."""
    if len(samples) == 1 and path.suffix.lower() == ".json":
        return path.parent, [path.name]
    stems = [Path(stored_name(sample.file_name)).stem or "image" for sample in samples]
    if len(set(stems)) < len(stems):
        raise FormatError(
            "format.loss", "Two images have the same name in different folders.", "Use coco for them."
        )
    return make_folder(path), [f"{stem}.json" for stem in stems]


def _read_file(path: Path, skip: Skip | None) -> ImageSample:
    document = read_document(path)
    image = document.data.get("image")
    if not isinstance(image, dict):
        looks = "It looks like COCO." if "images" in document.data else ""
        raise FormatError("format.bad", f'{path.name}: has no object "image".', looks)
    row = cast(Row, image)  # keys of JSON objects are strings
    with document.at("image", 0):
        name, size, image_id = inside_name(row["file_name"]), image_size(row), whole(row["image_id"])
    objects: list[ObjectSample] = []
    for index, entry in document.rows("annotations"):
        with document.at("annotations", index, skip):
            objects.append(_read_object(entry, size))
    return ImageSample(file_name=name, size=size, objects=tuple(objects), image_id=image_id)


def _read_object(row: Row, size: tuple[int, int]) -> ObjectSample:
    return ObjectSample(
        object_id=whole(row["id"]),
        mask=rle_mask(row["segmentation"], size),
        predicted_iou=optional_number(row.get("predicted_iou")),
        stability_score=optional_number(row.get("stability_score")),
        points=points_of(row.get("point_coords")),
        crop_box=box_of(row.get("crop_box")),
    )
