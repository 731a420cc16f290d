"""The card of an embedded model: its record (`training.records`) as a page for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from segma.training.records import KINDS, Record

_MEASURES = {
    "click1": "IoU, one click",
    "click3": "IoU, three clicks",
    "box": "IoU, a box",
    "jf": "J&F from the first mask",
    "jf_click1": "J&F from one click",
    "jf_click3": "J&F from three clicks",
}


def markdown(record: Record) -> str:
    """The page.

    `record.notes` may have `summary` and `terms` (texts), `steps` (rows), `scores` (tables) and `limits`
    (texts); what is missing is left out.
    """
    notes = record.notes
    parts = [f"# The model in the package: `{record.name}`\n", str(notes.get("summary", ""))]
    parts += ["## How good it is\n", *_scores(record)]
    parts += [_named_table(name, rows) for name, rows in _tables(notes.get("scores", {}))]
    if notes.get("limits"):
        parts += ["## Limits\n", "\n".join(f"- {each}" for each in notes["limits"])]
    parts += ["## How it was made\n", _made(record)]
    if notes.get("steps"):
        parts.append(_table(notes["steps"]))
    parts += ["## What it was trained on, and its terms\n", str(notes.get("terms", ""))]
    parts.append(_table([{"source": each.name, "terms as stated there": each.terms} for each in record.data]))
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def _scores(record: Record) -> Iterable[str]:
    rows: list[dict[str, Any]] = []  # JSON
    for kind in KINDS:
        for measure, value in record.scores.get(kind, {}).items():
            target = record.targets.get(kind, {}).get(measure)
            rows.append(
                {
                    "on what is kept for tuning": _MEASURES.get(measure, measure),
                    "found": f"{value:.1f}",
                    "wanted": "" if target is None else f"{target:.0f}",
                }
            )
    return [_table(rows)] if rows else []


def _made(record: Record) -> str:
    where = f", at commit `{record.commit[:12]}`" if record.commit else ""
    return (
        f"Of the size `{record.variant}`, last recipe `{record.recipe}`{where}. In all"
        f" {record.minutes:.0f} minutes of training and {record.samples:,} pictures and clips seen, on"
        f" {record.hardware}.\n\n"
        f"The weights' sha256 is `{record.sha256}`.\n"
    )


def _tables(tables: object) -> Iterable[tuple[str, Sequence[Mapping[str, Any]]]]:  # JSON
    return cast("Mapping[str, Sequence[Mapping[str, Any]]]", tables).items()


def _named_table(name: str, rows: Sequence[Mapping[str, Any]]) -> str:  # JSON
    return f"### {name}\n\n{_table(rows)}"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:  # JSON
    """Rows as a table; the columns are those of the first."""
    if not rows:
        return ""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name, "")) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
