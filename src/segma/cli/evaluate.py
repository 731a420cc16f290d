"""`segma eval`: how good a model is on labelled pictures or clips."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console
from segma.cli.exits import DONE, SOME_FAILED
from segma.cli.output import Overwrite
from segma.cli.progress import Bar
from segma.errors import FormatError, InputError

if TYPE_CHECKING:
    from segma.evaluation.report import Report

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="How good a model is on labelled pictures or clips.",
)
_SHEETS = (".png", ".jpg", ".jpeg", ".webp")

Data = Annotated[
    Path, typer.Argument(metavar="DATA", help="A folder (or file) with pictures or clips and their masks.")
]
Clicks = Annotated[
    int, typer.Option("--clicks", metavar="N", min=1, max=100, help="At most so many clicks an object.")
]
Jitter = Annotated[
    float, typer.Option("--jitter", metavar="SHARE", help="How far a box's sides are off, at most.")
]
Modes = Annotated[
    str,
    typer.Option(
        "--modes", metavar="LIST", help="What is said on the first frame: mask, click1, click3, click5."
    ),
]
FindCuts = Annotated[bool, typer.Option("--cuts", help="Look for shot cuts first, as tracking does.")]
MaxMasks = Annotated[int, typer.Option("--max-masks", metavar="N", min=1, help="Masks a picture that count.")]
PointsPerSide = Annotated[
    int | None,
    typer.Option(
        "--points-per-side",
        show_default="officially 32",
        metavar="N",
        min=1,
        max=1024,
        help="Clicks along one side.",
    ),
]
MinIou = Annotated[
    float | None,
    typer.Option(
        "--pred-iou-thresh",
        show_default="officially 0.88",
        metavar="X",
        help="Masks of lower predicted IoU go.",
    ),
]
MinStability = Annotated[
    float | None,
    typer.Option(
        "--stability-score-thresh",
        show_default="officially 0.95",
        metavar="X",
        help="Masks of lower stability go.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluating:
    """Options of every protocol."""

    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="The layout of DATA; found out without.")
    ] = None
    split: Annotated[
        str | None,
        typer.Option(
            "--split", metavar="NAME", help="A part of DATA: val, tune, 2017/val, ...; all without."
        ),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Only so many pictures or clips, evenly spaced."),
    ] = None
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the intervals.")] = 0
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the whole report there, as JSON."),
    ] = None
    worst: Annotated[
        Path | None,
        typer.Option(
            "--worst", metavar="FILE", help="Draw the worst answers into a picture (.png, .jpg, ...)."
        ),
    ] = None
    num_worst: Annotated[
        int, typer.Option("--num-worst", metavar="N", min=1, max=400, help="How many of them.")
    ] = 24
    overwrite: Overwrite = False

    def check(self) -> None:
        """Raises InputError where an output is in the way, FormatError for a sheet of no picture's name.

        All of that before any work is done.
        """
        from segma.media.files import check_free

        if self.worst is not None and self.worst.suffix.lower() not in _SHEETS:
            raise FormatError(
                "format.unknown", f"{self.worst.name}: no picture's name.", f"Known: {' '.join(_SHEETS)}."
            )
        for path in (self.output, self.worst):
            if path is not None:
                check_free(path, overwrite=self.overwrite)


@app.command("clicks")
@command
def clicks(
    data: Data,
    evaluating: Evaluating,
    compute: Compute,
    console: Console,
    num_clicks: Clicks = 20,
    jitter: Jitter = 0.05,
) -> int:
    """IoU after 1, 3 and 5 simulated clicks and from a box, and how many clicks 85 and 90 % take.

    The first click is on the object's deepest pixel, each next one in the middle of the worst error.
    "oracle" is the best of three candidates. In parentheses: where the mean lies with 95 % probability.
    """
    from segma.evaluation.protocols.clicks import ClicksConfig

    config = ClicksConfig(clicks=num_clicks, jitter=jitter, seed=evaluating.seed)
    return _evaluate("clicks", data, config, evaluating, compute, console)


@app.command("boxes")
@command
def boxes(
    data: Data, evaluating: Evaluating, compute: Compute, console: Console, jitter: Jitter = 0.05
) -> int:
    """IoU from a tight box, from one whose sides are off, and with the first answer fed back."""
    from segma.evaluation.protocols.boxes import BoxesConfig

    config = BoxesConfig(jitter=jitter, seed=evaluating.seed)
    return _evaluate("boxes", data, config, evaluating, compute, console)


@app.command("video")
@command
def video(
    data: Data,
    evaluating: Evaluating,
    compute: Compute,
    console: Console,
    modes: Modes = "mask,click1,click3",
    cuts: FindCuts = False,
) -> int:
    """J, F and J&F of objects that are followed from their first frame's mask, or from clicks on it.

    First and last frame do not count; "with last" counts the last one. "lost" is the share of frames with
    the object on which it was not found, "made up" that of frames without it on which it was.
    """
    from segma.evaluation.protocols.video import VideoConfig

    names = tuple(name.strip() for name in modes.split(","))
    config = VideoConfig(modes=names, seed=evaluating.seed, find_cuts=cuts)
    return _evaluate("video", data, config, evaluating, compute, console)


@app.command("everything")
@command
def everything(
    data: Data,
    evaluating: Evaluating,
    compute: Compute,
    console: Console,
    max_masks: MaxMasks = 100,
    points_per_side: PointsPerSide = None,
    pred_iou_thresh: MinIou = None,
    stability_score_thresh: MinStability = None,
) -> int:
    """The share of labelled objects that everything mode finds, with at most N masks a picture."""
    from segma.evaluation.protocols.everything import RecallConfig
    from segma.tasks.everything import EverythingConfig

    given: dict[str, Any] = {
        "points_per_side": points_per_side,
        "pred_iou_thresh": pred_iou_thresh,
        "stability_score_thresh": stability_score_thresh,
    }
    options = {name: value for name, value in given.items() if value is not None}
    EverythingConfig(**options)  # what makes no sense is told before a model is loaded
    config = RecallConfig(max_masks=max_masks, options=options, seed=evaluating.seed)
    return _evaluate("everything", data, config, evaluating, compute, console)


def _evaluate(
    name: str,
    data: Path,
    config: Any,  # of the protocol
    evaluating: Evaluating,
    compute: Compute,
    console: Console,
) -> int:
    """Run a protocol, write and print its report. 1 where something was skipped."""
    from segma.datasets.report import ReadReport
    from segma.evaluation.data import labelled
    from segma.evaluation.origin import origin_of
    from segma.evaluation.protocols.asking import evenly
    from segma.evaluation.protocols.catalog import PROTOCOLS, protocol
    from segma.samples import ImageSample, VideoSample

    evaluating.check()
    named = {"dataset": evaluating.dataset, "split": evaluating.split}
    is_video, unread = PROTOCOLS[name].holds == "videos", ReadReport()
    found: list[ImageSample] | list[VideoSample] = (
        labelled(data, VideoSample, report=unread, **named)
        if is_video
        else labelled(data, ImageSample, report=unread, **named)
    )
    samples = evenly(found, evaluating.limit)
    model = LazyModel(compute, console).get()
    network = model.with_memory() if is_video else model.promptable()
    what = "clips" if is_video else "pictures"
    console.note(f"measuring {model.name} on {len(samples)} {what} of {data} ...")
    with Bar("clips" if is_video else "objects", quiet=console.quiet) as bar:
        report = protocol(name).run(network, samples, config, runtime=model.runtime, on_progress=bar.update)
    if not report.rows:
        why = f" ({report.skipped[0]})" if report.skipped else ""
        raise InputError("input.unreadable", f"{data}: nothing could be measured{why}.")
    report = replace(report, origin={"data": str(data), **origin_of(model)})
    _write(report, evaluating, console)
    text = "\n".join([f"{model.name}  {name}  {model.runtime.describe()}", report.table(), *report.notes()])
    console.result(text, report.to_dict())
    for line in (*report.skipped, *([f"the reader {unread.summary()}"] if unread.skipped else [])):
        console.note(f"note: {line}")
    return SOME_FAILED if unread.skipped or report.skipped else DONE


def _write(report: Report, evaluating: Evaluating, console: Console) -> None:
    """The files that were asked for. Raises InputError, StoreError."""
    from segma.evaluation.worst import worst_sheet
    from segma.media.files import write_text
    from segma.media.image import write_image

    if evaluating.output is not None:
        text = json.dumps(report.to_dict(), allow_nan=False)
        write_text(evaluating.output, text, overwrite=evaluating.overwrite)
        console.note(f"saved {evaluating.output}")
    if evaluating.worst is not None:
        sheet = worst_sheet(report.worst(evaluating.num_worst))
        write_image(sheet, evaluating.worst, overwrite=evaluating.overwrite)
        console.note(f"saved {evaluating.worst}")
