"""What an evaluation found: rows of objects, means with intervals by part, as a table and as JSON.

Invariants: a measure that an object does not have (clicks that were not counted, say) is missing in its row,
never a number; every mean says over how many rows it is.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from segma.evaluation.metrics.bootstrap import Interval, bootstrap_mean
from segma.evaluation.metrics.calibration import expected_calibration_error
from segma.evaluation.protocols.speed import text_table
from segma.masks.mask import Mask
from segma.prompts.types import Box, Points
from segma.samples import PictureFile

SIZE_CLASSES: tuple[tuple[str, float, float], ...] = (
    ("small", 0.0, 0.02),
    ("medium", 0.02, 0.10),
    ("large", 0.10, math.inf),
)
"""By the share of the picture that an object covers: from, and below."""

_NAME_WIDTH = 36


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One answer that can be looked at: the picture, what is true, what was answered, what was asked."""

    picture: PictureFile
    truth: Mask
    answer: Mask
    score: float
    points: Points | None = None
    box: Box | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The measures of one object (of a video: and one way of prompting, `mode`).

    `group` names what it shares with others (its picture or clip); `area` is its share of the picture;
    `curve` the IoU after click 1, 2, ...
    """

    key: str
    group: str
    source: str
    area: float
    values: Mapping[str, float]
    mode: str = ""
    curve: tuple[float, ...] = ()
    case: Case | None = field(default=None, compare=False, repr=False)

    @property
    def size_class(self) -> str:
        """The name of its class in `SIZE_CLASSES`."""
        return next(name for name, low, high in SIZE_CLASSES if low <= self.area < high)

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready; the case stays behind."""
        named: dict[str, Any] = {"key": self.key, "source": self.source, "area": self.area}  # JSON
        if self.mode:
            named["mode"] = self.mode
        curve = {"curve": list(self.curve)} if self.curve else {}
        return {**named, **{key: _finite(value) for key, value in self.values.items()}, **curve}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A measure in the text table. `scale` 100 shows percent; `interval` shows how sure it is."""

    measure: str
    heading: str
    scale: float | int = 100
    digits: int = 1
    interval: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Means over some of the rows: all, a size, a source, a mode. `calibration` is by prompt."""

    name: str
    count: int
    values: Mapping[str, Interval]
    calibration: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready."""
        values = {
            name: {"mean": _finite(v.mean), "low": _finite(v.low), "high": _finite(v.high), "n": v.n}
            for name, v in self.values.items()
        }
        found = {name: _finite(value) for name, value in self.calibration.items()}
        return {"n": self.count, **values, **({"calibration": found} if found else {})}


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All of it. `settings` are those of the protocol, `origin` is what made it (model, machine, ...).

    `skipped` has one text for each object or picture that could not be measured; `seconds` are medians.
    """

    protocol: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    parts: tuple[Part, ...]
    settings: Mapping[str, Any]  # JSON
    skipped: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    origin: Mapping[str, Any] = field(default_factory=dict[str, Any])  # JSON

    def part(self, name: str) -> Part:
        """A part by name. Raises KeyError."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def mean(self, measure: str, part: str = "all") -> float:
        """The mean of a measure, NaN where nothing was measured."""
        found = self.part(part).values.get(measure)
        return float("nan") if found is None else found.mean

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready: `summary` by part, `rows` by object."""
        return {
            "protocol": self.protocol,
            **self.origin,
            "settings": dict(self.settings),
            "summary": {part.name: part.to_dict() for part in self.parts},
            "seconds": {name: _finite(value) for name, value in self.seconds.items()},
            "skipped": list(self.skipped),
            "rows": [row.to_dict() for row in self.rows],
        }

    def table(self) -> str:
        """The means as text, one line a part; what was not measured is "-"."""
        header = ["", "n", *(column.heading for column in self.columns)]
        lines: list[list[str]] = []
        for part in self.parts:
            cells = [_cell(part.values.get(column.measure), column) for column in self.columns]
            lines.append([_shortened(part.name), str(part.count), *cells])
        return text_table(header, lines)

    def notes(self) -> list[str]:
        """Lines below the table: how true the predicted IoU is, how long it took."""
        lines = [
            f"predicted IoU, {name}: {value:.3f} from the measured one (calibration error)"
            for name, value in (self.parts[0].calibration.items() if self.parts else ())
            if math.isfinite(value)
        ]
        times = [f"{name} {1000 * value:.0f} ms" for name, value in self.seconds.items()]
        return [*lines, *([", ".join(times)] if times else [])]

    def worst(self, count: int) -> list[Row]:
        """The rows with the lowest case scores, the lowest first."""
        shown = [row for row in self.rows if row.case is not None]
        return sorted(shown, key=lambda row: row.case.score if row.case else 1.0)[:count]


def by_size_and_source(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """All rows, then those of each size, then those of each source, without empty ones."""
    groups = [("all", list(rows))]
    groups += [(name, [row for row in rows if row.size_class == name]) for name, _, _ in SIZE_CLASSES]
    sources = sorted({row.source for row in rows if row.source})
    groups += [(f"from {source}", [row for row in rows if row.source == source]) for source in sources]
    return [(name, chosen) for name, chosen in groups if chosen]


def parts_of(
    groups: Iterable[tuple[str, Sequence[Row]]],
    seed: int,
    predictions: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> tuple[Part, ...]:
    """Means with bootstrap intervals over pictures, drawn from the seed.

    `predictions` are, by prompt, the measures of the predicted and of the measured IoU.
    """
    return tuple(_part(name, rows, seed, predictions) for name, rows in groups)


def _part(name: str, rows: Sequence[Row], seed: int, predictions: Mapping[str, tuple[str, str]]) -> Part:
    values: dict[str, Interval] = {}
    for measure in dict.fromkeys(key for row in rows for key in row.values):
        having = [row for row in rows if measure in row.values]
        # Of its own, so that a measure that is added leaves the intervals of the others as they were.
        generator = np.random.default_rng([seed, zlib.crc32(f"{name} {measure}".encode())])
        numbers = [row.values[measure] for row in having]
        values[measure] = bootstrap_mean(numbers, generator, groups=[row.group for row in having])
    calibration = {
        prompt: expected_calibration_error(*_pairs(rows, said, true))
        for prompt, (said, true) in predictions.items()
        if said in values
    }
    return Part(name=name, count=len(rows), values=values, calibration=calibration)


def _pairs(rows: Sequence[Row], said: str, true: str) -> tuple[list[float], list[float]]:
    having = [row.values for row in rows if said in row.values and true in row.values]
    return [values[said] for values in having], [values[true] for values in having]


def _cell(value: Interval | None, column: Column) -> str:
    if value is None or not math.isfinite(value.mean):
        return "-"
    text = f"{column.scale * value.mean:.{column.digits}f}"
    if not column.interval or not math.isfinite(value.low):
        return text
    return f"{text} ({column.scale * value.low:.0f}-{column.scale * value.high:.0f})"


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 3] + "..."


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
