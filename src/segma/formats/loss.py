"""What writing a format cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class LossReport:
    """How many objects were written, and one sentence for each thing the format could not hold."""

    written: int
    lost: tuple[str, ...] = ()

    def __str__(self) -> str:
        objects = "1 object" if self.written == 1 else f"{self.written} objects"
        return f"wrote {objects}" + "".join(f"; {note}" for note in self.lost)


def note(count: int, what: str) -> tuple[str, ...]:
    """A sentence with a count, or nothing where nothing is concerned.

    >>> note(3, "labels"), note(0, "labels")
    (('3 labels',), ())
    """
    return (f"{count} {what}",) if count else ()
