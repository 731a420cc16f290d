"""A CSV of tracks: one row for each object and frame with a mask, in the columns of `table`; no masks.

Presence is `present` or `absent` (an empty mask); the source is `person` on anchors, `model` where a
predicted IoU is known, else empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from segma.formats import table
from segma.formats.loss import LossReport, note
from segma.formats.tracks import annotated_frames, lost
from segma.media.files import new_file
from segma.samples import Attribute, TrackSample, VideoSample


def write(samples: Sequence[VideoSample], path: str | Path, *, overwrite: bool = False) -> LossReport:
    """Write the rows, frame by frame, the objects of a frame in their order. Errors as in `new_file`."""
    rows = 0
    with new_file(path, overwrite=overwrite) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        lines = csv.DictWriter(text, table.COLUMNS, lineterminator="\n")
        lines.writeheader()
        for sample in samples:
            for cells in _rows(sample):
                lines.writerow(cells)
                rows += 1
        text.detach()
    return LossReport(
        written=sum(len(sample.objects) for sample in samples),
        lost=(
            *note(rows, "masks, of which a table holds area and box"),
            *lost(samples, kept=["labels", "predicted_iou", "anchors", "video", "length"]),
            *note(sum(len(sample.attributes) > 0 for sample in samples), "videos' attributes"),
        ),
    )


def _rows(sample: VideoSample) -> Iterator[dict[str, Attribute]]:
    for frame in annotated_frames(sample):
        for each in sample.objects:
            mask = each.masklet.masks.get(frame)
            if mask is not None:
                yield table.measured(mask) | {
                    "file": sample.name,
                    "frame": frame,
                    "time_seconds": _time(sample, frame),
                    "object": each.object_id,
                    "label": each.label,
                    "predicted_iou": each.predicted_iou.get(frame),
                    "presence": "present" if mask.crop_size[0] else "absent",
                    "source": _source(each, frame),
                }


def _source(each: TrackSample, frame: int) -> str | None:
    if frame in each.anchors:
        return "person"
    return "model" if frame in each.predicted_iou else None


def _time(sample: VideoSample, frame: int) -> float | None:
    """Seconds, to the microsecond."""
    if sample.times is not None and frame < len(sample.times):
        return round(sample.times[frame], 6)
    return round(frame / sample.fps, 6) if sample.fps else None
