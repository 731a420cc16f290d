"""Links resolve, generated pages are current, decisions are listed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
LINK = re.compile(r"\]\(<?([^)\s>]+)>?[^)]*\)")
FENCE = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)


def test_links_resolve(repository: Path) -> None:
    pages = [repository / "README.md", repository / "CONTRIBUTING.md", *(repository / "docs").rglob("*.md")]
    found = [(page, link) for page in pages if page.exists() for link in relative_links(page)]
    assert found, "no links were found at all"
    broken = [f"{page.relative_to(repository)}: {link}" for page, link in found if not leads(page, link)]
    assert broken == []


def test_links_are_read_outside_code_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "[a](a.md#part) ![b](<b.png>) [c](https://c.org) [d](#d)\n```\n[e](e.md)\n```\n", encoding="utf-8"
    )
    assert list(relative_links(page)) == ["a.md", "b.png"]
    assert not leads(page, "a.md")
    assert leads(page, "page.md")


def test_generated_pages_are_current(run_python: Run) -> None:
    done = run_python("scripts/docs", "--check")
    assert done.returncode == 0, done.stderr


def test_every_decision_is_listed(repository: Path) -> None:
    folder = repository / "docs" / "decisions"
    index = folder / "README.md"
    pages = {path.name for path in folder.glob("*.md")} - {index.name}
    assert pages == {link for link in relative_links(index) if "/" not in link}


def relative_links(page: Path) -> Iterator[str]:
    """The targets of a page's links to files, without the part after #."""
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target = link.partition("#")[0]
        if target and ":" not in target:
            yield target


def leads(page: Path, link: str) -> bool:
    return (page.parent / link).exists()
