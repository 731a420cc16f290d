"""Pictures and clips through a tokenizer and back, beside what is simpler at the same rate.

Codes stand beside k-means of patches with as many codes, and beside WebP (pictures) or H.264 (clips) in as
many bytes; latents beside as many principal components of the same patches. Both peers are fitted to data
of `fit`, and without such to the other half of what is measured, half by half.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy import ndarray

from segma.errors import InputError
from segma.evaluation.code_peers import FitConfig, PatchPeers, fit_peers
from segma.evaluation.metrics.bootstrap import Interval
from segma.evaluation.metrics.psnr_ssim import psnr, ssim
from segma.evaluation.pixels import square_of, squares_of
from segma.evaluation.protocols.asking import OnProgress, evenly
from segma.evaluation.report import Column, Part, Report, Row, parts_of
from segma.formats.codes import CodeHeader
from segma.media.same_rate import Rated, h264_within, webp_nearest
from segma.media.source import DEFAULT_FPS
from segma.models.interfaces import CodeSpec, VisualTokenizer
from segma.runtime import Runtime
from segma.samples import ImageSample, VideoSample
from segma.tasks import tokenize

COLUMNS = (
    Column(measure="psnr", heading="PSNR", scale=1, digits=2),
    Column(measure="ssim", heading="SSIM", scale=1, digits=4),
    Column(measure="bits_per_pixel", heading="bits/pixel", scale=1, digits=4),
    Column(measure="gain", heading="ours above", scale=1, digits=2),
    Column(measure="fits", heading="fits %"),
    Column(measure="codes_used", heading="codes used %"),
    Column(measure="perplexity", heading="perplexity", scale=1, digits=0),
)

_Frames = UInt8[ndarray, "frames size size 3"]
_Sample = ImageSample | VideoSample
Kind = Literal["pictures", "clips"]
_KINDS: tuple[Kind, ...] = ("pictures", "clips")
_MOST = 100.0  # decibels that equal pictures count as
# Frames of a clip that peers are fitted to, at most.
_FIT_FRAMES = 41


@dataclass(frozen=True, kw_only=True, slots=True)
class TokensConfig:
    """Pictures are squares of `size` pixels, clips `frames` squares of `clip_size`, out of the middle.

    `fit_pictures` and `fit_clips` are how many of each the peers are fitted to at most, `fitting` is how.
    """

    size: int = 256
    clip_size: int = 128
    frames: int = 17
    peers: bool = True
    fit_pictures: int = 1000
    fit_clips: int = 200
    fitting: FitConfig = field(default_factory=FitConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "clip_size", "frames", "fit_pictures", "fit_clips"):
            if getattr(self, name) < 1:
                raise InputError("input.value", f"{name} is {getattr(self, name)}, expected 1 or more.")

    def check(self, spec: CodeSpec) -> None:
        """Raises InputError for sizes that the model's codes do not divide."""
        for name in ("size", "clip_size"):
            if getattr(self, name) % spec.side_multiple:
                text = f"{name} is {getattr(self, name)}, expected a multiple of {spec.side_multiple}."
                raise InputError("input.value", text)
        most = spec.chunk if spec.chunk > 1 else self.frames
        if self.frames > most or (self.frames - 1) % spec.temporal_patch:
            text = f"frames is {self.frames}, expected 1 + a multiple of {spec.temporal_patch}"
            raise InputError("input.value", f"{text}{f', {most} at most' if spec.chunk > 1 else ''}.")


@dataclass(slots=True)
class _Run:
    """What a measurement works with, and what it has found."""

    network: VisualTokenizer
    config: TokensConfig
    runtime: Runtime
    rows: list[Row] = field(default_factory=list[Row])
    skipped: list[str] = field(default_factory=list[str])
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[str, Int[ndarray, " codes"]] = field(default_factory=dict[str, Int[ndarray, " codes"]])

    @property
    def spec(self) -> CodeSpec:
        return self.network.code_spec

    def read(self, sample: _Sample) -> _Frames:
        """The pixels to measure on. Raises InputError."""
        if isinstance(sample, ImageSample):
            return square_of(sample, self.config.size)
        frames = squares_of(sample, self.config.clip_size, self.config.frames)
        if len(frames) < self.config.frames:
            raise InputError(
                "input.frame_range", f"{len(frames)} frames, expected {self.config.frames} or more"
            )
        return frames

    def measure(self, sample: _Sample, peers: PatchPeers | None) -> None:
        """All ways of one sample; what cannot be read is told to `skipped`."""
        name = sample.file_name if isinstance(sample, ImageSample) else sample.name
        try:
            frames = self.read(sample)
        except InputError as error:
            self.skipped.append(f"{name}: {error.message}")
            return
        shot = _Shot(self, sample, name, frames)
        if self.spec.num_codes:
            shot.by_codes(peers)
        if self.spec.channels:
            shot.by_latents(peers)

    def count(self, mode: str, codes: ndarray) -> None:
        """Remember which codes were chosen."""
        found = np.bincount(codes.ravel(), minlength=self.spec.num_codes)
        for name in (mode, f"both: {mode.partition(': ')[2]}"):
            self.counts[name] = self.counts.get(name, np.zeros_like(found)) + found


@dataclass(frozen=True, slots=True)
class _Shot:
    """One picture or clip in a measurement."""

    run: _Run
    sample: _Sample
    name: str
    frames: _Frames

    @property
    def kind(self) -> Kind:
        return "pictures" if isinstance(self.sample, ImageSample) else "clips"

    def by_codes(self, peers: PatchPeers | None) -> None:
        """Our codes, k-means', and the usual format in as many bytes."""
        spec = self.run.spec
        header, values, made = self._there_and_back(latents=False)
        bits = values.size * header.bits
        self.run.count(f"{self.kind}: codes", values)
        ours = self._keep("codes", made, bits)
        if not self.run.config.peers:
            return
        if peers is not None:
            assert spec.num_codes
            made, chosen = peers.by_codes(self.frames)
            self.run.count(f"{self.kind}: k-means", chosen)
            self._keep("k-means", made, bits, ours)
        rated, name = self._usual(-(-bits // 8))
        self._keep(name, np.stack(rated.frames), 8 * rated.num_bytes, ours, fits=float(rated.fits))

    def by_latents(self, peers: PatchPeers | None) -> None:
        """Our latents, and as many principal components."""
        header, values, made = self._there_and_back(latents=True)
        bits = values.size // header.channels * header.bits
        ours = self._keep("latents", made, bits)
        if self.run.config.peers and peers is not None:
            self._keep("PCA", peers.by_numbers(self.frames), bits, ours)

    def _there_and_back(self, *, latents: bool) -> tuple[CodeHeader, ndarray, _Frames]:
        network, runtime = self.run.network, self.run.runtime
        size = (int(self.frames.shape[1]), int(self.frames.shape[2]))
        fps = None if self.kind == "pictures" else DEFAULT_FPS
        header = tokenize.header_for(network, size, fps=fps, latents=latents)
        start = time.perf_counter()
        grid = tokenize.encode(network, self.frames, header, runtime=runtime)
        middle = time.perf_counter()
        made = tokenize.decode(network, grid, runtime=runtime)
        what = "picture" if self.kind == "pictures" else "clip"
        self.run.seconds[f"encode a {what}"].append(middle - start)
        self.run.seconds[f"decode a {what}"].append(time.perf_counter() - middle)
        return header, grid.values, made[None] if made.ndim == 3 else made

    def _usual(self, num_bytes: int) -> tuple[Rated, str]:
        if self.kind == "pictures":
            return webp_nearest(self.frames[0], num_bytes), "WebP"
        fps = self.sample.fps if isinstance(self.sample, VideoSample) else None
        return h264_within(list(self.frames), num_bytes, fps=fps or DEFAULT_FPS), "H.264"

    def _keep(self, way: str, made: _Frames, bits: int, ours: float | None = None, **values: float) -> float:
        """A row; the decibels. `ours` are those of the tokenizer, where this is a peer."""
        pairs = list(zip(made, self.frames, strict=True))
        decibels = float(np.mean([min(_MOST, psnr(*pair)) for pair in pairs]))
        values |= {
            "psnr": decibels,
            "ssim": float(np.mean([ssim(*pair) for pair in pairs])),
            "bits_per_pixel": bits / (self.frames.size / 3),
        }
        if ours is not None:
            values["gain"] = ours - decibels
        self.run.rows.append(
            Row(
                key=self.name,
                group=self.name,
                source=self.sample.source,
                area=1.0,
                values=values,
                mode=f"{self.kind}: {way}",
            )
        )
        return decibels


def run(
    network: VisualTokenizer,
    samples: Sequence[_Sample],
    config: TokensConfig | None = None,
    *,
    fit: Sequence[_Sample] = (),
    runtime: Runtime | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Every picture and clip. `on_progress(samples done, samples in all)`; fitting goes before the first.

    What cannot be used is in `skipped` of the report. Raises InputError, MemoryLimitError.
    """
    config = config or TokensConfig()
    found = _Run(network, config, runtime or Runtime())
    config.check(found.spec)
    done = 0
    for kind in _KINDS:
        own = _of(kind, samples)
        if own and kind == "clips" and found.spec.chunk == 1:
            found.skipped.append(f"{len(own)} clips: the model is one of pictures")
            own = []
        for part, peers in _halves(found, kind, own, _of(kind, fit)):
            fitted = peers() if config.peers and part else None
            for sample in part:
                found.measure(sample, fitted)
                done += 1
                if on_progress is not None:
                    on_progress(done, len(samples))
    return Report(
        protocol="tokens",
        columns=COLUMNS,
        rows=tuple(found.rows),
        parts=_parts(found),
        settings=asdict(config) | {"fit": "given" if fit else "the other half of the data"},
        skipped=tuple(found.skipped),
        seconds={name: statistics.median(spent) for name, spent in found.seconds.items()},
    )


def _of(kind: Kind, samples: Sequence[_Sample]) -> list[_Sample]:
    return [each for each in samples if isinstance(each, ImageSample) == (kind == "pictures")]


def _halves(
    run: _Run, kind: Kind, own: Sequence[_Sample], fit: Sequence[_Sample]
) -> Iterator[tuple[Sequence[_Sample], Callable[[], PatchPeers | None]]]:
    """What is measured together, and what fits the peers for it: all of it by `fit`, else half by half."""
    if fit:
        yield own, lambda: _fitted(run, kind, fit)
        return
    even, odd = own[::2], own[1::2]
    yield even, lambda: _fitted(run, kind, odd)
    yield odd, lambda: _fitted(run, kind, even)


def _fitted(run: _Run, kind: Kind, samples: Sequence[_Sample]) -> PatchPeers | None:
    """Peers of pictures or of clips; from the seed, whatever was measured before."""
    config = run.config
    chosen = evenly(samples, config.fit_pictures if kind == "pictures" else config.fit_clips)
    generator = torch.Generator().manual_seed(config.seed)
    peers = fit_peers(_readable(run, chosen), len(chosen), run.spec, config.fitting, generator)
    if peers is None or (kind == "clips" and peers.group is None and config.frames > 1):
        run.skipped.append(f"{kind}: there is nothing to fit k-means and components to")
        return None
    return peers


def _readable(run: _Run, samples: Sequence[_Sample]) -> Iterator[_Frames]:
    group = run.spec.temporal_patch
    for sample in samples:
        try:
            if isinstance(sample, ImageSample):
                yield square_of(sample, run.config.size)
            else:
                yield squares_of(sample, run.config.clip_size, _FIT_FRAMES, group=group)
        except InputError as error:
            name = sample.file_name if isinstance(sample, ImageSample) else sample.name
            run.skipped.append(f"not fitted to {name}: {error.message}")


def _parts(run: _Run) -> tuple[Part, ...]:
    """A part for each way, with the use of its codes; also of both together, where there are both kinds."""
    modes = dict.fromkeys(row.mode for row in run.rows)
    parts = parts_of(
        [(mode, [row for row in run.rows if row.mode == mode]) for mode in modes], run.config.seed
    )
    found = [
        replace(part, values={**part.values, **_usage(run.counts[part.name])})
        if part.name in run.counts
        else part
        for part in parts
    ]
    if len({mode.partition(":")[0] for mode in modes}) > 1:
        for name, counts in run.counts.items():
            if name.startswith("both: "):
                way = name.removeprefix("both: ")
                number = sum(row.mode.endswith(f": {way}") for row in run.rows)
                found.append(Part(name=name, count=number, values=_usage(counts), calibration={}))
    return tuple(found)


def _usage(counts: Int[ndarray, " codes"]) -> dict[str, Interval]:
    """The share of codes chosen at least once, and how many equally likely ones would be as hard to guess."""
    shares = counts[counts > 0] / counts.sum()
    values = {
        "codes_used": float(np.mean(counts > 0)),
        "perplexity": math.exp(-float(np.sum(shares * np.log(shares)))),
    }
    return {name: Interval(value, math.nan, math.nan, int(counts.sum())) for name, value in values.items()}
