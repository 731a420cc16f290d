"""A CSV of objects: who, where, how large, how good; no masks. Cells stay empty for what nobody measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segma.formats.loss import LossReport, note
from segma.masks.mask import Mask
from segma.media.files import write_text
from segma.samples import Attribute, ImageSample, ObjectSample

COLUMNS: tuple[str, ...] = (
    "file",
    "frame",
    "time_seconds",
    "object",
    "label",
    "area_pixels",
    "box_x0",
    "box_y0",
    "box_x1",
    "box_y1",
    "centroid_x",
    "centroid_y",
    "predicted_iou",
    "presence",
    "source",
)
"""Boxes name the outermost pixels, themselves inside; the centroid is the mean of the pixels' middles.
Frame, time, presence and source come from the object's attributes of these names."""


def write(samples: Sequence[ImageSample], path: str | Path, *, overwrite: bool = False) -> LossReport:
    """Write one row an object. Errors as in `media.files.write_bytes`."""
    stream = io.StringIO()
    table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    table.writeheader()
    rows = [_row(sample, each) for sample in samples for each in sample.objects]
    table.writerows(rows)
    write_text(path, stream.getvalue(), overwrite=overwrite)
    return LossReport(written=len(rows), lost=note(len(rows), "masks, of which a table holds area and box"))


def _row(sample: ImageSample, each: ObjectSample) -> dict[str, Attribute]:
    """Cells by column; None is an empty cell."""
    given = {name: each.attributes.get(name) for name in ("frame", "time_seconds", "presence", "source")}
    return given | {
        "file": sample.file_name,
        "object": each.object_id,
        "label": each.label,
        "predicted_iou": each.predicted_iou,
        **measured(each.mask),
    }


def measured(mask: Mask) -> dict[str, Attribute]:
    """The cells of a mask: area, box and centroid; of an empty one the area only."""
    if not mask.crop_size[0]:
        return {"area_pixels": 0}
    y, x = np.nonzero(mask.crop())
    x0, y0, x1, y1 = (int(value) for value in mask.box)
    centroid_x, centroid_y = round(x0 + float(x.mean()), 3), round(y0 + float(y.mean()), 3)
    return {
        "area_pixels": len(x),
        "box_x0": x0,
        "box_y0": y0,
        "box_x1": x1,
        "box_y1": y1,
        "centroid_x": centroid_x,
        "centroid_y": centroid_y,
    }
