"""`segma eval tokens`: the data is read, the tokenizer measured, the report printed and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segma.cli.compute import LazyModel
from segma.cli.exits import DONE, SOME_FAILED
from segma.cli.progress import Bar
from segma.cli.reports import save_report
from segma.errors import InputError

if TYPE_CHECKING:
    from segma.cli.evaluate import Evaluating
    from segma.evaluation.protocols.tokens import TokensConfig
    from segma.samples import ImageSample, VideoSample


def measure_tokens(
    data: Path, fit: Path | None, config: TokensConfig, evaluating: Evaluating, models: LazyModel
) -> int:
    """The report of a tokenizer. 1 where something was skipped. Raises SegmaError."""
    from segma.datasets.report import ReadReport
    from segma.evaluation.data import unlabelled
    from segma.evaluation.origin import origin_of
    from segma.evaluation.protocols.tokens import run

    evaluating.check()
    console, unread = models.console, ReadReport()
    found = unlabelled(data, dataset=evaluating.dataset, split=evaluating.split, report=unread)
    samples = limited(found, evaluating.limit)
    model = models.get()
    tokenizer = model.tokenizer()
    config.check(tokenizer.code_spec)
    learned = unlabelled(fit, to_fit=True) if fit is not None and config.peers else []
    console.note(f"measuring {model.name} on {len(samples)} pictures and clips of {data} ...")
    with Bar("pictures and clips", quiet=console.quiet) as bar:
        report = run(tokenizer, samples, config, fit=learned, runtime=model.runtime, on_progress=bar.update)
    if not report.rows:
        why = f" ({report.skipped[0]})" if report.skipped else ""
        raise InputError("input.unreadable", f"{data}: nothing could be measured{why}.")
    origin = {"data": str(data), "fit": None if fit is None else str(fit), **origin_of(model)}
    report = replace(report, origin=origin)
    save_report(report, evaluating.output, console, overwrite=evaluating.overwrite)
    text = "\n".join([f"{model.name}  tokens  {model.runtime.describe()}", report.table(), *report.notes()])
    console.result(text, report.to_dict())
    for line in (*report.skipped, *([f"the reader {unread.summary()}"] if unread.skipped else [])):
        console.note(f"note: {line}")
    return SOME_FAILED if unread.skipped or report.skipped else DONE


def limited(samples: list[ImageSample | VideoSample], limit: int | None) -> list[ImageSample | VideoSample]:
    """At most so many pictures, and so many clips."""
    from segma.evaluation.protocols.asking import evenly
    from segma.samples import ImageSample

    pictures, clips = (
        [each for each in samples if isinstance(each, ImageSample) == wanted] for wanted in (True, False)
    )
    return [*evenly(pictures, limit), *evenly(clips, limit)]
