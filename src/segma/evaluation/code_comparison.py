"""What a tokenizer keeps of a picture or clip, beside JPEG or H.264 in as many bytes."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from segma.errors import InputError
from segma.evaluation.metrics.psnr_ssim import psnr, ssim
from segma.formats.codes import CodeHeader
from segma.media.footage import Footage
from segma.media.same_rate import Rated, h264_within, jpeg_within
from segma.media.source import DEFAULT_FPS
from segma.models.interfaces import VisualTokenizer
from segma.runtime import Runtime
from segma.tasks import tokenize

Picture = UInt8[ndarray, "height width 3"]
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What one way of coding gave: decibels and likeness are means over the frames.

    `setting` is JPEG's quality or H.264's crf. `fits` is false where it takes more bytes than the codes, as
    its worst setting still does. `num_bytes` of codes are those of the codes alone.
    """

    name: str
    psnr: float
    ssim: float
    num_bytes: int
    bits_per_pixel: float
    setting: int | None = None
    fits: bool = True
    frames: tuple[Picture, ...] = field(default=(), repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:  # JSON
        """JSON-ready, without the frames; decibels are None where nothing was lost."""
        return {
            "name": self.name,
            "psnr": self.psnr if math.isfinite(self.psnr) else None,
            "ssim": self.ssim,
            "bytes": self.num_bytes,
            "bits_per_pixel": self.bits_per_pixel,
            "setting": self.setting,
            "fits": self.fits,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The codes and what stands beside them, of the `original` frames."""

    codes: Kept
    other: Kept
    original: tuple[Picture, ...] = field(repr=False, compare=False)


def compare_codes(
    tokenizer: VisualTokenizer,
    footage: Footage,
    header: CodeHeader,
    *,
    runtime: Runtime | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    cancel: threading.Event | None = None,
) -> Comparison:
    """Encode and decode, and let JPEG (of a picture) or H.264 (of a clip) have as many bytes.

    All frames are held in memory; InputError input.too_large where that is more than 1 GiB. Raises as
    `tasks.tokenize`.
    """
    original = _held(footage)
    grid = tokenize.encode(
        tokenizer, original, header, runtime=runtime, on_progress=on_progress, cancel=cancel
    )
    decoded = list(tokenize.decode_groups(tokenizer, grid.groups, header, runtime=runtime))
    bits = len(grid.values) * header.grid[0] * header.grid[1] * header.bits
    ours = Rated(frames=tuple(decoded), num_bytes=-(-bits // 8), setting=0, fits=True)
    codes = _kept("tokens", ours, original)
    if footage.is_picture:
        return Comparison(
            codes=codes,
            other=_kept("JPEG", jpeg_within(original[0], codes.num_bytes), original),
            original=original,
        )
    theirs = h264_within(original, codes.num_bytes, fps=footage.fps or DEFAULT_FPS)
    return Comparison(codes=codes, other=_kept("H.264", theirs, original), original=original)


def _held(footage: Footage) -> tuple[Picture, ...]:
    frames: list[Picture] = []
    for frame in footage.frames():
        frames.append(frame)
        if (len(frames) + 1) * frame.nbytes > _MOST_BYTES:
            raise InputError(
                "input.too_large",
                f"{footage.source.name}: more than {len(frames)} frames of this size do not fit at once.",
                "Name fewer with --frames, or make them smaller with --size.",
            )
    return tuple(frames)


def _kept(name: str, rated: Rated, original: Sequence[Picture]) -> Kept:
    pairs = list(zip(rated.frames, original, strict=True))
    pixels = sum(frame.shape[0] * frame.shape[1] for frame in original)
    return Kept(
        name=name,
        psnr=float(np.mean([psnr(*pair) for pair in pairs])),
        ssim=float(np.mean([ssim(*pair) for pair in pairs])),
        num_bytes=rated.num_bytes,
        bits_per_pixel=8 * rated.num_bytes / pixels,
        setting=None if name == "tokens" else rated.setting,
        fits=rated.fits,
        frames=rated.frames,
    )
