"""`segma everything`: masks of all objects in images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from segma.cli.batch import Done, Progress, run_batch
from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console
from segma.cli.inputs import AllowNetwork, Item, Sources, batch_of
from segma.cli.output import Place, Saving, json_data, saved_line, spaced

if TYPE_CHECKING:
    from segma.results import Prediction

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """The options of the official script, under its names; without, those that go with the model.

    For official weights these are the script's own defaults (`tasks.everything.EverythingConfig`).
    """

    points_per_side: Annotated[
        int | None,
        typer.Option(
            "--points-per-side",
            show_default="officially 32",
            metavar="N",
            min=1,
            help="Clicks along one side of the picture.",
        ),
    ] = None
    points_per_batch: Annotated[
        int | None,
        typer.Option(
            "--points-per-batch",
            show_default="officially 64",
            metavar="N",
            help="At most so many clicks are decoded together.",
        ),
    ] = None
    pred_iou_thresh: Annotated[
        float | None,
        typer.Option(
            "--pred-iou-thresh",
            show_default="officially 0.88",
            metavar="X",
            help="Keep masks of predicted IoU above this; 0 keeps all.",
        ),
    ] = None
    stability_score_thresh: Annotated[
        float | None,
        typer.Option(
            "--stability-score-thresh",
            show_default="officially 0.95",
            metavar="X",
            help="Keep masks of at least this stability; 0 keeps all.",
        ),
    ] = None
    stability_score_offset: Annotated[
        float | None,
        typer.Option(
            "--stability-score-offset",
            show_default="officially 1.0",
            metavar="X",
            help="Shift of the threshold to measure stability.",
        ),
    ] = None
    box_nms_thresh: Annotated[
        float | None,
        typer.Option(
            "--box-nms-thresh",
            show_default="officially 0.7",
            metavar="X",
            help="Box IoU above which the worse of two masks goes.",
        ),
    ] = None
    crop_n_layers: Annotated[
        int | None,
        typer.Option(
            "--crop-n-layers",
            show_default="officially 0",
            metavar="N",
            help="Layers of crops; layer k has 2^k x 2^k.",
        ),
    ] = None
    crop_nms_thresh: Annotated[
        float | None,
        typer.Option(
            "--crop-nms-thresh",
            show_default="officially 0.7",
            metavar="X",
            help="Box IoU above which the mask of the larger crop goes.",
        ),
    ] = None
    crop_overlap_ratio: Annotated[
        float | None,
        typer.Option(
            "--crop-overlap-ratio",
            show_default="officially 0.34",
            metavar="X",
            help="Overlap of crops, as a share of the short side.",
        ),
    ] = None
    crop_n_points_downscale_factor: Annotated[
        int | None,
        typer.Option(
            "--crop-n-points-downscale-factor",
            show_default="officially 1",
            metavar="N",
            help="Layer k has clicks per side / factor^k.",
        ),
    ] = None
    min_mask_region_area: Annotated[
        int | None,
        typer.Option(
            "--min-mask-region-area",
            show_default="officially 0",
            metavar="N",
            help="Smaller holes and islands, in pixels, are removed.",
        ),
    ] = None


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
