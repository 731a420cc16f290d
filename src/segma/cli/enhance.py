"""`segma enhance`: pictures, videos and files of codes, 2 or 4 times larger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from segma.cli.command import command
from segma.cli.compute import LazyModel
from segma.cli.console import Console
from segma.cli.cutout import NoMark
from segma.cli.generate import GenerateCompute
from segma.cli.inputs import AllowNetwork
from segma.cli.output import Overwrite

if TYPE_CHECKING:
    from segma.api import Model as Loaded

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Pictures, videos, files of codes (x.codes), folders or globs of pictures, - (a picture on "
        "standard input), or http addresses.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhanceCompute(GenerateCompute):
    """The options of every verb that runs a network, of which this one takes an enhancer and a tokenizer."""

    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME|FILE", help='An enhancer of "segma model list", or a file.'
        ),
    ] = "enhancer"
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            metavar="NAME|FILE",
            help="The tokenizer whose latents it has learned; without, the usual one.",
        ),
    ] = None

    def load(
        self, on_progress: Callable[[int, int | None], None] | None = None, *, task: str = "enhance"
    ) -> Loaded:
        """The enhancer. Raises ModelError, and InputError for a file that is not there."""
        return GenerateCompute.load(self, on_progress, task=task)


@app.command()
@command
def enhance(
    sources: Files,
    compute: EnhanceCompute,
    console: Console,
    scale: Annotated[
        int, typer.Option("--scale", "-s", metavar="N", min=1, help="How many times larger: 2 or 4.")
    ] = 2,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A picture (x.png, x.jpg, ...) or video (x.mp4, x.mov, x.webm), by its name; or a folder "
            "(an existing one, or a name that ends in / or has no suffix). Without it a file beside the "
            "source.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    allow_network: AllowNetwork = False,
    no_mark: NoMark = False,
) -> int:
    """Pictures and videos 2 or 4 times larger, sharper than bicubic.

    Writes photo.2x.png beside photo.jpg, clip.2x.mp4 beside clip.mp4, and of a file of codes what is in it.
    Alpha is kept, a video keeps its times and its sound, and any size goes: large ones in tiles. The network
    sharpens what is there; it makes nothing up, and cannot read what is too small to be read.
    """
    from segma.cli.enhance_files import Wanted, enhance_files

    wanted = Wanted(
        scale=scale, output=output, overwrite=overwrite, allow_network=allow_network, no_mark=no_mark
    )
    return enhance_files(sources, wanted, compute, LazyModel(compute, console))
