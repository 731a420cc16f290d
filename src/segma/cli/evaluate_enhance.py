"""`segma eval enhance`: the data is read, the enhancer measured, the report printed and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli.compute import LazyModel
from segma.cli.enhance import EnhanceCompute
from segma.cli.exits import DONE, SOME_FAILED
from segma.cli.progress import Bar
from segma.cli.reports import save_report
from segma.errors import InputError

if TYPE_CHECKING:
    from segma.cli.evaluate import Evaluating


def measure_enhancer(
    data: Path, evaluating: Evaluating, compute: EnhanceCompute, models: LazyModel, *, codes: bool
) -> int:
    """The report of an enhancer. 1 where something was skipped. Raises SegmaError."""
    from segma.datasets.report import ReadReport
    from segma.evaluation.data import unlabelled
    from segma.evaluation.origin import origin_of
    from segma.evaluation.protocols.asking import evenly
    from segma.evaluation.protocols.enhance import run
    from segma.models.enhancing import Enhances
    from segma.samples import ImageSample

    evaluating.check()
    console, unread = models.console, ReadReport()
    found = unlabelled(data, dataset=evaluating.dataset, split=evaluating.split, report=unread)
    pictures = [each for each in found if isinstance(each, ImageSample) and each.picture is not None]
    if not pictures:
        raise InputError("input.not_found", f"{data}: there are no pictures in it.")
    samples = evenly(pictures, evaluating.limit)
    model, tokenizer = models.get(), compute.load_tokenizer()
    scales = model.network.enhance_spec.scales if isinstance(model.network, Enhances) else (2,)
    works = [model.enhancement(scale, tokenizer=tokenizer) for scale in scales]
    console.note(f"measuring {model.name} on {len(samples)} pictures of {data} ...")
    with Bar("pictures", quiet=console.quiet) as bar:
        report = run(works, samples, codes=codes, seed=evaluating.seed, on_progress=bar.update)
    if not report.rows:
        why = f" ({report.skipped[0]})" if report.skipped else ""
        raise InputError("input.unreadable", f"{data}: nothing could be measured{why}.")
    report = replace(report, origin={"data": str(data), **origin_of(model)})
    save_report(report, evaluating.output, console, overwrite=evaluating.overwrite)
    text = "\n".join([f"{model.name}  enhance  {model.runtime.describe()}", report.table(), *report.notes()])
    console.result(text, report.to_dict())
    for line in (*report.skipped, *([f"the reader {unread.summary()}"] if unread.skipped else [])):
        console.note(f"note: {line}")
    return SOME_FAILED if unread.skipped or report.skipped else DONE
