"""Masks from clicks of a simulated person, and from one box: the protocol of interactive segmentation.

The first click is on the object's deepest pixel, the next ones in the middle of the worst error, until
the highest target is reached. "After 3 clicks" is the third answer, or the earlier one that reached it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from segma.errors import InputError
from segma.evaluation.metrics.boundary import boundary_f
from segma.evaluation.metrics.clicks import clicks_to
from segma.evaluation.protocols.asking import (
    Asked,
    Clicked,
    OnProgress,
    click_until,
    each_object,
    oracle_of_three,
)
from segma.evaluation.protocols.boxes import answer_box, box_values, jittered
from segma.evaluation.report import Case, Column, Report, Row, by_size_and_source, parts_of
from segma.models.interfaces import Promptable
from segma.prompts.simulate import Rule, points_of
from segma.runtime import Runtime
from segma.samples import ImageSample

AFTER = (1, 3, 5)
"""The numbers of clicks after which an answer is measured."""

_COUNTED = tuple(
    Column(measure=f"noc{target}", heading=f"NoC{target}", scale=1, digits=2) for target in (85, 90)
)
COLUMNS = (
    Column(measure="iou_click1", heading="1 click", interval=True),
    Column(measure="oracle_click1", heading="oracle"),
    Column(measure="iou_click3", heading="3 clicks", interval=True),
    Column(measure="iou_click5", heading="5 clicks", interval=True),
    Column(measure="iou_box", heading="box", interval=True),
    Column(measure="over75_click1", heading=">75: 1"),
    Column(measure="over75_click3", heading="3"),
    Column(measure="over75_box", heading="box"),
    Column(measure="f_click1", heading="F: 1"),
    Column(measure="f_click3", heading="3"),
    Column(measure="f_box", heading="box"),
    *_COUNTED,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClicksConfig:
    """At most `clicks` an object, which ends at the highest of the `targets`; IoU.

    `rule` says which error is clicked on next; `jitter` is how far the box's sides are off, at most.
    """

    clicks: int = 20
    targets: tuple[float | int, ...] = (0.85, 0.90)
    rule: Rule = "area"
    jitter: float | int = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.clicks <= 100:
            raise InputError("input.value", f"clicks is {self.clicks}; it goes from 1 to 100.")
        if not self.targets or not all(0 < target <= 1 for target in self.targets):
            raise InputError("input.value", f"targets are {self.targets}; each lies above 0, up to 1.")


@dataclass(slots=True)
class _Seconds:
    """How long things took, one number each."""

    encode: list[float] = field(default_factory=list[float])
    click: list[float] = field(default_factory=list[float])
    box: list[float] = field(default_factory=list[float])

    def medians(self) -> dict[str, float]:
        lists = {"encode": self.encode, "click": self.click, "box": self.box}
        return {name: statistics.median(values) for name, values in lists.items() if values}


def run(
    network: Promptable,
    samples: Sequence[ImageSample],
    config: ClicksConfig | None = None,
    *,
    runtime: Runtime | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Every object by clicks and from a box. `on_progress(objects done, objects in all)`.

    Raises MemoryLimitError; pictures and objects that cannot be used are in `skipped` of the report.
    """
    config = config or ClicksConfig()
    rows: list[Row] = []
    skipped: list[str] = []
    seconds = _Seconds()
    for asked in each_object(network, samples, runtime or Runtime(), skipped, on_progress):
        rows.append(_row(asked, config, seconds))
    said = {
        **{_after(n): (f"predicted_click{n}", f"iou_click{n}") for n in AFTER},
        "from a box": ("predicted_box", "iou_box"),
    }
    return Report(
        protocol="clicks",
        columns=COLUMNS,
        rows=tuple(rows),
        parts=parts_of(by_size_and_source(rows), config.seed, said),
        settings=asdict(config),
        skipped=tuple(skipped),
        seconds=seconds.medians(),
    )


def _row(asked: Asked, config: ClicksConfig, seconds: _Seconds) -> Row:
    """All measures of one object."""
    start = time.perf_counter()
    record = answer_box(asked, jittered(asked, config.jitter))
    boxed = time.perf_counter()
    stop = max(config.targets)
    found = click_until(asked.session, asked.truth, config.clicks, stop_iou=stop, rule=config.rule)
    seconds.encode.append(asked.session.encode_seconds)
    seconds.box.append(boxed - start)
    seconds.click.append((time.perf_counter() - boxed) / len(found.records))
    last = found.after(3)
    return Row(
        key=asked.key,
        group=asked.name,
        source=asked.source,
        area=asked.area,
        values={**_click_values(asked, found, config), **box_values(asked, record)},
        curve=found.curve,
        case=Case(
            picture=asked.picture,
            truth=asked.object.mask,
            answer=found.records[last].compact,
            score=found.curve[last],
            points=points_of(found.clicks[: last + 1]),
        ),
    )


def _click_values(asked: Asked, found: Clicked, config: ClicksConfig) -> dict[str, float]:
    truth = asked.truth
    values = {"oracle_click1": oracle_of_three(asked.session, truth)}
    for number in AFTER:
        if number > config.clicks:
            continue
        at = found.after(number)
        mask, overlap = found.records[at].mask, found.curve[at]
        values |= {
            f"iou_click{number}": overlap,
            f"over75_click{number}": float(overlap > 0.75),
            f"f_click{number}": boundary_f(mask, truth),
            f"f2_click{number}": boundary_f(mask, truth, 2),
            f"predicted_click{number}": found.records[at].predicted_iou,
        }
    for target in config.targets:
        number, reached = clicks_to(found.curve, target, config.clicks)
        name = f"{round(100 * target)}"
        values |= {f"noc{name}": float(number), f"fail{name}": float(not reached)}
    return values


def _after(number: int) -> str:
    return f"after {number} click" + ("" if number == 1 else "s")
