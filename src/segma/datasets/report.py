"""What a reader skipped, and why: counted while it reads, said in one line afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Reason = Literal[
    "broken shard",
    "unreadable picture",
    "unreadable video",
    "size",
    "empty object",
    "broken labels",
    "link elsewhere",
]
"""`size` is a mask of another size than its picture; `broken labels` is what cannot be made sense of."""

_WORDS: Mapping[Reason, tuple[str, str]] = MappingProxyType(
    {
        "broken shard": ("broken shard", "broken shards"),
        "unreadable picture": ("unreadable picture", "unreadable pictures"),
        "unreadable video": ("unreadable video", "unreadable videos"),
        "size": ("mask of another size than its picture", "masks of another size than their pictures"),
        "empty object": ("empty object", "empty objects"),
        "broken labels": ("broken label", "broken labels"),
        "link elsewhere": ("link to another place", "links to other places"),
    }
)
_EXAMPLES = 3


@dataclass(kw_only=True, slots=True)
class ReadReport:
    """How often each reason was met, and the names of the first few; it grows while a reader is iterated.

    >>> report = ReadReport()
    >>> report.add("empty object", "a/b.json"), report.add("empty object", "a/b.json")
    (None, None)
    >>> report.add("broken shard", "x.tar")
    >>> report.summary()
    'skipped 3: 2 empty objects (a/b.json), 1 broken shard (x.tar)'
    """

    counts: dict[Reason, int] = field(default_factory=dict[Reason, int])
    examples: dict[Reason, list[str]] = field(default_factory=dict[Reason, list[str]])
    """Different names by reason, at most three of each."""

    def add(self, reason: Reason, name: str, count: int = 1) -> None:
        """Count what was skipped; `name` says where it stood."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        names = self.examples.setdefault(reason, [])
        if name not in names and len(names) < _EXAMPLES:
            names.append(name)

    def add_all(self, other: ReadReport) -> None:
        """Count what another reader skipped, of another process or data set."""
        for reason, count in other.counts.items():
            names = other.examples[reason]
            self.add(reason, names[0], count)
            for name in names[1:]:
                self.add(reason, name, 0)

    @property
    def skipped(self) -> int:
        """How many things were skipped in all."""
        return sum(self.counts.values())

    def summary(self) -> str:
        """One line: how many, and by reason, with examples; the most frequent first."""
        parts = [
            f"{count} {_WORDS[reason][count != 1]} ({_listed(self.examples[reason], count)})"
            for reason, count in sorted(self.counts.items(), key=lambda item: -item[1])
        ]
        return f"skipped {self.skipped}" + (f": {', '.join(parts)}" if parts else "")


def _listed(names: list[str], count: int) -> str:
    """The names, and dots where some were left out."""
    return ", ".join(names) + (", ..." if len(names) == _EXAMPLES < count else "")
