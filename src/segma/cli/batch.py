"""Many pictures, one after the other: a failure costs one of them, an interruption keeps what is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    items: Sequence[Item], places: Sequence[Place | None], work: Work, models: LazyModel, console: Console
) -> int:
    """Do `work` for every picture with the place of its result, and give the exit code.

    Of a single picture the code is that of its error; of several it is 1 when some failed, and that of the
    first when all did. A picture alone gets a function that shows the progress within it. Raises what
    keeps the model from being loaded: then no picture can be done.
    """
    codes: list[int] = []
    with Bar("pictures" if len(items) > 1 else "clicks", quiet=console.quiet) as bar:
        try:
            for number, (item, place) in enumerate(zip(items, places, strict=True)):
                if len(items) > 1:
                    bar.update(number, len(items))
                alone = len(items) == 1
                codes.append(_one(item, place, work, models, console, bar, is_alone=alone))
        except (KeyboardInterrupt, Cancelled):
            with bar.paused():
                done = f"{codes.count(DONE)} of {len(items)} pictures are done"
                say(f"interrupted: {done}, and stay so. [cancelled]")
            return INTERRUPTED
    num_done = codes.count(DONE)
    if len(items) > 1:
        console.note(f"{len(items)} pictures: {num_done} done, {len(items) - num_done} failed")
    if num_done == len(items):
        return DONE
    return SOME_FAILED if num_done else codes[0]


def _one(
    item: Item,
    place: Place | None,
    work: Work,
    models: LazyModel,
    console: Console,
    bar: Bar,
    *,
    is_alone: bool,
) -> int:
    """Work on one picture and tell of it; 0, or the exit code of its error."""
    try:
        if place is not None:
            place.check()
        done = work(item, place, bar.update if is_alone else None)
    except Cancelled:
        raise
    except Exception as error:  # whatever is wrong with one picture, the others are still to be done
        if models.is_broken:
            raise
        with bar.paused():
            return console.failure(error, item.name)
    with bar.paused():
        console.result(done.text, done.data)
        console.note(done.note)
    return DONE
