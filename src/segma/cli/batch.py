"""Many pictures, one after the other: a failure costs one of them, an interruption keeps what is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segma.cli.compute import LazyModel
from segma.cli.console import Console, say
from segma.cli.exits import DONE, INTERRUPTED, SOME_FAILED
from segma.cli.inputs import Item
from segma.cli.output import Place
from segma.cli.progress import Bar
from segma.errors import Cancelled

Progress = Callable[[int, int | None], None]
Work = Callable[[Item, Place | None, Progress | None], "Done"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What is said of a finished picture: its result as text and as JSON, and a note."""

    text: str
    data: Mapping[str, Any]  # JSON
    note: str


def run_batch(
    items: Sequence[Item],
    places: Sequence[Place | None],
    work: Work,
    models: LazyModel,
    console: Console,
    *,
    steps: str = "clicks",
) -> int:
    """Do `work` for every picture with the place of its result, and give the exit code.

    Of a single picture the code is that of its error; of several it is 1 when some failed, and that of the
    first when all did. A picture alone gets a function that shows the progress within it, in `steps`. Raises
    what keeps the model from being loaded: then no picture can be done.
    """
    with Bar("pictures" if len(items) > 1 else steps, quiet=console.quiet) as bar:
        run = _Run(work, models, console, bar, is_alone=len(items) == 1)
        try:
            for number, (item, place) in enumerate(zip(items, places, strict=True)):
                if not run.is_alone:
                    bar.update(number, len(items))
                run.one(item, place)
        except (KeyboardInterrupt, Cancelled):
            with bar.paused():
                done = f"{run.codes.count(DONE)} of {len(items)} pictures are done"
                say(f"interrupted: {done}, and stay so. [cancelled]")
            return INTERRUPTED
    num_done = run.codes.count(DONE)
    if not run.is_alone:
        console.note(f"{len(items)} pictures: {num_done} done, {len(items) - num_done} failed")
    if num_done == len(items):
        return DONE
    return SOME_FAILED if num_done else run.codes[0]


@dataclass(slots=True)
class _Run:
    """One pass over the pictures. `codes` has the exit code of every picture so far, 0 for what is done."""

    work: Work
    models: LazyModel
    console: Console
    bar: Bar
    is_alone: bool
    codes: list[int] = field(default_factory=list[int])

    def one(self, item: Item, place: Place | None) -> None:
        """Work on one picture and tell of it. Raises what stops them all."""
        try:
            if place is not None:
                place.check()
            done = self.work(item, place, self.bar.update if self.is_alone else None)
        except Cancelled:
            raise
        except Exception as error:  # whatever is wrong with one picture, the others are still to be done
            if self.models.is_broken:
                raise
            with self.bar.paused():
                self.codes.append(self.console.failure(error, item.name))
            return
        self.codes.append(DONE)
        with self.bar.paused():
            self.console.result(done.text, done.data)
            self.console.note(done.note)
