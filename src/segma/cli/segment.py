"""`segma segment`: masks in images from points, a box, a rough mask."""

from __future__ import annotations

from typing import Annotated

import typer

from segma.cli.batch import Done, Progress, run_batch
from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console
from segma.cli.inputs import AllowNetwork, Item, Sources, batch_of
from segma.cli.output import Place, Saving, json_data, mask_line, saved_line
from segma.cli.prompting import Prompting, questions_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Candidates = Annotated[
    int, typer.Option("--candidates", metavar="N", min=1, max=3, help="Masks of each object, best first.")
]


@app.command()
@command
def segment(
    sources: Sources,
    prompting: Prompting,
    saving: Saving,
    compute: Compute,
    console: Console,
    candidates: Candidates = 1,
    allow_network: AllowNetwork = False,
) -> int:
    """Masks in images from points, a box or a rough mask.

    Writes a mask PNG beside each source (truck.jpg -> truck.mask.png) unless -o says otherwise: white on
    black for one mask, a palette of ids for several. Coordinates are pixels, x first; an integer is the
    middle of that pixel.
    """
    questions = questions_of(prompting)
    batch = batch_of(sources, allow_network=allow_network)
    places = saving.places(batch, "mask", json_only=console.json)
    for name in questions.strangers(batch.items):
        console.note(f"note: {questions.origin} names {name}, which is not among the pictures")
    models = LazyModel(compute, console)

    def work(item: Item, place: Place | None, on_progress: Progress | None) -> Done:
        prediction = questions.answer(item, models, candidates=candidates, normalized=prompting.normalized)
        if place is not None:
            place.write(prediction)
        lines = [mask_line(record) for record in prediction]
        text = f"{item.name}  {len(lines)} mask" + ("" if len(lines) == 1 else "s")
        text += f"  {lines[0]}" if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
        note = saved_line(place, prediction.timings, models.describe())
        return Done(text=text, data=json_data(item, prediction, place, models.get().name), note=note)

    return run_batch(batch.items, places, work, models, console)
