"""`segma cutout`: an object alone, with alpha or on another background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segma.cli.batch import Done, Progress, run_batch
from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console
from segma.cli.inputs import AllowNetwork, Batch, Item, Sources, batch_of
from segma.cli.output import (
    Overwrite,
    Place,
    is_folder,
    json_data,
    mask_line,
    one_file,
    result_paths,
    saved_line,
)
from segma.cli.prompting import Prompting, questions_of
from segma.errors import FormatError, InputError

if TYPE_CHECKING:
    from segma.media.provenance import Mark
    from segma.results import Prediction
    from segma.tasks.cutout import Background

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_BACKGROUNDS = "none (alpha), white, black, green, blue, #rrggbb, blur:12 or image:bg.png."


_PICTURES = ("png", "webp")


CutoutOutput = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A picture file (of a video .mov, .webm or .mp4); or a folder (an existing one, or a name that "
        "ends in / or has no suffix). Without it a file beside the source.",
    ),
]


CutoutKind = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="KIND",
        help="Where the name of -o says nothing else: png or webp; of a video prores4444 (the usual one), "
        "webm-alpha, green, matte, h264, or png for a folder of frames.",
    ),
]


NoMark = Annotated[
    bool,
    typer.Option("--no-mark", help="Leave out the metadata that say: edited with segma, and which model."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class OfVideo:
    """Options that only a video or a project has."""

    object: Annotated[
        list[str] | None,
        typer.Option(
            "--object",
            metavar="NAME[@FRAME:point=X,Y...]",
            help="Of a project: an object by name, all without. Of a video: an object, as for segma track.",
        ),
    ] = None
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="A-B", help="Of a video: these frames, both inclusive.")
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """How the object is cut and what is put behind it."""

    background: Annotated[str, typer.Option("--background", metavar="WHAT", help=_BACKGROUNDS)] = "none"
    feather: Annotated[
        float, typer.Option("--feather", min=0, metavar="PIXELS", help="Width of the soft edge.")
    ] = 0.0
    grow: Annotated[
        float, typer.Option("--grow", metavar="PIXELS", help="Move the edge out, or in if negative.")
    ] = 0.0


@app.command()
@command
def cutout(
    sources: Sources,
    prompting: Prompting,
    edge: Edge,
    compute: Compute,
    console: Console,
    of_video: OfVideo,
    output: CutoutOutput = None,
    format: CutoutKind = None,
    overwrite: Overwrite = False,
    allow_network: AllowNetwork = False,
    no_mark: NoMark = False,
) -> int:
    """An object alone: with alpha, or over a colour, blur or a picture.

    Writes a PNG with alpha beside each source (truck.jpg -> truck.cutout.png) unless -o says otherwise. Of a
    video or a project (x.segma) it writes a video (match.mp4 -> match.cutout.mov) with the source's frame
    times and sound; a video is tracked first, with --point and --box on its first frame.
    """
    from segma.cli.cutout_video import VideoCut, cut_video, is_video
    from segma.media.credentials import sign, signing_of
    from segma.media.provenance import Mark
    from segma.tasks.cutout import background_of

    signing = None if no_mark else signing_of()
    if is_video(sources, of_video):
        cut = VideoCut(
            of_video, prompting, edge, compute, console, output, format, overwrite, no_mark, signing
        )
        return cut_video(sources, cut)
    questions = questions_of(prompting)
    behind = background_of(edge.background)
    batch = batch_of(sources, allow_network=allow_network)
    paths = _paths(batch, output, format)
    places = [Place(path=path, kind="cutout", overwrite=overwrite) for path in paths]
    models = LazyModel(compute, console)

    def work(item: Item, place: Place | None, on_progress: Progress | None) -> Done:
        assert place is not None
        prediction = questions.answer(item, models, candidates=1, normalized=prompting.normalized)
        mark = Mark(action="edited", model=models.get().name)
        _write(prediction, place, edge, behind, None if no_mark else mark)
        sign(place.path, mark, signing)
        lines = ", ".join(mask_line(record) for record in prediction)
        note = saved_line(place, prediction.timings, models.describe())
        data = json_data(item, prediction, place, models.get().name)
        return Done(text=f"{item.name}  cut out  {lines}", data=data, note=note)

    return run_batch(batch.items, places, work, models, console)


def _paths(batch: Batch, output: str | None, format: str | None) -> list[Path]:
    """Where the cut-outs go. Raises InputError, FormatError."""
    if format is not None and format not in _PICTURES:
        raise FormatError("format.unknown", f'No picture kind "{format}".', f"Use {' or '.join(_PICTURES)}.")
    if output is None or is_folder(output):
        return result_paths(batch.items, output, f".cutout.{format or 'png'}")
    path = one_file(output, batch)
    if format is not None and path.suffix.lower() != f".{format}":
        raise InputError("input.value", f"-o {output} and --format {format} contradict each other.")
    return [path]


def _write(
    prediction: Prediction,
    place: Place,
    edge: Edge,
    behind: Background,
    mark: Mark | None,
) -> None:
    """Write all objects of the prediction together."""
    import numpy as np

    from segma.masks.mask import Mask
    from segma.media.image import write_image
    from segma.tasks.cutout import cut_picture

    assert prediction.image is not None
    mask = Mask.from_dense(np.any(prediction.masks.dense(), axis=0))
    picture = cut_picture(prediction.image, mask, behind, feather=edge.feather, grow=edge.grow)
    write_image(picture, place.path, overwrite=place.overwrite, mark=mark)
