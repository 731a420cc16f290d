"""`segma track`: objects through a video, from prompts on any frames."""

from __future__ import annotations

from typing import Annotated

import typer

from segma.cli.command import command
from segma.cli.compute import Compute
from segma.cli.console import Console, say
from segma.cli.output import Overwrite
from segma.cli.stopping import Stop
from segma.cli.track_options import Manner, Range, Saying
from segma.cli.track_outputs import OutputKind, Outputs, ProjectFolder
from segma.cli.track_view import is_project

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A video file, a folder or glob of frames, or a project (x.segma) to go on with.",
        show_default=False,
    ),
]


@app.command()
@command
def track(
    source: Source,
    saying: Saying,
    ranging: Range,
    manner: Manner,
    compute: Compute,
    console: Console,
    output: Outputs = None,
    format: OutputKind = None,
    project: ProjectFolder = None,
    overwrite: Overwrite = False,
) -> int:
    """Objects through a video, from prompts on any frames.

    Writes a project beside the source (match.mp4 -> match.segma) unless -o says otherwise. A project is
    gone on with: --fix corrects, --object adds, --resume goes on, -o exports; only what changes is tracked
    again. At shot cuts an object stops, unless --across-cuts or --reidentify. With --json, one line a frame.
    """
    from segma.cli.track_project import go_on
    from segma.cli.track_video import Wanted, begin

    wanted = Wanted(
        saying=saying,
        ranging=ranging,
        manner=manner,
        compute=compute,
        console=console,
        outputs=tuple(output or ()),
        format=format,
        project=project,
        overwrite=overwrite,
    )
    with Stop(say) as stop:
        return go_on(source, wanted, stop) if is_project(source) else begin(source, wanted, stop)
