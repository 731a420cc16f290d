"""`segma tokens`: encode, decode, info and compare, of pictures and videos as codes of a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console
from segma.cli.exits import DONE
from segma.cli.inputs import AllowNetwork
from segma.cli.output import Overwrite

if TYPE_CHECKING:
    from segma.api import Model as Tokenizer

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Pictures and videos as codes of a tokenizer, and back.",
)

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A picture or video file, a folder or glob of frames, - (a picture on standard input).",
        show_default=False,
    ),
]
Codes = Annotated[Path, typer.Argument(metavar="FILE", help="A file of codes.", show_default=False)]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenCompute(Compute):
    """The options of every verb that runs a network, of which this one takes a tokenizer."""

    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME|FILE", help='A tokenizer of "segma model list", or a file.'
        ),
    ] = "tokenizer"

    def load(
        self, on_progress: Callable[[int, int | None], None] | None = None, *, task: str = "tokens"
    ) -> Tokenizer:
        """The model. Raises ModelError, and InputError for a file that is not there."""
        return Compute.load(self, on_progress, task=task)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What of a source is taken."""

    size: Annotated[
        int | None,
        typer.Option(
            "--size", metavar="N", min=1, help="Make larger pictures smaller: N pixels on the longer side."
        ),
    ] = None
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="A-B", help="Of a video: these frames, both inclusive.")
    ] = None
    fps: Annotated[
        float | None,
        typer.Option("--fps", metavar="X", help="Frames a second of a folder or glob; 24 without."),
    ] = None
    allow_network: AllowNetwork = False


Latents = Annotated[
    bool, typer.Option("--latents", help="Latents, of a tokenizer that has them beside codes.")
]


@app.command("encode")
@command
def encode(
    source: Source,
    part: Part,
    compute: TokenCompute,
    console: Console,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="A file x.codes; beside the source without."),
    ] = None,
    latents: Latents = False,
    overwrite: Overwrite = False,
) -> int:
    """A picture or video as a file of codes (photo.jpg -> photo.codes).

    Any size and length: what is missing to whole windows and groups is padded, and cut off in decoding. A
    video is encoded as a stream, so that its length does not matter.
    """
    from segma.cli.tokens_files import encode_file

    return encode_file(
        source, output, part, LazyModel(compute, console), latents=latents, overwrite=overwrite
    )


@app.command("decode")
@command
def decode(
    file: Codes,
    compute: TokenCompute,
    console: Console,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A picture (x.png, x.jpg, ...) or video (x.mp4, x.mov, x.webm), by its name; or a folder "
            "of PNGs. Without it x.decoded.png or x.decoded.mp4 beside the file.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> int:
    """The picture or video of a file of codes."""
    from segma.cli.tokens_files import decode_file

    return decode_file(file, output, LazyModel(compute, console), overwrite=overwrite)


@app.command("info")
@command
def info(file: Codes, console: Console) -> int:
    """What is in a file of codes, which is read to its end; no model is needed."""
    from segma.cli.tokens_files import facts_of

    data = facts_of(file)
    text = "\n".join(f"{key.replace('_', ' '):<15} {_shown(value)}" for key, value in data.items())
    console.result(text, data)
    return DONE


@app.command("compare")
@command
def compare(
    source: Source,
    part: Part,
    compute: TokenCompute,
    console: Console,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The original, what codes keep and what JPEG or H.264 keep, side by side: a picture, or a "
            "video (x.mp4).",
        ),
    ] = None,
    latents: Latents = False,
    overwrite: Overwrite = False,
) -> int:
    """What codes keep of a picture or clip, beside JPEG or H.264 in as many bytes.

    PSNR in decibels and SSIM, of a clip the means over its frames. JPEG's quality and H.264's crf are the
    best whose bytes are not above those of the codes.
    """
    from segma.cli.tokens_compare import compare_source

    return compare_source(
        source, output, part, LazyModel(compute, console), latents=latents, overwrite=overwrite
    )


def _shown(value: object) -> str:
    """A value for people."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None or value == "" else str(value)
