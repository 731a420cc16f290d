"""`segma eval samples`: whether a generator of worlds makes what it is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli.compute import LazyModel
from segma.cli.exits import DONE
from segma.cli.generate import GenerateCompute
from segma.cli.progress import Bar
from segma.cli.reports import save_report

if TYPE_CHECKING:
    from segma.evaluation.protocols.samples import SamplesConfig


def measure_samples(
    config: SamplesConfig,
    compute: GenerateCompute,
    judge: str,
    output: Path | None,
    models: LazyModel,
    *,
    overwrite: bool,
) -> int:
    """The report of a generator, whose things the model `judge` finds. Raises SegmaError."""
    from segma.api import load
    from segma.evaluation.origin import origin_of
    from segma.evaluation.protocols.samples import run
    from segma.media.files import check_free

    console = models.console
    if output is not None:
        check_free(output, overwrite=overwrite)
    model = models.get()
    maker, finder = model.maker(compute.load_tokenizer()), load(judge)
    console.note(f"measuring {model.name}; {finder.name} finds the things ...")
    with Bar("pictures", quiet=console.quiet) as bar:
        report = run(finder.promptable(), maker, config, runtime=finder.runtime, on_progress=bar.update)
    report = replace(report, origin={"tokenizer": maker.name, "finder": finder.name, **origin_of(model)})
    save_report(report, output, console, overwrite=overwrite)
    text = "\n".join([f"{model.name}  samples  {model.runtime.describe()}", report.table(), *report.notes()])
    console.result(text, report.to_dict())
    return DONE
