"""The frozen exam `worlds-val` as data: which scenes, the hashes of their truth, sentences and questions.

Reading it needs neither torch nor any rendering.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from segma.errors import FormatError
from segma.samples import QuestionSample, Sentence

NAME = "worlds-val"
SIZE = 256
"""Pixels along both sides of its pictures."""
_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamEntry:
    """One scene of the exam: how it is drawn, what it must be, and what is asked about it.

    `digest` is the SHA-256 of the scene; `areas` holds, for each whole in order of its id, the thousandths of
    the picture that are seen of it on the first, the middle and the last frame.
    """

    family: str
    seed: int
    num_frames: int
    digest: str
    areas: tuple[tuple[int, ...], ...]
    sentences: tuple[Sentence, ...]
    questions: tuple[QuestionSample, ...]

    @property
    def name(self) -> str:
        """What the image or clip is called."""
        return f"{self.family}-{self.seed}"

    @property
    def is_clip(self) -> bool:
        """Whether it has several frames."""
        return self.num_frames > 1


def exam_text() -> str:
    """The frozen file as it lies in the package."""
    return (importlib.resources.files("segma.worlds") / "data" / "worlds_val.json").read_text("utf-8")


@cache
def read_exam() -> tuple[ExamEntry, ...]:
    """All entries: first the images, then the clips. Raises FormatError for a file that is broken."""
    return parse_exam(exam_text())


def parse_exam(text: str) -> tuple[ExamEntry, ...]:
    """The entries of such a file. Raises FormatError where it is none, or its hash is of other rows."""
    try:
        found: dict[str, Any] = json.loads(text)
        rows: list[dict[str, Any]] = found["entries"]
        entries = tuple(_entry(row) for row in rows)
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError("format.bad", f"this is no exam: {error}.") from error
    if found.get("sha256") != exam_hash(entries):
        raise FormatError(
            "format.bad", f"{NAME}: its rows are not those that were frozen.", "Install segma again."
        )
    return entries


def exam_hash(entries: Sequence[ExamEntry]) -> str:
    """SHA-256 of everything the entries say."""
    return hashlib.sha256(json.dumps([_row(each) for each in entries], sort_keys=True).encode()).hexdigest()


def write_exam(entries: Sequence[ExamEntry], path: Path) -> None:
    """Freeze entries into a file, a row a line."""
    rows = ",\n".join(json.dumps(_row(each), separators=(",", ":"), sort_keys=True) for each in entries)
    head = f'{{"version":{_VERSION},"sha256":"{exam_hash(entries)}","entries":['
    path.write_text(f"{head}\n{rows}\n]}}\n", encoding="utf-8")


def _row(entry: ExamEntry) -> dict[str, Any]:
    """An entry as JSON has it; questions without what is their default."""
    row = asdict(entry)
    row["sentences"] = [(each.text, each.object_ids, each.kind) for each in entry.sentences]
    row["questions"] = [
        {key: value for key, value in asdict(each).items() if value not in ((), "") and key != "name"}
        for each in entry.questions
    ]
    return row


def _entry(row: dict[str, Any]) -> ExamEntry:
    name = f"{row['family']}-{row['seed']}"
    return ExamEntry(
        family=str(row["family"]),
        seed=int(row["seed"]),
        num_frames=int(row["num_frames"]),
        digest=str(row["digest"]),
        areas=tuple(tuple(int(value) for value in each) for each in row["areas"]),
        sentences=tuple(Sentence(str(text), tuple(ids), str(kind)) for text, ids, kind in row["sentences"]),
        questions=tuple(_question(name, each) for each in row["questions"]),
    )


def _question(name: str, row: dict[str, Any]) -> QuestionSample:
    return QuestionSample(
        name=name,
        question=str(row["question"]),
        answer=str(row["answer"]),
        kind=str(row["kind"]),
        choices=tuple(str(each) for each in row.get("choices", ())),
        object_ids=tuple(int(each) for each in row.get("object_ids", ())),
        spans_seconds=tuple((float(a), float(b)) for a, b in row.get("spans_seconds", ())),
        spans_frames=tuple((int(a), int(b)) for a, b in row.get("spans_frames", ())),
    )
