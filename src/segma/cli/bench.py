"""`segma bench`: speed and memory on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console, table
from segma.cli.exits import DONE
from segma.cli.inputs import Item

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@command
def bench(
    compute: Compute,
    console: Console,
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="A picture; a computed one without.")
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", metavar="N", min=1, max=100, help="Times each is measured.")
    ] = 5,
) -> int:
    """Speed and memory on this machine, as a table.

    Times are warm and the middle one of the repeats; "best" is the fastest. The click is the whole answer,
    run lengths included.
    """
    from segma.evaluation.protocols.speed import bench_rows, computed_picture, machine_facts

    picture = computed_picture() if source is None else Item(name=source).read()
    model = LazyModel(compute, console).get()
    console.note(f"measuring {model.name} on {model.runtime.describe()} ...")
    rows = bench_rows(model.promptable(), picture, runtime=model.runtime, repeats=repeats)
    size = {"width": picture.shape[1], "height": picture.shape[0]}
    data = {
        "model": model.name,
        "runtime": model.runtime.describe(),
        "picture": {"source": source, **size},
        "machine": machine_facts(),
        "rows": [row.to_dict() for row in rows],
    }
    cells = [
        [row.name, f"{row.value:.4g}", "" if row.best is None else f"{row.best:.4g}", row.unit]
        for row in rows
    ]
    title = f"{model.name}  {model.runtime.describe()}  picture {size['width']}x{size['height']}"
    body = table([["", "middle", "best", ""], *cells], right=frozenset({1, 2}))
    console.result(f"{title}\n{body}", data)
    return DONE
