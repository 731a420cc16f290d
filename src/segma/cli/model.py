"""`segma model`: list, info, check, import and export of weights."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from segma.cli.command import command
from segma.cli.console import Console, say, table
from segma.cli.exits import DONE, MODEL
from segma.cli.output import Overwrite, spaced
from segma.errors import InputError
from segma.models.catalog import ALIASES, EmbeddedFile, Entry, OfficialFile, all_models, lookup

if TYPE_CHECKING:
    from segma.checkpoints.load import CheckpointFacts

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, explain, check and convert models.",
)

NameOrFile = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help='A name of "segma model list", or a checkpoint.')
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint: a file, or a folder of the hub.")]
Target = Annotated[Path, typer.Option("--output", "-o", metavar="PATH", help="Where to write.")]
_FLOAT_BYTES = 4


class Layout(StrEnum):
    """How the tensors are named."""

    OFFICIAL = "official"
    TRANSFORMERS = "transformers"


@app.command("list")
@command
def list_models(console: Console) -> int:
    """All models by name, with size and licence."""
    rows = [["name", "system", "parameters", "size", "licence", "weights", "note"]]
    for entry in all_models().values():
        data = _row(entry)
        rows.append(
            [
                entry.name,
                entry.system,
                spaced(entry.parameters),
                f"{data['size_bytes'] / 1e6:.0f} MB",
                entry.licence,
                data["weights"],
                entry.note,
            ]
        )
        if console.json:
            console.result("", data)
    if not console.json:
        console.result(table(rows, right=frozenset({2, 3})), {})
    return DONE


@app.command("info")
@command
def info(name_or_file: NameOrFile, console: Console) -> int:
    """What a model is, and where its weights are."""
    data: dict[str, Any] = {}  # JSON
    file = Path(name_or_file).expanduser()
    if _is_name(name_or_file):
        entry = lookup(name_or_file)
        data = _row(entry)
        file = weights_file(entry)
    if file.exists() or not data:
        data |= _facts(file)
    console.result("\n".join(f"{key:<13} {_shown(value)}" for key, value in data.items()), data)
    return DONE


@app.command("check")
@command
def check(file: File, console: Console) -> int:
    """Whether every tensor of a checkpoint fits.

    The exit code is 4 where some do not, and their names are listed.
    """
    from segma.checkpoints.load import inspect

    facts = inspect(file)
    misfit, kind = facts.misfit, facts.variant or facts.system
    data = {**_facts_data(facts), "fits": not misfit}
    shapes = [
        f"  misshapen {name}: {list(found)}, not {list(wanted)}" for name, found, wanted in misfit.misshapen
    ]
    lines = [
        f"{file}  {kind}, {facts.layout} layout, {facts.num_tensors} tensors: {misfit}",
        *(f"  missing {name}" for name in misfit.missing),
        *(f"  unexpected {name}" for name in misfit.unexpected),
        *shapes,
    ]
    if misfit:
        data |= {"missing": misfit.missing, "unexpected": misfit.unexpected, "misshapen": misfit.misshapen}
        say(f"error: {file.name}: {misfit}. {misfit.first}. [model.mismatch]")
    console.result("\n".join(lines), data)
    return MODEL if misfit else DONE


@app.command("import")
@command
def import_file(file: File, output: Target, console: Console, overwrite: Overwrite = False) -> int:
    """Any checkpoint as a safetensors file of ours.

    It has official names, and sizes, origin and licence inside.
    """
    if output.suffix != ".safetensors":
        raise InputError("input.value", f"{output.name}: an import is a .safetensors file.")
    return _convert(str(file.absolute()), output, Layout.OFFICIAL, console, overwrite=overwrite)


@app.command("export")
@command
def export(
    name_or_file: NameOrFile,
    output: Target,
    console: Console,
    layout: Annotated[
        Layout, typer.Option("--layout", metavar="|".join(Layout), help="How the tensors are named.")
    ] = Layout.OFFICIAL,
    overwrite: Overwrite = False,
) -> int:
    """A model as other programs read it.

    Under official names (.pth, .safetensors), or as a folder for transformers.
    """
    return _convert(name_or_file, output, layout, console, overwrite=overwrite)


def weights_file(entry: Entry) -> Path:
    """Where the weights of a model are, or would be once fetched."""
    from segma.checkpoints.hub import cache_folder, fetch

    match entry.weights:
        case OfficialFile(file_name=file_name):
            return cache_folder() / file_name
        case EmbeddedFile():
            return fetch(entry.name)


def _is_name(text: str) -> bool:
    """As for --model: a name of the catalog goes before a file, and a path is no name."""
    if ALIASES.get(text, text) in all_models():
        return True
    path = Path(text).expanduser()
    return not path.exists() and not path.suffix and "/" not in text and "\\" not in text


def _row(entry: Entry) -> dict[str, Any]:  # JSON
    """What the catalog says of a model. The size is that of the file, or, before it is here, of float32."""
    file = weights_file(entry)
    is_here = file.is_file()
    return {
        "name": entry.name,
        "system": entry.system,
        "tasks": list(entry.tasks),
        "parameters": entry.parameters,
        "licence": entry.licence,
        "size_bytes": file.stat().st_size if is_here else entry.parameters * _FLOAT_BYTES,
        "weights": "installed" if is_here else "not fetched",
        "path": str(file),
        "address": entry.weights.url if isinstance(entry.weights, OfficialFile) else None,
        "note": entry.note,
    }


def _facts(file: Path) -> dict[str, Any]:  # JSON
    """What a checkpoint says of itself."""
    from segma.checkpoints.load import inspect

    return _facts_data(inspect(file))


def _facts_data(facts: CheckpointFacts) -> dict[str, Any]:  # JSON
    return {
        "path": str(facts.path),
        "system": facts.system,
        "variant": facts.variant,
        "layout": facts.layout,
        "tensors": facts.num_tensors,
        "parameters": facts.num_parameters,
        "types": list(facts.dtypes),
        "size_bytes": facts.size_bytes,
        "sha256": facts.sha256,
        "licence": facts.licence,
        "origin": facts.origin,
        "config": facts.config,
        "fit": str(facts.misfit),
    }


def _shown(value: Any) -> str:  # JSON
    """A value for people."""
    if isinstance(value, int):
        return spaced(value)
    if isinstance(value, list):
        return ", ".join(str(each) for each in cast("list[Any]", value))  # JSON
    if isinstance(value, dict):
        rows = cast("dict[str, Any]", value)  # JSON
        return ", ".join(f"{key} {each}" for key, each in rows.items())
    return "-" if value is None or value == "" else str(value)


def _convert(model: str, output: Path, layout: Layout, console: Console, *, overwrite: bool) -> int:
    """Read a model and write it in a layout."""
    _check_target(output, layout, overwrite=overwrite)
    from segma.checkpoints.load import inspect, load
    from segma.checkpoints.save import save

    loaded = load(model)
    licence, origin = loaded.licence, loaded.name
    if loaded.files:
        first = loaded.files[0]
        file = first if len(loaded.files) == 1 else first.parent
        origin = inspect(file).origin or f"{file.name}, sha256 {loaded.weights_hash}"
    written: Literal["official", "transformers"] = layout.value
    save(loaded.module, loaded.config, output, origin=origin, licence=licence, layout=written)
    data = {
        "source": model,
        "output": str(output),
        "layout": layout.value,
        "origin": origin,
        "licence": licence,
    }
    console.result(
        f"{output}  {loaded.variant or loaded.system}, {layout.value} layout, licence {licence}", data
    )
    if loaded.note:
        console.note(f"note: {loaded.name}: {loaded.note}")
    return DONE


def _check_target(output: Path, layout: Layout, *, overwrite: bool) -> None:
    """Raises InputError where something is in the way, before any weights are read."""
    from segma.media.files import check_free

    if layout is Layout.OFFICIAL:
        check_free(output, overwrite=overwrite)
    elif output.is_file() or (not overwrite and output.is_dir() and any(output.iterdir())):
        raise InputError(
            "input.exists", f"{output} exists.", "Use --overwrite for a folder, or another name."
        )
