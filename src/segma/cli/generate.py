"""`segma generate`: pictures and videos that a network makes up, and what follows on a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console
from segma.cli.cutout import NoMark
from segma.cli.inputs import AllowNetwork
from segma.cli.output import Overwrite

if TYPE_CHECKING:
    from segma.api import Model as Loaded
    from segma.cli.generate_files import Order

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Pictures and videos that a network makes up. Their files say so in their metadata.",
)

Label = Annotated[
    list[str] | None,
    typer.Option(
        "--class", metavar="N|NAME", help="What to make, by number or, where classes have them, by name."
    ),
]
Sentence = Annotated[
    list[str] | None,
    typer.Option(
        "--sentence",
        metavar="TEXT",
        help='What to make, in words that the generator knows: "a red star on wood".',
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A file, whose name says what is written; or a folder (an existing one, or a name that ends in "
        "/ or has no suffix). Without it files in the current folder.",
    ),
]
Length = Annotated[
    int | None,
    typer.Option(
        "--length", metavar="FRAMES", min=1, help="Frames to make; as many as are made at once without."
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateCompute(Compute):
    """The options of every verb that runs a network, of which this one takes a generator and a tokenizer."""

    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME|FILE", help='A generator of "segma model list", or a file.'
        ),
    ] = "generator"
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            metavar="NAME|FILE",
            help="The tokenizer it was trained with; without, that in its own file, or the usual one.",
        ),
    ] = None

    def load(
        self, on_progress: Callable[[int, int | None], None] | None = None, *, task: str = "generate"
    ) -> Loaded:
        """The generator. Raises ModelError, and InputError for a file that is not there."""
        return Compute.load(self, on_progress, task=task)

    def load_tokenizer(self) -> Loaded | None:
        """The tokenizer that was named, if one was. Raises as `load`."""
        if self.tokenizer is None:
            return None
        return replace(self, model=self.tokenizer).load(task="tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How many, by what chance, and how likely."""

    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, help="How many, of each class and sentence.")
    ] = 1
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of the first; the next have the next seeds.")
    ] = 0
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="How many at once.")] = 4
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", metavar="X", help="Of codes: 0 the likeliest, 1 as learned."),
    ] = None
    top_k: Annotated[
        int | None, typer.Option("--top-k", metavar="N", help="Of codes: keep the N likeliest.")
    ] = None
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", metavar="X", help="Of codes: keep the likeliest with this share together."),
    ] = None
    guidance: Annotated[
        float | None,
        typer.Option(
            "--guidance",
            metavar="X",
            help="How much the class is stressed: none is 0 for codes, 1 for diffusion.",
        ),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", help="Of diffusion: 250 of ddpm, 50 of ddim without."),
    ] = None
    sampler: Annotated[
        str | None,
        typer.Option("--sampler", metavar="ddpm|ddim", help="Of diffusion: as trained, or with few steps."),
    ] = None


def _order(
    sampling: Sampling,
    compute: GenerateCompute,
    console: Console,
    asked: tuple[list[str] | None, list[str] | None],
    output: str | None,
    overwrite: bool,
    no_mark: bool,
) -> Order:
    from segma.cli.generate_files import Order

    models = LazyModel(compute, console)
    labels, sentences = (each or [] for each in asked)
    return Order(sampling, compute, models, labels, sentences, output, overwrite, no_mark)


@app.command("image")
@command
def image(
    sampling: Sampling,
    compute: GenerateCompute,
    console: Console,
    label: Label = None,
    sentence: Sentence = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="The shape of the thing: a picture that is black where it is not, as segment writes.",
        ),
    ] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    no_mark: NoMark = False,
) -> int:
    """Pictures of a class, or of a sentence (-> image-207-seed0.png)."""
    from segma.cli.generate_files import make_images

    order = _order(sampling, compute, console, (label, sentence), output, overwrite, no_mark)
    return make_images(order, mask)


@app.command("video")
@command
def video(
    sampling: Sampling,
    compute: GenerateCompute,
    console: Console,
    label: Label = None,
    sentence: Sentence = None,
    length: Length = None,
    fps: Annotated[float, typer.Option("--fps", metavar="X", help="Frames a second.")] = 24,
    output: Output = None,
    overwrite: Overwrite = False,
    no_mark: NoMark = False,
) -> int:
    """Videos of a class, or of a sentence (-> video-11-seed0.mp4).

    Of a language model they may be longer than what it makes at once: then its last frames are given back.
    """
    from segma.cli.generate_files import make_videos

    order = _order(sampling, compute, console, (label, sentence), output, overwrite, no_mark)
    return make_videos(order, length, fps)


@app.command("continue")
@command
def continue_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A video, a folder of frames, or a picture.", show_default=False
        ),
    ],
    sampling: Sampling,
    compute: GenerateCompute,
    console: Console,
    label: Label = None,
    sentence: Sentence = None,
    length: Length = None,
    frames: Annotated[
        str | None,
        typer.Option("--frames", metavar="A-B", help="Go on from the end of these; of all without."),
    ] = None,
    fps: Annotated[
        float | None, typer.Option("--fps", metavar="X", help="Frames a second, where the source has none.")
    ] = None,
    allow_network: AllowNetwork = False,
    output: Output = None,
    overwrite: Overwrite = False,
    no_mark: NoMark = False,
) -> int:
    """What may follow on a video (match.mp4 -> match.continued.mp4), as long as --length says.

    The last frames of the source (5 of the official model) are cut to a square, and stand in front.
    """
    from segma.cli.generate_files import Beginning, continue_source

    order = _order(sampling, compute, console, (label, sentence), output, overwrite, no_mark)
    return continue_source(order, Beginning(source, frames, fps, allow_network), length)
