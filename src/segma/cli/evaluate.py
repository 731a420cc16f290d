"""`segma eval`: how good a model is, on labelled pictures or clips, and a tokenizer on any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segma.cli.command import command
from segma.cli.compute import Compute, LazyModel
from segma.cli.console import Console
from segma.cli.enhance import EnhanceCompute
from segma.cli.everything_options import MinIou, MinStability, PointsPerSide
from segma.cli.exits import DONE, SOME_FAILED
from segma.cli.generate import GenerateCompute
from segma.cli.output import Overwrite
from segma.cli.progress import Bar
from segma.cli.reports import save_report
from segma.cli.tokens import Latents, TokenCompute
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

Pixels = Annotated[
    Path, typer.Argument(metavar="DATA", help="A folder with pictures or clips; they need no labels.")
]
Fit = Annotated[
    Path | None,
    typer.Option(
        "--fit",
        metavar="FOLDER",
        help="What k-means and principal components learn from; the other half of DATA without.",
    ),
]
Side = Annotated[int, typer.Option("--size", metavar="N", min=1, help="Side of the pictures' middle square.")]
ClipSide = Annotated[int, typer.Option("--clip-size", metavar="N", min=1, help="The same of clips.")]
NumFrames = Annotated[int, typer.Option("--frames", metavar="N", min=1, help="Frames of a clip.")]
NoPeers = Annotated[bool, typer.Option("--no-peers", help="Measure the tokenizer alone.")]

Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="Only so many pictures or clips, evenly spaced."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the whole report there, as JSON."),
]
PaperName = Annotated[
    str | None, typer.Argument(metavar="TABLE", help="Which table; the list of them without.")
]
PaperData = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="NAME=FOLDER", help="Where imagenet, ucf101, ... is; may be repeated."),
]
Made = Annotated[
    Path | None,
    typer.Option("--made", metavar="FOLDER", help="For generation: samples, as of segma generate."),
]


PerClass = Annotated[int, typer.Option("--per-class", metavar="N", min=1, help="Samples of each class.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of samples, paintings and judge.")]
Judge = Annotated[
    str, typer.Option("--judge", metavar="NAME|FILE", help="The model that finds the things in samples.")
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
    limit: Limit = None
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the intervals.")] = 0
    output: Output = None
    overwrite: Overwrite = False

    def check(self) -> None:
        """Raises InputError where the output is in the way, before any work is done."""
        from segma.media.files import check_free

        if self.output is not None:
            check_free(self.output, overwrite=self.overwrite)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking(Evaluating):
    """Options of protocols that ask for masks."""

    worst: Annotated[
        Path | None,
        typer.Option(
            "--worst", metavar="FILE", help="Draw the worst answers into a picture (.png, .jpg, ...)."
        ),
    ] = None
    num_worst: Annotated[
        int, typer.Option("--num-worst", metavar="N", min=1, max=400, help="How many of them.")
    ] = 24

    def check(self) -> None:
        """Raises InputError where an output is in the way, FormatError for a sheet of no picture's name.

        All of that before any work is done.
        """
        from segma.media.files import check_free

        if self.worst is not None and self.worst.suffix.lower() not in _SHEETS:
            raise FormatError(
                "format.unknown", f"{self.worst.name}: no picture's name.", f"Known: {' '.join(_SHEETS)}."
            )
        Evaluating.check(self)
        if self.worst is not None:
            check_free(self.worst, overwrite=self.overwrite)


@app.command("clicks")
@command
def clicks(
    data: Data,
    asking: Asking,
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

    config = ClicksConfig(clicks=num_clicks, jitter=jitter, seed=asking.seed)
    return _evaluate("clicks", data, config, asking, compute, console)


@app.command("boxes")
@command
def boxes(data: Data, asking: Asking, compute: Compute, console: Console, jitter: Jitter = 0.05) -> int:
    """IoU from a tight box, from one whose sides are off, and with the first answer fed back."""
    from segma.evaluation.protocols.boxes import BoxesConfig

    config = BoxesConfig(jitter=jitter, seed=asking.seed)
    return _evaluate("boxes", data, config, asking, compute, console)


@app.command("video")
@command
def video(
    data: Data,
    asking: Asking,
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
    config = VideoConfig(modes=names, seed=asking.seed, find_cuts=cuts)
    return _evaluate("video", data, config, asking, compute, console)


@app.command("everything")
@command
def everything(
    data: Data,
    asking: Asking,
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
    config = RecallConfig(max_masks=max_masks, options=options, seed=asking.seed)
    return _evaluate("everything", data, config, asking, compute, console)


@app.command("tokens")
@command
def tokens(
    data: Pixels,
    evaluating: Evaluating,
    compute: TokenCompute,
    console: Console,
    fit: Fit = None,
    size: Side = 256,
    clip_size: ClipSide = 128,
    frames: NumFrames = 17,
    no_peers: NoPeers = False,
) -> int:
    """What a tokenizer keeps of pictures and clips, beside what is simpler at the same rate.

    PSNR and SSIM of codes beside k-means of patches and WebP (H.264 of clips), of latents beside principal
    components of patches, and the codes in use. "ours above": decibels that the tokenizer is above a peer.
    "fits": how often WebP or H.264 got down to the bytes of the codes. Seconds are said below the table.
    """
    from segma.cli.evaluate_tokens import measure_tokens
    from segma.evaluation.protocols.tokens import TokensConfig

    config = TokensConfig(
        size=size, clip_size=clip_size, frames=frames, peers=not no_peers, seed=evaluating.seed
    )
    return measure_tokens(data, fit, config, evaluating, LazyModel(compute, console))


@app.command("enhance")
@command
def enhance(
    data: Pixels,
    evaluating: Evaluating,
    compute: EnhanceCompute,
    console: Console,
    no_codes: Annotated[
        bool, typer.Option("--no-codes", help="From pixels alone, not from the tokenizer's codes as well.")
    ] = False,
) -> int:
    """PSNR and SSIM of pictures made smaller and enlarged again, beside bicubic, at every scale there is.

    "from codes": what is enlarged went through the tokenizer's codes before. "better in": the share of the
    pictures that are nearer to the original than bicubic brings them.
    """
    from segma.cli.evaluate_enhance import measure_enhancer

    return measure_enhancer(data, evaluating, compute, LazyModel(compute, console), codes=not no_codes)


@app.command("paper")
@command
def paper(
    console: Console,
    compute: TokenCompute,
    table: PaperName = None,
    data: PaperData = None,
    made: Made = None,
    latents: Latents = False,
    limit: Limit = None,
    output: Output = None,
    overwrite: Overwrite = False,
) -> int:
    """A table of the paper of OmniTokenizer, with what a tokenizer or samples of yours have of the same.

    Without TABLE all are listed. rFID, FID, IS, LPIPS and FVD come from packages of the extra "metrics"; what
    is absent is said, and "not measured". Numbers of few pictures mean little: the paper takes 50 000.
    """
    from segma.cli.evaluate_paper import Wanted, show_table

    wanted = Wanted(data=tuple(data or ()), made=made, latents=latents, limit=limit)
    return show_table(table, wanted, output, LazyModel(compute, console), overwrite=overwrite)


@app.command("samples")
@command
def samples(
    console: Console,
    compute: GenerateCompute,
    per_class: PerClass = 3,
    seed: Seed = 0,
    judge: Judge = "default",
    output: Output = None,
    overwrite: Overwrite = False,
) -> int:
    """Whether a generator of made worlds makes the class and the colour that it is asked for.

    A model finds the thing in each sample, a small network that has learned the classes says what it is, and
    its pixels which colour it has. Painted pictures of the same, as they are and after the tokenizer, stand
    beside: no sample can do better. "by chance": the samples by what other pictures are asked for.
    """
    from segma.cli.evaluate_samples import measure_samples
    from segma.evaluation.protocols.samples import SamplesConfig

    config = SamplesConfig(per_class=per_class, seed=seed)
    return measure_samples(config, compute, judge, output, LazyModel(compute, console), overwrite=overwrite)


def _evaluate(
    name: str,
    data: Path,
    config: Any,  # of the protocol
    asking: Asking,
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

    asking.check()
    named = {"dataset": asking.dataset, "split": asking.split}
    is_video, unread = PROTOCOLS[name].holds == "videos", ReadReport()
    found: list[ImageSample] | list[VideoSample] = (
        labelled(data, VideoSample, report=unread, **named)
        if is_video
        else labelled(data, ImageSample, report=unread, **named)
    )
    samples = evenly(found, asking.limit)
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
    save_report(report, asking.output, console, overwrite=asking.overwrite)
    _draw_worst(report, asking, console)
    text = "\n".join([f"{model.name}  {name}  {model.runtime.describe()}", report.table(), *report.notes()])
    console.result(text, report.to_dict())
    for line in (*report.skipped, *([f"the reader {unread.summary()}"] if unread.skipped else [])):
        console.note(f"note: {line}")
    return SOME_FAILED if unread.skipped or report.skipped else DONE


def _draw_worst(report: Report, asking: Asking, console: Console) -> None:
    """The sheet of the worst answers, if it was asked for. Raises InputError, StoreError."""
    from segma.evaluation.worst import worst_sheet
    from segma.media.image import write_image

    if asking.worst is not None:
        sheet = worst_sheet(report.worst(asking.num_worst))
        write_image(sheet, asking.worst, overwrite=asking.overwrite)
        console.note(f"saved {asking.worst}")
