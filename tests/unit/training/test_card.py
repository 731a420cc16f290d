"""The card says what the record says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from segma.training.card import markdown
from segma.training.records import Record, Source, embedded

RECORD = Record(
    name="small",
    variant="sam2.1_conv_small",
    recipe="sam2_conv_clips",
    sha256="ab" * 32,
    commit="c" * 40,
    data=(Source(name="birds", terms="CC0 | with\na bar"), Source(name="dogs")),
    samples=12345,
    minutes=61.5,
    hardware="a CPU",
    scores={"images": {"click1": 41.25}, "video": {"jf": 40}},
    notes={"summary": "A small one.", "limits": ["No stars."], "steps": [{"recipe": "images", "minutes": 3}]},
)


def test_everything_that_is_known_is_told() -> None:
    page = markdown(RECORD)
    assert page.startswith("# The model in the package: `small`\n\nA small one.\n")
    assert "| IoU, one click | 41.2 | 60 |" in page and "| J&F from the first mask | 40.0 | 60 |" in page
    assert "- No stars." in page and "| images | 3 |" in page
    assert "| birds | CC0 \\| with a bar |" in page and "| dogs | not stated |" in page
    assert "12,345 pictures and clips" in page and "ab" * 32 in page and "`cccccccccccc`" in page


def test_what_is_missing_is_left_out() -> None:
    page = markdown(replace(RECORD, notes={}, scores={}, data=(), commit=None))
    assert "Limits" not in page and "commit" not in page and "None" not in page


def test_the_page_in_the_docs_is_that_of_the_record(repository: Path) -> None:
    [record] = [each for each in embedded() if each.name == "default"]
    page = repository / "docs/reference/default-model.md"
    assert page.read_text() == markdown(record), "write it again with scripts/card"
