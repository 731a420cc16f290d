"""Records and prompts as rows, and back.

What a damaged or hostile table holds becomes StoreError `db.broken`: masks that come out of here decode.
"""

from __future__ import annotations

import math
from typing import Any

from segma.errors import SegmaError, StoreError
from segma.masks import rle
from segma.masks.mask import Mask
from segma.prompts.types import Box, FramePrompt, Points
from segma.results import TrackRecord
from segma.store.columns import Json, Values


def mask_values(record: TrackRecord) -> Values:
    """The columns of a record, without the key of the row; scores that are no number become None."""
    mask = record.compact
    return {
        "top": int(mask.offset[0]),
        "left": int(mask.offset[1]),
        "rows": int(mask.crop_size[0]),
        "columns": int(mask.crop_size[1]),
        "area": mask.area,
        "predicted_iou": _number(record.predicted_iou),
        "stability_score": None if record.stability_score is None else _number(record.stability_score),
        "object_score": _number(record.object_score),
        "source": record.source,
        "is_anchor": bool(record.is_anchor),
        "rle": bytes(mask.counts),
    }


def track_record(values: Values, size: tuple[int, int]) -> TrackRecord:
    """The record of columns, on a frame of `size` = (height, width). Raises StoreError `db.broken`."""
    try:
        return TrackRecord(
            compact=_mask(
                size,
                (values["top"], values["left"]),
                (values["rows"], values["columns"]),
                values["rle"],
            ),
            predicted_iou=_or_nan(values["predicted_iou"]),
            object_score=_or_nan(values["object_score"]),
            stability_score=values["stability_score"],
            source=values["source"],
            is_anchor=bool(values["is_anchor"]),
        )
    except (TypeError, ValueError) as error:
        raise StoreError("db.broken", f"A mask in the project cannot be read ({error}).") from error


def prompt_kind(prompt: FramePrompt) -> str:
    """What the table calls a prompt."""
    if prompt.mask is not None:
        return "mask"
    return "box" if prompt.points is None else "point"


def prompt_data(prompt: FramePrompt) -> Json:
    """A prompt as JSON, exactly."""
    data: Json = {}
    if prompt.points is not None:
        data["points"] = [list(xy) for xy in prompt.points.xy]
        data["labels"] = list(prompt.points.labels)
    if prompt.box is not None:
        data["box"] = list(prompt.box.xyxy)
    if prompt.mask is not None:
        mask = prompt.mask
        data["mask"] = {
            "size": [int(v) for v in mask.size],
            "offset": [int(v) for v in mask.offset],
            "crop_size": [int(v) for v in mask.crop_size],
            "counts": mask.counts.decode("ascii"),
        }
    return data


def frame_prompt(data: Any) -> FramePrompt:  # JSON of a table, whatever it holds
    """The prompt of JSON. Raises StoreError `db.broken`."""
    try:
        mask = data.get("mask")
        return FramePrompt(
            points=Points(data["points"], data["labels"]) if "points" in data else None,
            box=Box.of(data["box"]) if "box" in data else None,
            mask=mask
            and _mask(
                (int(mask["size"][0]), int(mask["size"][1])),
                (int(mask["offset"][0]), int(mask["offset"][1])),
                (int(mask["crop_size"][0]), int(mask["crop_size"][1])),
                mask["counts"].encode(),
            ),
        )
    except (SegmaError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise StoreError("db.broken", f"A prompt in the project cannot be read ({error}).") from error


def _mask(size: tuple[int, int], offset: tuple[int, int], crop: tuple[int, int], counts: bytes) -> Mask:
    """The mask of its parts. Raises ValueError where they do not fit, so that decoding cannot fail."""
    if crop == (0, 0) and offset == (0, 0) and not counts:
        return Mask(size=size, offset=offset, crop_size=crop, counts=counts)
    inside = all(
        at >= 0 and length > 0 and at + length <= end
        for at, length, end in zip(offset, crop, size, strict=True)
    )
    runs = rle.runs(counts)
    pixels = crop[0] * crop[1]
    if not inside or not runs.size or int(runs.min()) < 0 or int(runs.max()) > pixels:
        raise ValueError(f"a box of {crop[1]}x{crop[0]} at {offset[1]},{offset[0]} in {size[1]}x{size[0]}")
    if int(runs.sum()) != pixels:
        raise ValueError(f"rle sums to {int(runs.sum())}, box is {crop[1]}x{crop[0]} = {pixels}")
    return Mask(size=size, offset=offset, crop_size=crop, counts=bytes(counts))


def _number(value: float) -> float | None:
    value = float(value)
    return None if math.isnan(value) else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
