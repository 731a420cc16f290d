"""What a video can be written as, one row each; `VideoWriter` and the command line read this table."""

from __future__ import annotations

from dataclasses import dataclass, field

from segma.errors import FormatError

GREEN = (0, 177, 64)
"""The green that keying programs take away, RGB."""

_H264 = {"crf": "18", "preset": "fast"}
_VP9 = {
    "crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "tile-columns": "2",
    "auto-alt-ref": "0",  # the encoder cannot hide frames where there is alpha
}  # fmt: skip
_PRORES = {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"}
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of video output."""

    name: str
    suffix: str
    """How its files end; none for a folder of pictures."""
    container: str = ""
    codec: str = ""
    pixels: str = ""
    """FFmpeg's pixel format."""
    options: dict[str, str] = field(default_factory=dict[str, str])
    """Of the encoder."""
    copied_audio: frozenset[str] = frozenset()
    """Audio codecs whose packets the container takes as they are."""
    new_audio: str = ""
    """The encoder for all other audio."""
    has_alpha: bool = False
    is_even: bool = False
    """Whether rows and columns must be even: the last one is then repeated."""
    has_range: bool = True
    """Whether a full range (0 to 255) can be told; else it is written as 16 to 235."""
    ticks: int | None = None
    """Ticks a second, where the container has its own; else the source's time base is kept."""
    bytes_per_pixel: float = 0.0
    """What a file needs at least, roughly: so much room is asked for before anything is written."""


def _mp4(name: str) -> Kind:
    return Kind(
        name=name,
        suffix=".mp4",
        container="mp4",
        codec="libx264",
        pixels="yuv420p",
        options=_H264,
        copied_audio=_MP4_AUDIO,
        new_audio="aac",
        is_even=True,
        bytes_per_pixel=0.01,
    )


KINDS: tuple[Kind, ...] = (
    _mp4("h264"),
    _mp4("green"),
    _mp4("matte"),
    Kind(
        name="webm-alpha",
        suffix=".webm",
        container="webm",
        codec="libvpx-vp9",
        pixels="yuva420p",
        options=_VP9,
        copied_audio=frozenset({"opus", "vorbis"}),
        new_audio="libopus",
        has_alpha=True,
        ticks=1000,
        bytes_per_pixel=0.005,
    ),
    Kind(
        name="prores4444",
        suffix=".mov",
        container="mov",
        codec="prores_ks",
        pixels="yuva444p10le",
        options=_PRORES,
        copied_audio=_MP4_AUDIO | _PCM,
        new_audio="pcm_s16le",
        has_alpha=True,
        has_range=False,
        bytes_per_pixel=0.1,
    ),
    Kind(name="png", suffix="", has_alpha=True, bytes_per_pixel=0.05),
)
"""`green` and `matte` are H.264 as well: what is on the picture is the caller's to draw."""


def kind_of(name: str) -> Kind:
    """The row of a name. Raises FormatError.

    >>> kind_of("prores4444").suffix
    '.mov'
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    known = ", ".join(kind.name for kind in KINDS)
    raise FormatError("format.unknown", f'No video kind "{name}".', f"Use {known}.")
