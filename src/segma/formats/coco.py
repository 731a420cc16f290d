"""COCO: one JSON for many images, with run lengths or polygons.

Written so that pycocotools reads back equal pixels: ids from 1, `bbox` = [x, y, w, h] where w and h
count pixels, `area` = pixels. Beyond COCO an annotation has `predicted_iou`, `stability_score`,
`point_coords`, `crop_box`, `attributes` and `object_id`, each only where there is something to say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from pycocotools import mask as coco

from segma.formats.document import (
    Document,
    Row,
    Skip,
    attributes_of,
    box_of,
    checked_rle,
    image_size,
    inside_name,
    json_text,
    number,
    optional_number,
    points_of,
    read_document,
    rle_mask,
    stored_name,
    whole,
    xywh,
)
from segma.formats.loss import LossReport, note
from segma.masks.boundary import bridged_polygons
from segma.masks.mask import Mask
from segma.masks.rle import CocoRle
from segma.media.files import write_text
from segma.samples import ImageSample, ObjectSample

_UNLABELLED = {"name": "object", "supercategory": "unlabelled"}

_log = logging.getLogger(__name__)


def read(path: str | Path, *, skip: Skip | None = None) -> list[ImageSample]:
    """The images of a COCO file with their objects.

    Annotations without a segmentation (boxes, key points) are left out with a warning in the log, and with
    `skip` those that are broken too, each of which is told to it. Raises FormatError, or InputError
    `input.outside` for a file name that leaves its folder.
    """
    document = read_document(path)
    images = _read_images(document)
    labels = read_labels(document)
    objects: dict[int, list[ObjectSample]] = {image_id: [] for image_id in images}
    seen: set[int] = set()
    skipped = 0
    for index, row in document.rows("annotations"):
        with document.at("annotations", index, skip):
            image_id = whole(row["image_id"])
            if image_id not in images:
                raise ValueError(f"there is no image {image_id}")
            if not row.get("segmentation"):
                skipped += 1
                continue
            objects[image_id].append(_read_object(row, images[image_id].size, labels, seen))
    if skipped:
        _log.warning("%s: %d annotations without a mask left out", document.path.name, skipped)
    return [
        ImageSample(
            file_name=image.file_name, size=image.size, objects=tuple(objects[image_id]), image_id=image_id
        )
        for image_id, image in images.items()
    ]


def write(
    samples: Sequence[ImageSample],
    path: str | Path,
    *,
    polygons: bool = False,
    crowd_rle: bool = False,
    overwrite: bool = False,
) -> LossReport:
    """Write a COCO file. Options as in `to_document`; errors as in `media.files.write_bytes`."""
    document = to_document(samples, polygons=polygons, crowd_rle=crowd_rle)
    write_text(path, json_text(document), overwrite=overwrite)
    names = sum(stored_name(sample.file_name) != sample.file_name for sample in samples)
    ids = sum(
        sample.image_id not in (None, row["id"])
        for sample, row in zip(samples, document["images"], strict=True)
    )
    plain = sum(not each.is_crowd for sample in samples for each in sample.objects) if crowd_rle else 0
    return LossReport(
        written=len(document["annotations"]),
        lost=(
            *note(names, "file names written without their folders"),
            *note(ids, "image ids numbered anew, because they were not all different"),
            *note(plain, "objects marked as crowd"),
        ),
    )


def to_document(
    samples: Iterable[ImageSample], *, polygons: bool = False, crowd_rle: bool = False
) -> dict[str, Any]:  # JSON
    """The JSON of a COCO file.

    Masks are compressed run lengths with `iscrowd` 0. `polygons` writes closed rings along the pixels
    instead, holes joined to them by a cut without width (pycocotools fills them to the same pixels);
    `crowd_rle` writes uncompressed run lengths with `iscrowd` 1.
    """
    samples = list(samples)
    image_ids = _image_ids(samples)
    categories = category_ids(each.label for sample in samples for each in sample.objects)
    annotations: list[Row] = []
    for sample, image_id in zip(samples, image_ids, strict=True):
        for each in sample.objects:
            row = {"id": len(annotations) + 1, "image_id": image_id, "category_id": categories[each.label]}
            annotations.append(row | _annotation(each, row["id"], polygons, crowd_rle))
    return {
        "info": {"description": "masks written by segma", "version": "1.0"},
        "licenses": [],
        "images": [
            {
                "id": image_id,
                "width": sample.size[1],
                "height": sample.size[0],
                "file_name": stored_name(sample.file_name),
            }
            for sample, image_id in zip(samples, image_ids, strict=True)
        ],
        "annotations": annotations,
        "categories": category_rows(categories),
    }


def _image_ids(samples: Sequence[ImageSample]) -> list[int]:
    """The samples' own ids where all have one of their own, else 1, 2, ..."""
    own = [sample.image_id for sample in samples if sample.image_id is not None]
    return own if len(set(own)) == len(samples) else list(range(1, len(samples) + 1))


def category_ids(labels: Iterable[str | None]) -> dict[str | None, int]:
    """Ids of the labels, from 1, in the order they are met."""
    return {label: number for number, label in enumerate(dict.fromkeys(labels), 1)}


def category_rows(ids: Mapping[str | None, int]) -> list[Row]:
    """The entries of `categories`; what has no label is marked as such."""
    return [
        {"id": number, **(_UNLABELLED if label is None else {"name": label, "supercategory": ""})}
        for label, number in ids.items()
    ]


def _annotation(each: ObjectSample, number: int, polygons: bool, crowd_rle: bool) -> Row:
    """What an annotation says of its object; `number` is the annotation's id."""
    row = mask_row(each.mask, polygons=polygons, crowd_rle=crowd_rle, is_crowd=each.is_crowd)
    extra = {
        "object_id": each.object_id if each.object_id != number else None,
        "predicted_iou": each.predicted_iou,
        "stability_score": each.stability_score,
        "point_coords": [list(xy) for xy in each.points] or None,
        "crop_box": xywh(each.crop_box),
        "attributes": dict(each.attributes) or None,
    }
    return row | {name: value for name, value in extra.items() if value is not None}


def mask_row(mask: Mask, *, polygons: bool = False, crowd_rle: bool = False, is_crowd: bool = False) -> Row:
    """What an annotation says of a mask: `segmentation`, `area`, `bbox`, `iscrowd`."""
    return {
        "segmentation": _segmentation(mask, polygons, crowd_rle, is_crowd),
        "area": mask.area,
        "bbox": mask_bbox(mask),
        "iscrowd": int(is_crowd or crowd_rle),
    }


def mask_bbox(mask: Mask) -> list[float]:
    """x, y, width and height, counting pixels; zeros of an empty mask."""
    x0, y0, x1, y1 = mask.box
    return [x0, y0, x1 - x0 + 1, y1 - y0 + 1] if mask.crop_size[0] else [0.0, 0.0, 0.0, 0.0]


def _segmentation(mask: Mask, polygons: bool, crowd_rle: bool, is_crowd: bool) -> object:
    """Run lengths or polygons; crowds and empty masks are always run lengths, as COCO wants them."""
    if crowd_rle or (polygons and is_crowd):
        return {"size": list(mask.size), "counts": mask.runs().tolist()}
    if not polygons or not mask.crop_size[0]:
        return mask.to_coco()
    top, left = mask.offset
    shift = np.array([left + 0.5, top + 0.5])  # COCO counts from the corner of the first pixel
    return [(ring + shift).reshape(-1).tolist() for ring in bridged_polygons(mask.crop())]


def _read_images(document: Document) -> dict[int, ImageSample]:
    images: dict[int, ImageSample] = {}
    for index, row in document.rows("images"):
        with document.at("images", index):
            image_id = whole(row["id"])
            if image_id in images:
                raise ValueError(f"there are two images {image_id}")
            images[image_id] = ImageSample(
                file_name=inside_name(row["file_name"]), size=image_size(row), image_id=image_id
            )
    return images


def read_labels(document: Document) -> dict[int, str | None]:
    """The labels by the id of their category; None for what was written without one. Raises FormatError."""
    labels: dict[int, str | None] = {}
    for index, row in document.rows("categories") if "categories" in document.data else ():
        with document.at("categories", index):
            unlabelled = row.get("supercategory") == _UNLABELLED["supercategory"]
            labels[whole(row["id"])] = None if unlabelled else str(row["name"])
    return labels


def _read_object(
    row: Row, size: tuple[int, int], labels: dict[int, str | None], seen: set[int]
) -> ObjectSample:
    annotation_id = whole(row["id"])
    if annotation_id in seen:
        raise ValueError(f"there are two annotations {annotation_id}")
    seen.add(annotation_id)
    return ObjectSample(
        object_id=whole(row.get("object_id", annotation_id)),
        mask=_mask(row["segmentation"], size),
        label=label_of(row, labels),
        predicted_iou=optional_number(row.get("predicted_iou")),
        stability_score=optional_number(row.get("stability_score")),
        points=points_of(row.get("point_coords")),
        crop_box=box_of(row.get("crop_box")),
        is_crowd=bool(whole(row.get("iscrowd", 0))),
        attributes=attributes_of(row.get("attributes")),
    )


def label_of(row: Row, labels: Mapping[int, str | None]) -> str | None:
    """The label of an annotation's category. Raises ValueError where there is no such category."""
    category = row.get("category_id")
    if category is not None and labels and whole(category) not in labels:
        raise ValueError(f"there is no category {category}")
    return None if category is None else labels.get(whole(category))


def _mask(segmentation: object, size: tuple[int, int]) -> Mask:
    """The mask of polygons or of run lengths of either kind."""
    if isinstance(segmentation, list):
        return _rings_mask(cast("list[Any]", segmentation), size)  # JSON
    return rle_mask(segmentation, size)


def checked_segmentation(segmentation: object, size: tuple[int, int]) -> CocoRle | Mask:
    """Run lengths, checked but not decoded, or the mask of polygons. Raises FormatError, ValueError."""
    if isinstance(segmentation, list):
        return _rings_mask(cast("list[Any]", segmentation), size)  # JSON
    return checked_rle(segmentation, size)


def _rings_mask(rings: list[Any], size: tuple[int, int]) -> Mask:
    """The mask of polygons [[x, y, x, y, ...], ...], filled as pycocotools fills them, united."""
    longest = 4 * size[0] * size[1] + 1000  # pixels; longer rings only cost memory
    checked: list[list[float]] = []
    for ring in rings:
        values = [number(value) for value in ring]
        if len(values) < 6 or len(values) % 2:
            raise ValueError(f"a polygon has {len(values)} numbers, expected x and y of 3 corners or more")
        corners = np.array(values).reshape(-1, 2)
        if np.abs(corners - np.roll(corners, 1, 0)).sum() > longest or np.abs(corners).max() > longest:
            raise ValueError("a polygon is far longer than the image allows")
        checked.append(values)
    # the stubs of pycocotools know neither this form of input nor that counts are bytes
    stubless = cast(Any, coco)
    united = stubless.merge(stubless.frPyObjects(checked, *size))
    return Mask.from_coco({"size": list(size), "counts": united["counts"].decode()})
