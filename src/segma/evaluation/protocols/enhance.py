"""Pictures made smaller, enlarged again, and compared with what they were; bicubic enlargement beside.

Smaller by bicubic with antialiasing, bigger by Pillow's bicubic: sides are cut to whole multiples first.
"from codes": what is enlarged went through the codes of the tokenizer before, as a file of codes has it.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import InputError
from segma.evaluation.metrics.psnr_ssim import psnr, ssim
from segma.evaluation.protocols.asking import OnProgress
from segma.evaluation.report import Column, Report, Row, parts_of
from segma.media.image import read_picture
from segma.media.resample import enlarged, reduced
from segma.samples import ImageSample
from segma.tasks import tokenize
from segma.tasks.enhance import Enhancement

COLUMNS = (
    Column(measure="psnr", heading="PSNR", scale=1, digits=2),
    Column(measure="ssim", heading="SSIM", scale=1, digits=4),
    Column(measure="gain", heading="above bicubic", scale=1, digits=2),
    Column(measure="wins", heading="better in %"),
)

Picture = UInt8[ndarray, "height width 3"]
_MOST = 100.0  # decibels that equal pictures count as


@dataclass(slots=True)
class _Found:
    """What was measured so far."""

    rows: list[Row] = field(default_factory=list[Row])
    skipped: list[str] = field(default_factory=list[str])
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def run(
    works: Sequence[Enhancement],
    samples: Sequence[ImageSample],
    *,
    codes: bool = True,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Report:
    """Every picture by all enhancements, which differ in their scale; with `codes` also from codes.

    What cannot be used is in `skipped` of the report. `on_progress(pictures done, all)`.
    """
    found = _Found()
    for done, sample in enumerate(samples, 1):
        try:
            assert sample.picture is not None, "chosen for their pixels"
            picture = read_picture(sample.picture)
        except InputError as error:
            found.skipped.append(f"{sample.file_name}: {error.message}")
        else:
            for work in works:
                _measure(work, sample, picture, found, codes=codes)
        if on_progress is not None:
            on_progress(done, len(samples))
    modes = dict.fromkeys(row.mode for row in found.rows)
    groups = [(mode, [row for row in found.rows if row.mode == mode]) for mode in modes]
    return Report(
        protocol="enhance",
        columns=COLUMNS,
        rows=tuple(found.rows),
        parts=parts_of(groups, seed),
        settings={"scales": [work.scale for work in works], "codes": codes, "seed": seed},
        skipped=tuple(found.skipped),
        seconds={name: statistics.median(spent) for name, spent in found.seconds.items()},
    )


def _measure(work: Enhancement, sample: ImageSample, picture: Picture, found: _Found, *, codes: bool) -> None:
    """Both ways of a picture, from its pixels and from its codes."""
    scale = work.scale
    if min(picture.shape[:2]) < scale:
        found.skipped.append(f"{sample.file_name}: too small for {scale}x")
        return
    small = reduced(picture, scale)
    truth = picture[: scale * small.shape[0], : scale * small.shape[1]]
    beginnings = {f"{scale}x": small}
    if codes and work.tokenizer is not None and work.tokenizer.code_spec.num_codes:
        beginnings[f"{scale}x from codes"] = _through_codes(work, small)
    for name, begin in beginnings.items():
        start = time.perf_counter()
        ours = work.picture(begin)
        found.seconds[f"enlarge {name}"].append(time.perf_counter() - start)
        pairs = {"bicubic": enlarged(begin, scale), "ours": ours}
        scores = {way: (min(_MOST, psnr(made, truth)), ssim(made, truth)) for way, made in pairs.items()}
        for way, (decibels, likeness) in scores.items():
            values = {"psnr": decibels, "ssim": likeness}
            if way == "ours":
                above = decibels - scores["bicubic"][0]
                values |= {"gain": above, "wins": float(above > 0)}
            found.rows.append(
                Row(
                    key=sample.file_name, group=sample.file_name, source=sample.source, area=1.0,
                    values=values, mode=f"{name}: {way}",
                )
            )  # fmt: skip


def _through_codes(work: Enhancement, picture: Picture) -> Picture:
    """What the tokenizer's codes keep of a picture."""
    assert work.tokenizer is not None, "asked for where there is one"
    header = tokenize.header_for(work.tokenizer, picture.shape[:2])
    grid = tokenize.encode(work.tokenizer, [picture], header, runtime=work.runtime)
    return np.asarray(tokenize.decode(work.tokenizer, grid, runtime=work.runtime), np.uint8)
