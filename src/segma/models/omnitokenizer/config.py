"""The sizes of an OmniTokenizer network, and the sizes of the ones that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from segma.models import sizes

NAME = "OmniTokenizer"
PLAIN, WINDOW, MOVING_WINDOW = "t", "w", "c"
_POSITIONS = ("rope", "relative")
_LAYOUTS = ("official", "causal")


@dataclass(frozen=True, kw_only=True, slots=True)
class OmniTokenizerConfig:
    """Which weights exist, and what the names and shapes in the state dict depend on.

    Raises `ModelError` model.unreadable when the numbers contradict each other.
    """

    dim: int = 512
    """Channels of a token."""
    heads: int = 8
    """Attention heads."""
    head_dim: int = 64
    """Channels of a head; a multiple of 4, as they turn in pairs for two axes."""
    mlp_dim: int = 1365
    """Hidden channels of the feed-forward layers; officially 8/3 of `dim`."""
    patch: int = 8
    """Side of a patch, in pixels."""
    temporal_patch: int = 4
    """Frames of a group; the first frame is a group of its own."""
    window: int = 8
    """Side of an attention window, in tokens."""
    encoder_spatial: str = "ttww"
    """Layers over space in the encoder: t attends to a whole frame, w to windows of it, c (ours) to windows
    after the convolution of t, which joins them, so that the cost grows with the picture and no faster."""
    encoder_temporal: str = "tttt"
    """Layers over time in the encoder; all plain."""
    decoder_temporal: str = "tttt"
    """Layers over time in the decoder; all plain."""
    decoder_spatial: str = "tttt"
    """Layers over space in the decoder."""
    code_dim: int = 8
    """Numbers of a token in the bottleneck."""
    num_codes: int = 8192
    """Codes to snap a token to; 0: it is a Gaussian instead (the KL model)."""
    spatial_position: str = "rope"
    """How plain layers over space know places: "rope", or "relative" (models of images alone)."""
    temporal_layout: str = "official"
    """How tokens lie when the layers over time convolve: "official" scrambles them as all official weights
    were trained (specification, section 3), so that time is not causal; "causal" does not."""
    attention_bias: bool = False
    """Whether relative biases and, over time, ALiBi slopes are added: only in `imagenet_only`; no tensor
    shows it."""
    temporal_memory: int = 0
    """Groups before its own that a token attends to over time; 0: all, as officially."""
    pixel_norm: bool = True
    """Whether patches are normed before they are embedded, as officially, which hides how bright they are."""
    joint: bool = False
    """Whether tokens are Gaussians as well as codes, on one trunk (ours)."""
    shortcut: bool = False
    """Whether a linear way from patches to the numbers of tokens, and back, goes round the layers (ours)."""
    moving: bool = False
    """Whether layers have a second part that feeds forward, for what follows on the first frame (ours)."""

    def __post_init__(self) -> None:
        """Check what the parts need of each other."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and not isinstance(value, bool) and (value or field.default):
                may_be_zero = field.name in ("num_codes", "temporal_memory")
                if not (may_be_zero and value == 0):
                    sizes.check_size(NAME, field.name, value)
        if self.head_dim % 4:
            sizes.refuse(NAME, f"head_dim {self.head_dim} is no multiple of 4")
        for name, known in (("spatial_position", _POSITIONS), ("temporal_layout", _LAYOUTS)):
            if getattr(self, name) not in known:
                sizes.refuse(NAME, f"{name} is {getattr(self, name)!r}, not one of {', '.join(known)}")
        for name, kinds in (
            ("encoder_spatial", PLAIN + WINDOW + MOVING_WINDOW),
            ("decoder_spatial", PLAIN + WINDOW + MOVING_WINDOW),
            ("encoder_temporal", PLAIN),
            ("decoder_temporal", PLAIN),
        ):
            layers = getattr(self, name)
            if not 0 < len(layers) <= sizes.DEPTH_LIMIT or set(layers) - set(kinds):
                sizes.refuse(NAME, f"{name} is {layers!r}, not layers of {' or '.join(kinds)}")
        if self.temporal_memory and self.is_official:
            sizes.refuse(NAME, "the official layout has no bounded memory")
        if self.moving and WINDOW in self.encoder_spatial + self.decoder_spatial:
            sizes.refuse(NAME, f"layers {WINDOW!r} do not know where a clip begins")
        if self.joint and not self.num_codes:
            sizes.refuse(NAME, "joint tokens need codes")

    @property
    def is_continuous(self) -> bool:
        """Whether tokens are Gaussians and not codes."""
        return not self.num_codes

    @property
    def has_gaussians(self) -> bool:
        """Whether tokens are Gaussians, alone or beside codes."""
        return self.joint or self.is_continuous

    @property
    def is_official(self) -> bool:
        """Whether layers over time are the official ones, scrambled and with a bias that is not used."""
        return self.temporal_layout == "official"

    @property
    def side_multiple(self) -> int:
        """What sides of a picture are padded to: whole patches, and whole windows where there are some."""
        has_windows = bool({WINDOW, MOVING_WINDOW} & set(self.encoder_spatial + self.decoder_spatial))
        return self.patch * self.window if has_windows else self.patch

    def num_groups(self, frames: int) -> int:
        """Latent frames of a clip of so many frames, one and whole groups."""
        return 1 + (frames - 1) // self.temporal_patch


_OFFICIAL = OmniTokenizerConfig()

_SMALL = OmniTokenizerConfig(
    dim=128, heads=4, head_dim=32, mlp_dim=336, encoder_spatial="ccc", encoder_temporal="t",
    decoder_temporal="t", decoder_spatial="cccc", num_codes=4096, temporal_layout="causal",
    temporal_memory=4, pixel_norm=False, joint=True, shortcut=True, moving=True,
)  # fmt: skip


def _sized(
    config: OmniTokenizerConfig, *, dim: int, heads: int, encoder: str, decoder: str
) -> OmniTokenizerConfig:
    mlp_dim = dim * 8 // 3 // 8 * 8
    return replace(
        config, dim=dim, heads=heads, mlp_dim=mlp_dim, encoder_spatial=encoder, decoder_spatial=decoder,
        moving=False,
    )  # fmt: skip


VARIANTS: Mapping[str, OmniTokenizerConfig] = MappingProxyType(
    {
        "omnitokenizer_vq": _OFFICIAL,
        "omnitokenizer_kl": replace(_OFFICIAL, num_codes=0),
        "omnitokenizer_image": replace(_OFFICIAL, spatial_position="relative", temporal_patch=2),
        "omnitokenizer_image_biased": replace(
            _OFFICIAL, spatial_position="relative", temporal_patch=2, attention_bias=True
        ),
        "omnitokenizer_causal": replace(_OFFICIAL, temporal_layout="causal"),
        "omnitokenizer_small": _SMALL,
        "omnitokenizer_smaller": _sized(_SMALL, dim=96, heads=3, encoder="cc", decoder="ccc"),
        "omnitokenizer_larger": _sized(_SMALL, dim=192, heads=6, encoder="cc", decoder="cccc"),
    }
)
"""Models of images and clips, with codes or Gaussians; models of images alone; `imagenet_only`; the official
size with time in order; and small ones of ours."""


def to_json_dict(config: OmniTokenizerConfig) -> dict[str, Any]:  # JSON
    """The config as plain JSON values."""
    return sizes.to_json(config)


def from_json_dict(values: Mapping[str, Any]) -> OmniTokenizerConfig:  # JSON
    """The config of `to_json_dict`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    return sizes.from_json(OmniTokenizerConfig, NAME, values, zeros=("num_codes",))
