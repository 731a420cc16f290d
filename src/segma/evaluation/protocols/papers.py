"""A table of OmniTokenizer's paper, row by row, with what a model at hand has of the same (section 10).

Pictures and the middle 17 frames of clips are squashed to the size of the row. Where data, samples, a model
or a package is absent, the value is, and the reason is said. Not as the authors' program has it: decoded
pictures are rounded (not cut off), and written as PNG (theirs perhaps as JPEG).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segma.errors import InputError, MissingExtraError, ModelError
from segma.evaluation.metrics.networks import Frames, FvdMeter, InceptionMeter, LpipsMeter
from segma.evaluation.metrics.psnr_ssim import psnr, ssim
from segma.evaluation.paper_tables import TABLES, PaperTable
from segma.evaluation.pixels import squashed_frames, squashed_picture
from segma.evaluation.protocols.asking import OnProgress
from segma.evaluation.protocols.speed import text_table
from segma.media.source import DEFAULT_FPS
from segma.models.interfaces import VisualTokenizer
from segma.runtime import Runtime
from segma.samples import ImageSample, VideoSample
from segma.tasks import tokenize

FRAMES = 17
"""Of a clip."""
USUAL_SIDE = 256
"""Of rows that say no other."""
NOT_MEASURED = "not measured"

_Sample = ImageSample | VideoSample
_ALWAYS = ("PSNR", "SSIM", "LPIPS")  # of a reconstruction; the paper has no figures


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperLine:
    """A row as it is shown: `value` is None where nobody measured, and then `why` says so."""

    data: str
    metric: str
    setting: str
    method: str
    is_ours: bool
    value: float | None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperReport:
    """A table of the paper with our lines; `origin` is what made it."""

    table: str
    title: str
    lines: tuple[PaperLine, ...]
    skipped: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict[str, Any])  # JSON

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready."""
        return {
            "protocol": "paper",
            "table": self.table,
            "title": self.title,
            **self.origin,
            "rows": [line.to_dict() for line in self.lines],
            "skipped": list(self.skipped),
        }

    def text(self) -> str:
        """A line each: what the paper says, and ours below it."""
        header = ["", "paper", "here"]
        rows: list[list[str]] = []
        for line in self.lines:
            shown = NOT_MEASURED if line.value is None else f"{line.value:.2f}"
            shown = shown if line.value is not None or not line.why else f"{shown}: {line.why}"
            cells = ["-", shown] if line.is_ours else [shown, ""]
            side = f" at {line.setting}" if line.setting else ""
            rows.append([f"{line.data} {line.metric}{side}  {line.method}", *cells])
        return text_table(header, rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperInputs:
    """What is at hand: `data` by the paper's name for it, a tokenizer, or samples that were made.

    `latents`: by latents, of a tokenizer that has codes as well. `name` is what our lines are called.
    """

    data: Mapping[str, Sequence[_Sample]] = field(default_factory=dict[str, Sequence[_Sample]])
    tokenizer: VisualTokenizer | None = None
    made: Sequence[_Sample] = ()
    latents: bool = False
    name: str = "this model"


def run(
    table: str,
    inputs: PaperInputs,
    *,
    runtime: Runtime | None = None,
    on_progress: OnProgress | None = None,
) -> PaperReport:
    """The table with our lines. `on_progress(samples done, samples in all)`. Raises InputError."""
    if table not in TABLES:
        raise InputError("input.value", f'The paper has no table "{table}".', f"Tables: {', '.join(TABLES)}.")
    found = TABLES[table]
    if unknown := sorted(set(inputs.data) - {row.data for row in found.rows}):
        known = ", ".join(dict.fromkeys(row.data for row in found.rows))
        raise InputError("input.value", f'The table has no data "{unknown[0]}".', f"It has: {known}.")
    skipped: list[str] = []
    run_one = _Measuring(inputs, runtime or Runtime(), skipped, on_progress)
    lines: list[PaperLine] = []
    for data, setting in dict.fromkeys((row.data, row.setting) for row in found.rows):
        own = [row for row in found.rows if (row.data, row.setting) == (data, setting)]
        metrics = list(dict.fromkeys(row.metric for row in own))
        values = run_one.values(found, data, metrics, int(setting or USUAL_SIDE))
        for metric in values:
            lines += [
                PaperLine(
                    data=data,
                    metric=metric,
                    setting=setting,
                    method=row.method,
                    is_ours=False,
                    value=float(row.value),
                )
                for row in own
                if row.metric == metric
            ]
            lines.append(_ours(inputs.name, data, metric, setting, values[metric]))
    return PaperReport(table=table, title=found.title, lines=tuple(lines), skipped=tuple(skipped))


def _ours(name: str, data: str, metric: str, setting: str, value: float | str) -> PaperLine:
    is_number = isinstance(value, float) and math.isfinite(value)
    return PaperLine(
        data=data,
        metric=metric,
        setting=setting,
        method=name,
        is_ours=True,
        value=value if isinstance(value, float) and is_number else None,
        why=value if isinstance(value, str) else "",
    )


@dataclass(slots=True)
class _Measuring:
    """Values of our lines, or reasons for there being none."""

    inputs: PaperInputs
    runtime: Runtime
    skipped: list[str]
    on_progress: OnProgress | None
    done: int = 0

    def values(
        self, table: PaperTable, data: str, metrics: Sequence[str], side: int
    ) -> dict[str, float | str]:
        """By metric a number, or why there is none."""
        returns = table.measures == "reconstruction"
        metrics = [*metrics, *(_ALWAYS if returns and data in self.inputs.data else ())]
        if data not in self.inputs.data and (returns or not self.inputs.made):
            return dict.fromkeys(metrics, f"no data (--data {data}=FOLDER)")
        if returns and self.inputs.tokenizer is None:
            return dict.fromkeys(metrics, "no tokenizer (--model)")
        if not returns and not self.inputs.made:
            return dict.fromkeys(metrics, "no samples (--made FOLDER)")
        if data not in self.inputs.data:  # only what looks at samples alone
            lacking = dict.fromkeys(metrics, f"no data (--data {data}=FOLDER)")
            alone = [metric for metric in metrics if metric == "IS"]
            return lacking | (self._measured(table, data, alone, side) if alone else {})
        return self._measured(table, data, metrics, side)

    def _measured(
        self, table: PaperTable, data: str, metrics: Sequence[str], side: int
    ) -> dict[str, float | str]:
        returns = table.measures == "reconstruction"
        with ExitStack() as stack:
            meters = _Meters(metrics, stack)
            is_video = any(metric.endswith("FVD") for metric in metrics)
            true = [
                each for each in self.inputs.data.get(data, ()) if isinstance(each, VideoSample) == is_video
            ]
            if returns:
                for frames in self._frames(true, side):
                    meters.add(self._there_and_back(frames, is_video), frames)
            else:
                made = [each for each in self.inputs.made if isinstance(each, VideoSample) == is_video]
                for frames in self._frames(made, side):
                    meters.add(frames, None)
                for frames in self._frames(true, side):
                    meters.add(None, frames)
            return meters.results()

    def _frames(self, samples: Sequence[_Sample], side: int) -> Iterator[Frames]:
        for sample in samples:
            name = sample.file_name if isinstance(sample, ImageSample) else sample.name
            try:
                if isinstance(sample, ImageSample):
                    yield squashed_picture(sample, side)
                else:
                    yield squashed_frames(sample, side, FRAMES)
            except InputError as error:
                self.skipped.append(f"{name}: {error.message}")
            self.done += 1
            if self.on_progress is not None:
                total = sum(map(len, self.inputs.data.values())) + len(self.inputs.made)
                self.on_progress(self.done, max(total, self.done))

    def _there_and_back(self, frames: Frames, is_video: bool) -> Frames:
        tokenizer, runtime = self.inputs.tokenizer, self.runtime
        assert tokenizer is not None
        size = (int(frames.shape[1]), int(frames.shape[2]))
        fps = DEFAULT_FPS if is_video else None
        header = tokenize.header_for(tokenizer, size, fps=fps, latents=self.inputs.latents)
        made = tokenize.decode(
            tokenizer, tokenize.encode(tokenizer, frames, header, runtime=runtime), runtime=runtime
        )
        return made if is_video else made[None]


class _Meters:
    """The meters of some metrics; of one whose package or weights are absent, the reason."""

    def __init__(self, metrics: Sequence[str], stack: ExitStack) -> None:
        self.metrics = metrics
        self.reasons: dict[str, str] = {}
        self.pairs: list[tuple[float, float]] = []
        self.inception = self._made(
            [name for name in metrics if name.endswith("FID") or name == "IS"],
            lambda: stack.enter_context(InceptionMeter()),
        )
        self.fvd = self._made([name for name in metrics if name.endswith("FVD")], FvdMeter)
        self.lpips = self._made([name for name in metrics if name == "LPIPS"], LpipsMeter)

    def _made(self, names: Sequence[str], make: Callable[[], Any]) -> Any:  # a meter, or None
        if not names:
            return None
        try:
            return make()
        except (MissingExtraError, ModelError) as error:
            self.reasons |= dict.fromkeys(names, str(error))
            return None

    def add(self, made: Frames | None, true: Frames | None) -> None:
        """Frames of either side, or of both."""
        for meter in (self.inception, self.fvd):
            if meter is not None:
                meter.add(made, true)
        if made is None or true is None:
            return
        if self.lpips is not None:
            self.lpips.add(made, true)
        if "PSNR" in self.metrics:
            pairs = list(zip(made, true, strict=True))
            values = [np.mean([each(*pair) for pair in pairs]) for each in (psnr, ssim)]
            self.pairs.append((float(values[0]), float(values[1])))

    def results(self) -> dict[str, float | str]:
        """By metric."""
        return {
            name: self.reasons[name] if name in self.reasons else self._result(name) for name in self.metrics
        }

    def _result(self, name: str) -> float | str:
        try:
            if name in ("PSNR", "SSIM"):
                place = ("PSNR", "SSIM").index(name)
                return (
                    float(np.mean([pair[place] for pair in self.pairs])) if self.pairs else "nothing to see"
                )
            if name == "LPIPS":
                return self.lpips.result()
            if name == "IS":
                return self.inception.inception_score()
            return self.fvd.result() if name.endswith("FVD") else self.inception.fid()
        except (InputError, ModelError) as error:
            return str(error)
