"""The sizes of a SAM 2 network, and the sizes of the ones that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from segma.models import sizes

NAME = "SAM 2"
NUM_STAGES = 4
# Maps that the decoder sees: of strides 16, 4 and 8.
NUM_LEVELS = 3
# Pixels of a token's side in the first stage, and in the last.
FIRST_STRIDE, LAST_STRIDE = 4, 32
_TRUNKS = ("hiera", "conv")
_PER_STAGE = ("stage_depths", "stage_widths", "stage_heads", "stage_mlp_dims", "windows")
_LIMITS = MappingProxyType(
    {"memory_layers": 64, "fuser_layers": 64, "decoder_depth": 64, "num_multimask": 64}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sam2Config:
    """Which weights exist, and what the names and shapes in the state dict depend on.

    Raises `ModelError` model.unreadable when the numbers contradict each other.
    """

    trunk: str = "hiera"
    """The network before the pyramid: "hiera", or "conv", our own, without heads, MLPs or windows."""
    stage_depths: tuple[int, ...]
    """Blocks of each of the four stages."""
    stage_widths: tuple[int, ...]
    """Channels of a token in each stage."""
    stage_heads: tuple[int, ...]
    """Attention heads in each stage; no tensor shows them."""
    stage_mlp_dims: tuple[int, ...]
    """Hidden channels of the MLP in each stage; officially 4 times the width."""
    windows: tuple[int, ...] = (8, 4, 14, 7)
    """Side of the attention window in each stage, in tokens; no tensor shows all of them."""
    global_blocks: tuple[int, ...]
    """Indices, from 0, of the blocks that attend over the whole image; no tensor shows them."""
    position_side: int = 7
    """Side of the table of global positions."""
    window_position_side: int = 8
    """Side of the table of positions that is repeated over the image."""
    image_size: int = 1024
    """Side of the square input, in pixels; no tensor shows it."""
    dim: int = 256
    """Channels of the image embedding, of prompt tokens, pointers and the decoder."""
    memory_dim: int = 64
    """Channels of a memory."""
    memory_layers: int = 4
    """Layers of the memory attention."""
    memory_mlp_dim: int = 2048
    """Hidden channels of the memory attention's MLP."""
    fuser_layers: int = 2
    """ConvNeXt blocks of the memory encoder."""
    fuser_dim: int = 1024
    """Hidden channels of such a block."""
    decoder_depth: int = 2
    """Layers of the two-way transformer."""
    decoder_heads: int = 8
    """Attention heads of the two-way transformer; no tensor shows this number."""
    decoder_mlp_dim: int = 2048
    """Hidden channels of the decoder's MLP."""
    mask_channels: int = 16
    """Channels of a mask prompt before its last convolution."""
    iou_hidden_dim: int = 256
    """Hidden channels of the head that guesses the IoU."""
    num_multimask: int = 3
    """Masks of the ambiguous set; the single mask comes on top."""
    num_recent: int = 6
    """Temporal codes of recent frames; one more is for conditioning frames."""
    num_pointers: int = 16
    """Pointers attended to, officially; no tensor shows it."""
    object_pointer_time: bool = True
    """Whether pointers carry their distance in time (2.1)."""
    absent_memory: bool = True
    """Whether memories of frames without the object are marked (2.1)."""
    attends_others: bool = False
    """Whether pointers of other objects are marked as such; no official weights."""
    follows_masks: bool = False
    """Whether tracked frames are shown the mask of the frame before as a prompt; no official weights."""
    hedges: bool = False
    """Whether the single mask was trained on one click too, and may be the answer; no official weights."""
    prompt_maps: bool = False
    """Whether clicks and boxes are drawn into the mask prompt as well; no official weights."""
    refiner_width: int = 0
    """Channels of the convolutions that refine the finest maps for each prompt; 0 for none, as officially."""
    views: tuple[int, ...] = ()
    """Percents of a picture's side at which one click is looked at again; none officially."""
    view_judge_width: int = 0
    """Hidden channels of the network that chooses among what was found there; 0 for none."""
    judge_width: int = 0
    """Hidden channels of the network that judges finished masks (needs the two above); 0 for none."""

    def __post_init__(self) -> None:
        """Check what the parts need of each other."""
        if self.trunk not in _TRUNKS:
            sizes.refuse(NAME, f"trunk is {self.trunk!r}, not one of {', '.join(_TRUNKS)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and not isinstance(value, bool) and (value or field.default != 0):
                sizes.check_size(NAME, field.name, value, _LIMITS.get(field.name, sizes.LIMIT))
        _check_stages(self)
        for whole, part in (("dim", "decoder_heads"), ("dim", "memory_dim")):
            sizes.check_multiple(NAME, self, whole, part)
        if (self.dim // 2) % self.decoder_heads or self.dim % 8 or self.memory_dim % 4:
            sizes.refuse(NAME, f"dim {self.dim} or memory_dim {self.memory_dim} cannot be split as needed")
        if self.judge_width and not (self.prompt_maps and self.refiner_width):
            sizes.refuse(NAME, "a judge needs prompt_maps and a refiner")
        if bool(self.views) != bool(self.view_judge_width) or not all(0 < each < 100 for each in self.views):
            sizes.refuse(NAME, f"views {self.views} and view_judge_width {self.view_judge_width} do not fit")
        if self.mask_channels % 4:
            sizes.refuse(NAME, f"mask_channels {self.mask_channels} is no multiple of 4")

    @property
    def grid_size(self) -> int:
        """Side of the image embedding, in tokens."""
        return self.image_size // (LAST_STRIDE // 2)

    @property
    def view_shares(self) -> tuple[float, ...]:
        """`views` as shares."""
        return tuple(each / 100 for each in self.views)

    @property
    def version(self) -> str:
        """2.0 or 2.1, by what the weights hold."""
        return "2.1" if self.object_pointer_time else "2.0"


def _check_stages(config: Sam2Config) -> None:
    for name in _PER_STAGE:
        values = getattr(config, name)
        if len(values) != NUM_STAGES:
            sizes.refuse(NAME, f"{name} has {len(values)} numbers, not {NUM_STAGES}")
        for value in values:
            sizes.check_size(NAME, name, value, sizes.DEPTH_LIMIT if name == "stage_depths" else sizes.LIMIT)
    for width, heads in zip(config.stage_widths, config.stage_heads, strict=True):
        if width % heads:
            sizes.refuse(NAME, f"a stage of width {width} cannot have {heads} heads")
    if any(window % 2 for window in config.windows[:-1]):
        sizes.refuse(NAME, f"windows {config.windows} but the last must be even, as they are halved")
    blocks, depth = config.global_blocks, sum(config.stage_depths)
    if not all(0 <= index < depth for index in blocks):
        sizes.refuse(NAME, f"global_blocks {blocks} are not all within 0..{depth - 1}")
    if len(set(blocks)) < len(blocks):
        sizes.refuse(NAME, f"global_blocks {blocks} name a block twice")
    if config.image_size % LAST_STRIDE:
        sizes.refuse(NAME, f"image_size {config.image_size} is no multiple of {LAST_STRIDE}")
    if (config.image_size // FIRST_STRIDE) % config.window_position_side:
        side = config.window_position_side
        sizes.refuse(NAME, f"window_position_side {side} does not divide image_size / {FIRST_STRIDE}")


def _hiera(
    depths: tuple[int, ...], width: int, heads: int, global_blocks: tuple[int, ...], **others: Any
) -> Sam2Config:
    """Width and heads double from stage to stage. `others` are fields of `Sam2Config`."""
    return Sam2Config(
        stage_depths=depths,
        stage_widths=tuple(width << stage for stage in range(NUM_STAGES)),
        stage_heads=tuple(heads << stage for stage in range(NUM_STAGES)),
        stage_mlp_dims=tuple(4 * width << stage for stage in range(NUM_STAGES)),
        global_blocks=global_blocks,
        **others,
    )


_HIERA = MappingProxyType(
    {
        "tiny": _hiera((1, 2, 7, 2), 96, 1, (5, 7, 9)),
        "small": _hiera((1, 2, 11, 2), 96, 1, (7, 10, 13)),
        "base_plus": _hiera((2, 3, 16, 3), 112, 2, (12, 16, 20), position_side=14),
        "large": _hiera((2, 6, 36, 4), 144, 2, (23, 33, 43), windows=(8, 4, 16, 8)),
    }
)

VARIANTS: Mapping[str, Sam2Config] = MappingProxyType(
    {f"sam2.1_hiera_{size}": config for size, config in _HIERA.items()}
    | {
        f"sam2_hiera_{size}": replace(config, object_pointer_time=False, absent_memory=False)
        for size, config in _HIERA.items()
    }
    | {
        "sam2.1_conv_small": Sam2Config(
            trunk="conv",
            stage_depths=(1, 2, 4, 2),
            stage_widths=(40, 80, 160, 256),
            stage_heads=(1, 1, 1, 1),
            stage_mlp_dims=(160, 320, 640, 1024),
            global_blocks=(),
            image_size=256,
            dim=128,
            memory_dim=32,
            memory_layers=2,
            memory_mlp_dim=256,
            fuser_dim=256,
            decoder_heads=4,
            decoder_mlp_dim=256,
            mask_channels=32,
            iou_hidden_dim=128,
            follows_masks=True,
            hedges=True,
            prompt_maps=True,
            refiner_width=24,
            judge_width=96,
            views=(36, 20),
            view_judge_width=64,
        ),
    }
)


def to_json_dict(config: Sam2Config) -> dict[str, Any]:  # JSON
    """The fields as plain JSON values."""
    return sizes.to_json(config)


def from_json_dict(values: Mapping[str, Any]) -> Sam2Config:  # JSON
    """The config of `to_json_dict`. `ModelError` model.unreadable on unknown, missing or wrong fields."""
    return sizes.from_json(Sam2Config, NAME, values)
