"""The program `segma`: a table of verbs, each in a module of its own that is imported when it is chosen.

Nothing heavy is imported here or at the top of a verb's module, so that help answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from segma import __version__


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """Where a verb stands (the module has an `app`), and its line in the list."""

    module: str
    help: str


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "segment": Verb(
            module="segma.cli.segment", help="Masks in images from points, a box or a rough mask."
        ),
        "everything": Verb(
            module="segma.cli.everything", help="Masks of all objects in images, from a grid of points."
        ),
        "track": Verb(module="segma.cli.track", help="Objects through a video, from prompts on any frames."),
        "stream": Verb(
            module="segma.cli.stream", help="Objects through a camera, address or pipe, frame by frame."
        ),
        "cutout": Verb(
            module="segma.cli.cutout",
            help="An object alone: with alpha, a colour, blur or a picture behind it.",
        ),
        "tokens": Verb(
            module="segma.cli.tokens", help="Pictures and videos as codes of a tokenizer, and back."
        ),
        "generate": Verb(module="segma.cli.generate", help="Pictures and videos that a network makes up."),
        "enhance": Verb(module="segma.cli.enhance", help="Pictures and videos 2 or 4 times larger."),
        "eval": Verb(module="segma.cli.evaluate", help="How good a model is on labelled pictures or clips."),
        "train": Verb(
            module="segma.cli.train", help="Train a model, or fit one to a folder of your labelled pictures."
        ),
        "model": Verb(module="segma.cli.model", help="List, explain, check and convert models."),
        "provenance": Verb(module="segma.cli.provenance", help="What made a file: the mark in its metadata."),
        "bench": Verb(module="segma.cli.bench", help="Speed and memory on this machine, as a table."),
        "doctor": Verb(module="segma.cli.doctor", help="What works here, and what to install."),
    }
)


class VerbGroup(TyperGroup):
    """The commands of the table.

    The contexts and formatters are click's, of which some versions of typer bring their own copy: hence Any.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # see the class
        """The verbs, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # see the class
        """The command of a verb, imported now; None where there is none."""
        if cmd_name not in VERBS:
            return None
        return typer.main.get_command(import_module(VERBS[cmd_name].module).app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # see the class
        """The list of verbs in `segma --help`, from the table alone."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


app = typer.Typer(
    name="segma",
    cls=VerbGroup,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
)


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"segma {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Point at something in an image or a video and get its mask.

    Results go to -o or beside the source, and one line each to standard output; notes go to standard error.
    "segma VERB --help" explains a verb.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program on these arguments (default: those of the process), and exit."""
    app_command: Any = typer.main.get_command(app)  # typer's own copy of click, or click
    app_command.main(args=None if arguments is None else list(arguments), prog_name="segma")


if __name__ == "__main__":
    main()
