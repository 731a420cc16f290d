"""What is known of the weights that are shipped: how they were made, how good they are, what was tried.

Beside `NAME.safetensors` in `checkpoints/embedded` stands `NAME.json`. Scores are means in percent on what
the data keep for tuning: `images` (IoU after click1, click3, from a box), `video` (J&F from the first mask).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast

from segma.errors import ModelError
from segma.media.files import write_text

IMAGES, VIDEO = "images", "video"
Kind = Literal["images", "video"]
KINDS: tuple[Kind, ...] = (IMAGES, VIDEO)
Scores = Mapping[str, Mapping[str, float | int]]
"""By kind and measure, percent."""

TARGETS: Scores = MappingProxyType(
    {
        IMAGES: MappingProxyType({"click1": 60.0, "click3": 75.0, "box": 75.0}),
        VIDEO: MappingProxyType({"jf": 60.0}),
    }
)
"""What the embedded model shall reach."""

_EXPECTED = "Expected what training.records.Record says."

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A collection that was trained on, and its terms as they are stated there."""

    name: str
    terms: str = "not stated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One embedded model. `history` holds every later try, the failed ones too; `notes` is for people."""

    name: str
    variant: str
    """Row of the system's VARIANTS."""
    recipe: str
    """The last recipe that changed the weights."""
    sha256: str
    """Of the weights beside this."""
    start: str = ""
    """What the last run began with; "" for random weights."""
    commit: str | None = None
    data: tuple[Source, ...] = ()
    samples: int = 0
    """Training pictures and clips seen in all runs."""
    minutes: float | int = 0.0
    """Training time of all runs."""
    hardware: str = ""
    """Of the last run that changed the weights."""
    scores: Scores = field(default_factory=dict[str, Mapping[str, float | int]])
    targets: Scores = field(default_factory=lambda: TARGETS)
    history: tuple[Mapping[str, Any], ...] = ()  # JSON
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])  # JSON
    """Whatever else the card says: limits, energy, what follows from the terms."""

    def shortfall(self, kind: Kind) -> float:
        """How much is lacking, as a share of the target: 0 where it is reached, 1 where nothing was measured.

        The mean over the measures that have a target.

        >>> one = Record(name="a", variant="", recipe="", sha256="", scores={"video": {"jf": 45}})
        >>> one.shortfall("video"), one.behind
        (0.25, 'images')
        """
        targets, scores = self.targets.get(kind, {}), self.scores.get(kind, {})
        lacking = [max(0.0, 1 - scores.get(name, 0) / value) for name, value in targets.items() if value > 0]
        return sum(lacking) / len(lacking) if lacking else 0.0

    @property
    def behind(self) -> Kind:
        """The kind that lacks most."""
        return max(KINDS, key=self.shortfall)

    @property
    def distance(self) -> float:
        """How far the model is from its targets: the larger shortfall."""
        return self.shortfall(self.behind)

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["data"] = [{"name": each.name, "terms": each.terms} for each in self.data]
        for name in ("scores", "targets"):
            values[name] = {kind: dict(part) for kind, part in values[name].items()}
        return values | {"history": [dict(each) for each in self.history], "notes": dict(self.notes)}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Record:  # JSON
        """The record of `to_dict`, checked. Raises ValueError, TypeError or KeyError."""
        unknown = sorted(row.keys() - {each.name for each in fields(cls)})
        if unknown:
            raise ValueError(f"an unknown field {unknown[0]}")
        texts = {name: _is(row[name], str) for name in ("name", "variant", "recipe", "sha256")}
        texts |= {name: _is(row.get(name, ""), str) for name in ("start", "hardware")}
        commit = row.get("commit")
        return cls(
            **texts,
            commit=None if commit is None else _is(commit, str),
            data=tuple(_source(each) for each in _rows(row.get("data", []))),
            samples=_is(row.get("samples", 0), int),
            minutes=_number(row.get("minutes", 0)),
            scores=_scores(row.get("scores", {})),
            targets=_scores(row.get("targets", TARGETS)),
            history=tuple(_rows(row.get("history", []))),
            notes=_row(row.get("notes", {})),
        )


def embedded_folder() -> Path:
    """Where the shipped weights are."""
    return Path(str(files("segma.checkpoints.embedded")))


def weights_path(record: Record, folder: Path) -> Path:
    """The weights that a record is about."""
    return folder / f"{record.name}.safetensors"


def record_path(name: str, folder: Path) -> Path:
    """The record of a model."""
    return folder / f"{name}.json"


def read_record(path: Path) -> Record:
    """The record in a file. Raises ModelError model.unreadable."""
    try:
        record = Record.from_dict(_row(json.loads(path.read_text(encoding="utf-8"))))
        if record.name != path.stem:
            raise ValueError(f"it names {record.name!r}")
    except KeyError as error:
        raise _unreadable(path, f"{error.args[0]} is not given") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    return record


def write_record(record: Record, folder: Path) -> Path:
    """Write a record beside its weights, and return the path. Raises StoreError."""
    text = json.dumps(record.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return write_text(record_path(record.name, folder), text, overwrite=True)


def embedded(folder: Path | None = None) -> list[Record]:
    """The records of all embedded models, furthest from its targets first.

    Raises ModelError for a record that makes no sense, or that has no weights beside it.
    """
    folder = embedded_folder() if folder is None else folder
    found = [read_record(path) for path in sorted(folder.glob("*.json"))]
    for record in found:
        path = weights_path(record, folder)
        if not path.is_file():
            raise ModelError("model.unreadable", f"{record.name}.json has no {path.name} beside it.")
    return sorted(found, key=lambda record: -record.distance)


def _unreadable(path: Path, why: str) -> ModelError:
    return ModelError("model.unreadable", f"{path.name}: no record of a model ({why}).", _EXPECTED)


def _is(value: object, kind: type[_Value]) -> _Value:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]!r} is no {kind.__name__}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise TypeError(f"{str(value)[:40]!r} is no number from 0 on")
    return float(value)


def _row(value: object) -> dict[str, Any]:  # JSON
    if not isinstance(value, dict):
        raise TypeError(f"{str(value)[:40]!r} is no object")
    return cast("dict[str, Any]", value)  # keys of JSON objects are strings


def _rows(value: object) -> list[dict[str, Any]]:  # JSON
    if not isinstance(value, list):
        raise TypeError(f"{str(value)[:40]!r} is no list")
    return [_row(each) for each in cast("list[object]", value)]


def _source(row: Mapping[str, Any]) -> Source:  # JSON
    return Source(name=_is(row["name"], str), terms=_is(row.get("terms", "not stated"), str))


def _scores(value: object) -> Scores:
    if not isinstance(value, Mapping):
        raise TypeError("scores are no object")
    found: dict[str, dict[str, float | int]] = {}
    for kind, part in cast("Mapping[str, object]", value).items():
        if kind not in KINDS or not isinstance(part, Mapping):
            raise ValueError(f"scores of {kind!r}, which is neither {' nor '.join(KINDS)}")
        measures = cast("Mapping[str, object]", part)
        found[kind] = {name: _number(measure) for name, measure in measures.items()}
    return found
