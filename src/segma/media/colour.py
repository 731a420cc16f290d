"""What a video file says about its colours: the numbers of its tags, as FFmpeg (and PyAV) count them.

The numbers are those of ITU-T H.273 ("coding-independent code points"); range is FFmpeg's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

UNSPECIFIED = 2
"""Primaries, transfer and matrix that a file does not name."""

_MATRICES = {1, 4, 5, 6, 7, 9}  # what FFmpeg's scaler can compute


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourTags:
    """The colour tags of a stream or frame; None and "unspecified" both mean that nothing is said."""

    range: int | None = None
    """1: 16 to 235 (tv), 2: 0 to 255 (pc), 0 or None: not said."""
    primaries: int | None = None
    """1: bt709, 5 and 6: bt601, 9: bt2020."""
    transfer: int | None = None
    """1: bt709, 6: bt601, 13: sRGB, 16: PQ, 18: HLG."""
    matrix: int | None = None
    """How RGB became YUV. 1: bt709, 5 and 6: bt601, 9: bt2020, 0: RGB itself."""


BT709 = ColourTags(range=1, primaries=1, transfer=1, matrix=1)
"""What is written where a source has no tags of its own: pictures, arrays."""


def writable_tags(tags: ColourTags, *, full_range: bool) -> ColourTags:
    """The tags with a matrix that can be computed (else bt709), and the range 1 unless `full_range`."""
    matrix = UNSPECIFIED if tags.matrix is None else tags.matrix
    return replace(
        tags,
        matrix=matrix if matrix in _MATRICES | {UNSPECIFIED} else 1,
        range=tags.range if full_range else 1,
    )


def scaler_matrix(tags: ColourTags) -> int:
    """The matrix to compute with: bt601 where the tags say none, as FFmpeg does when it reads."""
    return tags.matrix if tags.matrix in _MATRICES else 5
