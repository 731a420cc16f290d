"""What the automatic mask generators of both systems return: a dict a mask, as scripts expect it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from segma.errors import InputError
from segma.masks.mask import Box, Mask
from segma.results import MaskRecord


def check_output_mode(mode: str) -> None:
    """Raises InputError `input.value` for a form of masks that is not there."""
    if mode not in _FORMS:
        raise InputError("input.value", f'No output mode "{mode}".', f"Modes: {', '.join(_FORMS)}.")


def as_dicts(records: Iterable[MaskRecord], output_mode: str) -> list[dict[str, Any]]:  # JSON, or masks
    """A dict for each record.

    Its fields are segmentation, area, bbox (x, y, width, height), predicted_iou, point_coords,
    stability_score, and crop_box (x, y, width, height).
    """
    return [
        {
            "segmentation": _FORMS[output_mode](record.compact),
            "area": record.area,
            "bbox": _xywh(record.box),
            "predicted_iou": record.predicted_iou,
            "point_coords": [list(xy) for xy in record.points],
            "stability_score": record.stability_score,
            "crop_box": _xywh(record.crop_box or (0, 0, 0, 0)),
        }
        for record in records
    ]


def _uncompressed(mask: Mask) -> dict[str, Any]:  # JSON
    return {"size": list(mask.size), "counts": mask.runs().tolist()}


def _xywh(box: Box) -> list[int]:
    x0, y0, x1, y1 = (int(side) for side in box)
    return [x0, y0, x1 - x0, y1 - y0]


_FORMS: Mapping[str, Callable[[Mask], Any]] = MappingProxyType(  # an array or JSON
    {"binary_mask": Mask.dense, "uncompressed_rle": _uncompressed, "coco_rle": Mask.to_coco}
)
