"""`segma eval paper`: tables of the paper, beside what is at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli.compute import LazyModel
from segma.cli.exits import DONE, SOME_FAILED
from segma.cli.progress import Bar
from segma.cli.reports import save_report
from segma.cli.tokens import TokenCompute
from segma.errors import InputError

if TYPE_CHECKING:
    from segma.samples import ImageSample, VideoSample


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be measured: `data` are texts NAME=FOLDER."""

    data: tuple[str, ...]
    made: Path | None
    latents: bool
    limit: int | None


def show_table(
    table: str | None, wanted: Wanted, output: Path | None, models: LazyModel, *, overwrite: bool
) -> int:
    """The table, or the list of all. 1 where something was skipped. Raises SegmaError."""
    from segma.evaluation.origin import origin_of
    from segma.evaluation.paper_tables import TABLES
    from segma.evaluation.protocols.papers import PaperInputs, run
    from segma.media.files import check_free

    console = models.console
    if table is None:
        names = {name: each.title for name, each in TABLES.items()}
        console.result("\n".join(f"{name:<12} {title}" for name, title in names.items()), names)
        return DONE
    if output is not None:
        check_free(output, overwrite=overwrite)
    _check_counts(table, wanted, models)
    data = {name: _samples(folder, wanted.limit) for name, folder in _named(wanted.data).items()}
    inputs = PaperInputs(data=data, latents=wanted.latents)
    origin = {"data": list(wanted.data), "limit": wanted.limit}
    runtime = None
    if data and table in TABLES and TABLES[table].measures == "reconstruction":
        model = models.get()
        inputs = replace(inputs, tokenizer=model.tokenizer(), name=model.name)
        origin, runtime = origin | origin_of(model), model.runtime
    elif wanted.made is not None:
        inputs = replace(inputs, made=_samples(wanted.made, wanted.limit), name=wanted.made.name)
        origin |= {"made": str(wanted.made)}
    with Bar("pictures and clips", quiet=console.quiet) as bar:
        report = run(table, inputs, runtime=runtime, on_progress=bar.update)
    report = replace(report, origin=origin)
    save_report(report, output, console, overwrite=overwrite)
    console.result(f"{report.title}\n{report.text()}", report.to_dict())
    for line in report.skipped:
        console.note(f"note: {line}")
    return SOME_FAILED if report.skipped else DONE


def _check_counts(table: str, wanted: Wanted, models: LazyModel) -> None:
    """Raises InputError for an option that a table takes no notice of."""
    from segma.evaluation.paper_tables import TABLES

    if table not in TABLES:
        return  # of which it is told later
    if TABLES[table].measures == "reconstruction":
        given, hint = {"--made": wanted.made is not None}, "It is for tables of generation."
    else:
        is_named = models.compute.model != TokenCompute().model
        given = {"--model": is_named, "--latents": wanted.latents}
        hint = "Generation is measured by samples: --made FOLDER."
    for option, is_given in given.items():
        if is_given:
            raise InputError("input.value", f"{option} does not count for {table}.", hint)


def _named(texts: tuple[str, ...]) -> dict[str, Path]:
    """Folders by name. Raises InputError."""
    found: dict[str, Path] = {}
    for text in texts:
        name, sign, folder = text.partition("=")
        if not name or not sign or not folder:
            raise InputError("input.value", f"--data {text}: expected NAME=FOLDER, as imagenet=val/.")
        found[name] = Path(folder)
    return found


def _samples(folder: Path, limit: int | None) -> list[ImageSample | VideoSample]:
    from segma.cli.evaluate_tokens import limited
    from segma.evaluation.data import unlabelled

    return limited(unlabelled(folder), limit)
