"""`segma train`: a recipe on folders of labelled pictures and clips, or a model fitted to your own folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segma.cli.command import command
from segma.cli.compute import Precision
from segma.cli.console import Console, table
from segma.cli.exits import DONE
from segma.cli.progress import Bar
from segma.cli.stopping import Stop
from segma.errors import Cancelled, InputError
from segma.training.catalog import FINETUNE, RECIPES, recipe

if TYPE_CHECKING:
    from segma.training.config import TrainConfig
    from segma.training.distributed import Team
    from segma.training.loop import Progress
    from segma.training.start import Outcome

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

_NOT_MEASURED = "not measured"
# Scores by name, and what people call them.
_PERCENTS: Mapping[str, str] = MappingProxyType(
    {"click1": "1 click", "click3": "3 clicks", "box": "box", "jf": "J&F"}
)
_DECIBELS: Mapping[str, str] = MappingProxyType(
    {
        "psnr_codes": "PSNR of codes",
        "psnr_latent": "of latents",
        "clip_psnr_codes": "clips, of codes",
        "clip_psnr_latent": "of latents",
        "psnr_2x": "PSNR 2x",
        "bicubic_2x": "bicubic 2x",
        "psnr_4x": "PSNR 4x",
        "bicubic_4x": "bicubic 4x",
    }
)
_NATS: Mapping[str, str] = MappingProxyType({"nats": "asked for", "nats_unasked": "not asked for"})
_ERRORS: Mapping[str, str] = MappingProxyType({"error": "asked for", "error_unasked": "not asked for"})
# What scores are measured in, and how many digits are told of them.
_UNITS: Mapping[str, tuple[Mapping[str, str], int]] = MappingProxyType(
    {
        "dB": (_DECIBELS, 1),
        "nats a code": (_NATS, 3),
        "squared error of noise": (_ERRORS, 4),
        "IoU": (_PERCENTS, 1),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What is trained on what, and where it goes."""

    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="Data in any known layout, labelled where the recipe learns masks; may be repeated.",
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a field of the recipe; may be repeated."),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME|FILE", help="What to start from, where not from nothing."
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="The run; goes on there, if it was begun."),
    ] = None
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", min=0.0, help="Stop after so long, all in all.")
    ] = None
    check: Annotated[
        list[Path] | None,
        typer.Option(
            "--check", metavar="FOLDER", help="Other data, to see what it costs there; may be repeated."
        ),
    ] = None

    def config(self, target: str) -> TrainConfig:
        """The recipe, or that of a folder, with all changes. Raises InputError."""
        from segma.training.settings import changed

        folder = Path(target)
        is_folder = target not in RECIPES and folder.exists()
        config = recipe(FINETUNE if is_folder else target)
        data = [*([folder] if is_folder else []), *(self.data or [])]
        if data:
            config = replace(config, data=tuple(str(each) for each in data))
        if self.model is not None:
            config = replace(config, start=self.model)
        if self.minutes is not None:
            config = replace(config, minutes=self.minutes)
        return changed(config, self.settings or [])

    def folder(self, target: str) -> Path:
        """Where the run goes: `-o`, else beside a folder, or here by the recipe's name."""
        if self.output is not None:
            return self.output
        path = Path(target) if target not in RECIPES else Path()
        return path.resolve().parent / f"{path.resolve().name}-run" if path.name else Path(f"{target}-run")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where it runs, and how precisely."""

    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto"
    precision: Annotated[
        Precision | None,
        typer.Option(
            "--precision",
            metavar="|".join(Precision),
            help="auto is bf16 where the machine has units for it.",
        ),
    ] = None
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, help="Threads of the CPU; torch's own choice without."),
    ] = None


@app.command()
@command
def train(
    training: Training,
    machine: Machine,
    console: Console,
    target: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE|FOLDER", help="A name of --list, or labelled pictures."),
    ] = None,
    list_recipes: Annotated[bool, typer.Option("--list", help="The recipes, and stop.")] = False,
) -> int:
    """Train a model, or fit one to a folder of your labelled pictures.

    Writes weights.safetensors and report.json into the run's folder (my_photos -> my_photos-run). Ctrl-C
    saves; the same command again goes on. Of a folder some pictures are kept aside: the report says how good
    the model was on them before, and is after.
    """
    if list_recipes:
        return _listed(console)
    if target is None:
        raise InputError("input.value", "Train what?", f"Recipes: {', '.join(RECIPES)}; or a folder.")
    config, folder = training.config(target), training.folder(target)
    config = replace(config, precision=config.precision if machine.precision is None else machine.precision)
    from segma.training.distributed import Team

    with Team.from_environment(machine.device) as team:
        if team.leads:
            _check_free(folder)
        else:
            console = replace(console, quiet=True)
        with Bar("training", quiet=console.quiet) as bar:
            outcome = _train(config, folder, training, machine, console, bar, team)
    if not team.leads:
        return DONE
    console.result(_text(outcome), {"folder": str(outcome.folder), **outcome.report})
    for line in _notes(outcome):
        console.note(line)
    return DONE


def _train(
    config: TrainConfig,
    folder: Path,
    training: Training,
    machine: Machine,
    console: Console,
    bar: Bar,
    team: Team,
) -> Outcome:
    """The run. Raises Cancelled, which says how to go on."""
    from segma.runtime import Runtime
    from segma.training.saving import NAME
    from segma.training.start import start

    runtime = Runtime(
        device=machine.device,
        precision=config.precision,  # pyright: ignore[reportArgumentType]  Runtime checks it
        threads=machine.threads,
    )
    began = "going on in" if (folder / NAME).exists() else "training in"
    together = f", {team.size} processes" if team.size > 1 else ""
    console.note(f"{began} {folder} ({config.name}, {runtime.describe()}{together}) ...")

    def show(progress: Progress) -> None:
        total = round(progress.step * (1 + progress.seconds_left / max(progress.seconds, 1e-9)))
        bar.update(progress.step, max(total, progress.step), _progress_note(progress))

    with Stop(console.note, "step") as stop, stop.gently() as event:
        try:
            return start(
                config,
                folder,
                runtime,
                show,
                check=tuple(training.check or ()),
                stop=event.is_set,
                team=team,
            )
        except Cancelled as error:
            raise Cancelled(f"{error.message} The same command again goes on from there.") from error


def _progress_note(progress: Progress) -> str:
    """What stands behind the bar."""
    parts = [
        f"loss {progress.loss:.3f}",
        f"{progress.samples_per_second:.1f} samples/s",
        f"loading {progress.loading_share:.0%}",
    ]
    if progress.unreadable:
        parts.append(f"{progress.unreadable} unreadable")
    return "  ".join(parts)


def _check_free(folder: Path) -> None:
    """Raises InputError for a folder with other things than a run in it."""
    if folder.exists() and not folder.is_dir():
        raise InputError("input.exists", f"{folder} is a file.", "Name a folder for the run with -o.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise InputError(
            "input.exists", f"{folder} holds other things than a run.", "Name an empty folder with -o."
        )


def _listed(console: Console) -> int:
    """The recipes, one a line."""
    if console.json:
        for name, entry in RECIPES.items():
            console.result(name, {"name": name, "help": entry.help})
        return DONE
    print(table([[name, entry.help] for name, entry in RECIPES.items()]))
    return DONE


def _text(outcome: Outcome) -> str:
    """The report, for people."""
    report = outcome.report
    data = report["data"]
    counts = [f"{data['pictures']} pictures"] if data["pictures"] else []
    counts += [f"{data['clips']} clips"] if data["clips"] else []
    kept = data["held_out_pictures"] + data["held_out_clips"]
    counts += [f"{kept} kept aside"] if kept else []
    counts += [f"{report['steps']} steps", f"{report['seconds'] / 60:.1f} min"]
    lines = [f"{outcome.folder}  {'  '.join(counts)}"]
    elsewhere = report["elsewhere"]
    shown = {"kept aside": report["held_out"]}
    shown |= elsewhere if isinstance(elsewhere, Mapping) else {"elsewhere": elsewhere}
    for name, scores in shown.items():
        lines += [name, *_rows(scores)]
    return "\n".join(lines)


def _rows(scores: Mapping[str, Any] | str) -> list[str]:  # JSON: a table, or words
    """Mean scores before and after, a line each."""
    if isinstance(scores, str):
        return [f"  {scores}"]
    before, after = scores["before"], scores["after"]
    unit = next(
        name for name, (rows, _) in _UNITS.items() if name == "IoU" or any(each in after for each in rows)
    )
    known, digits = _UNITS[unit]
    cells = [[f"  {unit}", "before", "after"]]
    for name, words in known.items():
        if name not in after:
            continue
        was = f"{before[name]:.{digits}f}" if isinstance(before, Mapping) else _NOT_MEASURED
        cells.append([f"  {words}", was, f"{after[name]:.{digits}f}"])
    return table(cells, right=frozenset({1, 2})).splitlines()


def _notes(outcome: Outcome) -> list[str]:
    """What else is worth knowing."""
    data, found = outcome.report["data"], list[str]()
    if data["skipped_summary"]:
        found.append(f"note: the reader {data['skipped_summary']}")
    if data["unreadable_met"]:
        found.append(
            f"note: {data['unreadable_met']} times a picture could not be read and another was taken"
        )
    if outcome.report["steps_left_out"]:
        found.append(f"note: {outcome.report['steps_left_out']} steps without a finite loss were left out")
    if outcome.report["elsewhere"] == _NOT_MEASURED and outcome.report["held_out"] != _NOT_MEASURED:
        found.append("note: --check FOLDER measures what it costs on other data")
    found.append(f"saved {outcome.weights}; use it with --model {outcome.weights}")
    return found
