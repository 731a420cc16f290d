"""`segma everything`: masks of all objects in images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from segma.cli.batch import Done, Progress, run_batch
from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console
from segma.cli.everything_options import Grid
from segma.cli.inputs import AllowNetwork, Item, Sources, batch_of
from segma.cli.output import Place, Saving, json_data, saved_line, spaced

if TYPE_CHECKING:
    from segma.results import Prediction

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@command
def everything(
    sources: Sources,
    grid: Grid,
    saving: Saving,
    compute: Compute,
    console: Console,
    allow_network: AllowNetwork = False,
) -> int:
    """Masks of all objects in images, from a grid of points.

    Writes SA-1B JSON beside each source (truck.jpg -> truck.masks.json) unless -o or --format says otherwise.
    "--format masks" and "--format rle" are the two outputs of the official script: a folder of PNGs with
    metadata.csv, and a JSON list of run lengths.
    """
    from segma.tasks.everything import EverythingConfig

    options = {name: value for name, value in asdict(grid).items() if value is not None}
    EverythingConfig(**options)  # what makes no sense is told before a model is loaded
    batch = batch_of(sources, allow_network=allow_network)
    places = saving.places(batch, "sa1b", json_only=console.json)
    models = LazyModel(compute, console)

    def work(item: Item, place: Place | None, on_progress: Progress | None) -> Done:
        from dataclasses import replace

        picture = item.read()
        prediction = models.get().everything(picture, on_progress=on_progress, **options)
        prediction = replace(prediction, source=item.file_name)
        if place is not None:
            place.write(prediction)
        text = f"{item.name}  {count_line(prediction)}"
        note = saved_line(place, prediction.timings, models.describe())
        return Done(text=text, data=json_data(item, prediction, place, models.get().name), note=note)

    return run_batch(batch.items, places, work, models, console)


def count_line(prediction: Prediction) -> str:
    """How many masks, of how many candidates, and what removed the others."""
    counts = prediction.counts
    reasons = {
        "low score": "low_iou",
        "unstable": "unstable",
        "at a crop's edge": "at_edge",
        "duplicate": "duplicate",
    }
    removed = {words: counts[key] for words, key in reasons.items() if counts[key]}
    parts = ", ".join(f"{spaced(count)} {words}" for words, count in removed.items())
    masks = "1 mask" if len(prediction) == 1 else f"{spaced(len(prediction))} masks"
    return (
        f"{masks}  ({spaced(counts['points'])} points, {spaced(counts['candidates'])} candidates, "
        f"{spaced(sum(removed.values()))} removed{': ' if parts else ''}{parts})"
    )
