"""How many of the labelled objects everything mode finds, with at most so many masks a picture.

Masks are ranked by the mean of predicted IoU and stability, as for object proposals in SAM section 14. An
object counts as found where one of the first masks overlaps it enough; masks of what nobody labelled cost
nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from segma.errors import InputError
from segma.evaluation.protocols.asking import Asked, OnProgress, each_object
from segma.evaluation.report import Case, Column, Report, Row, by_size_and_source, parts_of
from segma.masks.mask import Mask, mask_iou
from segma.models.interfaces import Promptable
from segma.results import MaskRecord
from segma.runtime import Runtime
from segma.samples import ImageSample
from segma.tasks.everything import EverythingConfig, segment_everything, usual_config

COLUMNS = (
    Column(measure="recall50", heading="recall 0.5", interval=True),
    Column(measure="recall75", heading="recall 0.75", interval=True),
    Column(measure="best_iou", heading="best IoU", interval=True),
    Column(measure="num_masks", heading="masks", scale=1),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecallConfig:
    """At most `max_masks` a picture count; `options` are changes to how the model usually makes them."""

    max_masks: int = 100
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of `EverythingConfig`."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_masks < 1:
            raise InputError("input.value", f"max_masks is {self.max_masks}; it starts at 1.")


@dataclass(slots=True)
class _Found:
    """The masks of the picture that is worked on, and how long each picture took."""

    name: str | None = None
    masks: list[Mask] = field(default_factory=list[Mask])
    seconds: list[float] = field(default_factory=list[float])


def run(
    network: Promptable,
    samples: Sequence[ImageSample],
    config: RecallConfig | None = None,
    *,
    runtime: Runtime | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Every object of every picture. `on_progress(objects done, objects in all)`. Raises MemoryLimitError."""
    config, runtime = config or RecallConfig(), runtime or Runtime()
    making = replace(usual_config(network.input_spec), **config.options)
    rows: list[Row] = []
    skipped: list[str] = []
    found = _Found()
    for asked in each_object(network, samples, runtime, skipped, on_progress):
        if asked.name != found.name:
            start = time.perf_counter()
            prediction = segment_everything(network, asked.session.image, making, runtime=runtime)
            found.name, found.masks = asked.name, _ranked(prediction.records)[: config.max_masks]
            found.seconds.append(time.perf_counter() - start)
        rows.append(_row(asked, found.masks))
    return Report(
        protocol="everything",
        columns=COLUMNS,
        rows=tuple(rows),
        parts=parts_of(by_size_and_source(rows), config.seed),
        settings={
            "max_masks": config.max_masks,
            "seed": config.seed,
            "everything": _plain(making),
        },
        skipped=tuple(skipped),
        seconds={"picture": statistics.median(found.seconds)} if found.seconds else {},
    )


def _ranked(records: Sequence[MaskRecord]) -> list[Mask]:
    """The masks, the ones said to be best first."""
    order = sorted(records, key=lambda r: -(r.predicted_iou + (r.stability_score or 0.0)))
    return [record.compact for record in order]


def _row(asked: Asked, masks: Sequence[Mask]) -> Row:
    overlaps = [mask_iou(mask, asked.object.mask) for mask in masks]
    best = max(range(len(masks)), key=overlaps.__getitem__, default=None)
    overlap = 0.0 if best is None else overlaps[best]
    nothing = Mask(size=asked.session.size, offset=(0, 0), crop_size=(0, 0), counts=b"")
    values = {
        "recall50": float(overlap >= 0.5),
        "recall75": float(overlap >= 0.75),
        "best_iou": overlap,
        "num_masks": float(len(masks)),
    }
    return Row(
        key=asked.key,
        group=asked.name,
        source=asked.source,
        area=asked.area,
        values=values,
        case=Case(
            picture=asked.picture,
            truth=asked.object.mask,
            answer=nothing if best is None else masks[best],
            score=overlap,
        ),
    )


def _plain(config: EverythingConfig) -> Mapping[str, object]:
    """The options as JSON; grids of one's own are only counted."""
    fields = asdict(config)
    grids = fields.pop("point_grids")
    return {**fields, "point_grids": None if grids is None else [len(grid) for grid in grids]}
