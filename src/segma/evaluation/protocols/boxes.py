"""Masks from a box: tight, with its sides off by some percent, and with the first answer fed back.

Feeding the mask back with the box is what the paper does with boxes of a detector (SAM section 14).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from segma.errors import InputError
from segma.evaluation.metrics.boundary import boundary_f
from segma.evaluation.metrics.iou import iou
from segma.evaluation.protocols.asking import Asked, OnProgress, each_object
from segma.evaluation.report import Case, Column, Report, Row, by_size_and_source, parts_of
from segma.models.interfaces import Promptable
from segma.prompts.simulate import box_prompt, jittered_box, key_generator
from segma.prompts.types import Box
from segma.results import MaskRecord
from segma.runtime import Runtime
from segma.samples import ImageSample

COLUMNS = (
    Column(measure="iou_tight", heading="tight", interval=True),
    Column(measure="iou_box", heading="jitter", interval=True),
    Column(measure="iou_double", heading="double jitter", interval=True),
    Column(measure="iou_again", heading="fed back", interval=True),
    Column(measure="over75_box", heading=">75"),
    Column(measure="f_box", heading="F"),
    Column(measure="f2_box", heading="F 2px"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxesConfig:
    """`jitter` is how far a side is moved at most, as a share of the box; "double" moves it twice as far."""

    jitter: float | int = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.jitter <= 0.25:
            raise InputError("input.value", f"jitter is {self.jitter}; it goes from 0 to 0.25.")


def run(
    network: Promptable,
    samples: Sequence[ImageSample],
    config: BoxesConfig | None = None,
    *,
    runtime: Runtime | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Every object from its box. `on_progress(objects done, objects in all)`. Raises MemoryLimitError."""
    config = config or BoxesConfig()
    rows: list[Row] = []
    skipped: list[str] = []
    seconds: list[float] = []
    for asked in each_object(network, samples, runtime or Runtime(), skipped, on_progress):
        start = time.perf_counter()
        rows.append(_row(asked, config))
        seconds.append(time.perf_counter() - start)
    return Report(
        protocol="boxes",
        columns=COLUMNS,
        rows=tuple(rows),
        parts=parts_of(by_size_and_source(rows), config.seed, {"from a box": ("predicted_box", "iou_box")}),
        settings=asdict(config),
        skipped=tuple(skipped),
        seconds={"object": statistics.median(seconds)} if seconds else {},
    )


def jittered(asked: Asked, amount: float | int) -> Box:
    """The box of an object with its sides off; it follows from the object's key."""
    return box_prompt(jittered_box(asked.truth, key_generator(asked.key), amount))


def answer_box(asked: Asked, box: Box, previous: MaskRecord | None = None) -> MaskRecord:
    """The mask from a box, improved on if there is an earlier answer."""
    return asked.session.segment(box=box.xyxy, previous=previous)[0]


def box_values(asked: Asked, record: MaskRecord) -> dict[str, float]:
    """The measures of an answer to a jittered box."""
    mask, truth = record.mask, asked.truth
    overlap = iou(mask, truth)
    return {
        "iou_box": overlap,
        "over75_box": float(overlap > 0.75),
        "f_box": boundary_f(mask, truth),
        "f2_box": boundary_f(mask, truth, 2),
        "predicted_box": record.predicted_iou,
    }


def _row(asked: Asked, config: BoxesConfig) -> Row:
    box, truth = jittered(asked, config.jitter), asked.truth
    record = answer_box(asked, box)
    values = box_values(asked, record)
    others = {
        "iou_tight": answer_box(asked, jittered(asked, 0)),
        "iou_double": answer_box(asked, jittered(asked, 2 * config.jitter)),
        "iou_again": answer_box(asked, box, previous=record),
    }
    values |= {name: iou(other.mask, truth) for name, other in others.items()}
    return Row(
        key=asked.key,
        group=asked.name,
        source=asked.source,
        area=asked.area,
        values=values,
        case=Case(
            picture=asked.picture,
            truth=asked.object.mask,
            answer=record.compact,
            score=values["iou_box"],
            box=box,
        ),
    )
