"""Pictures and clips to codes and back, group by group: an image is a clip of one frame.

Both ways are iterators. Of a model that is causal in time they hold one group and what the model itself
remembers, however long the clip is; of one that is not, a chunk. All there is of a grid at once is made
of them too, so that codes do not depend on how they were asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from segma.errors import Cancelled, InputError, ModelError
from segma.formats.codes import CodeGroup, CodeHeader, Values
from segma.models.interfaces import CodeSpec, VisualTokenizer
from segma.results import CodeGrid
from segma.runtime import Runtime, memory_errors
from segma.tasks.tokenize_tiles import Tile, tiles_of

Picture = UInt8[ndarray, "height width 3"]
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizeConfig:
    """How large pictures are cut up. None: by the model, see `sides`."""

    tile_pixels: int | None = None
    """Longest side of a tile; a picture that is not larger is one."""
    margin_pixels: int | None = None
    """What is looked at around a tile, so that no border is seen."""

    def __post_init__(self) -> None:
        tile, margin = self.tile_pixels, self.margin_pixels
        if (tile is not None and tile < 1) or (margin is not None and margin < 0):
            raise InputError("input.value", f"Tiles of {tile} pixels and a margin of {margin}.")

    def sides(self, spec: CodeSpec) -> tuple[int, int]:
        """Tile and margin in pixels.

        Where a layer attends to all of a frame, tiles save time: with 192 channels on one core 1024 x 1024
        pixels decode in 28 s as a whole, in 16 s in tiles of 512. Else they save memory alone, and a margin
        of 128 leaves codes as they were (measured with `omnitokenizer_small`, 3 windows deep).
        """
        usual = (512, 64) if spec.attends_whole else (1024, 128)
        tile, margin = self.tile_pixels, self.margin_pixels
        return tile or usual[0], usual[1] if margin is None else margin


_USUAL = TokenizeConfig()


def header_for(
    tokenizer: VisualTokenizer,
    size: tuple[int, int],
    *,
    fps: float | int | None = None,
    latents: bool = False,
    model: str = "",
    weights: str = "",
) -> CodeHeader:
    """What a file says of pictures of `size` (height, width); `fps` is None for a single one.

    `latents`: whether a model that gives codes as well is asked for those. Raises ModelError model.task where
    it gives none.
    """
    spec = tokenizer.code_spec
    if latents and not spec.channels:
        raise ModelError("model.task", f"{model or 'The model'} gives codes and no latents.")
    latents = latents or not spec.num_codes
    return CodeHeader(
        size=size,
        grid=grid_for(spec, size),
        fps=fps,
        num_codes=0 if latents else spec.num_codes,
        channels=spec.channels if latents else 0,
        patch=spec.patch,
        temporal_patch=spec.temporal_patch,
        chunk=spec.chunk,
        model=model,
        weights=weights,
    )


def grid_for(spec: CodeSpec, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the codes of a picture, with what is padded to whole windows."""
    height, width = (-(-side // spec.side_multiple) * spec.side_multiple // spec.patch for side in size)
    return height, width


def encode(
    tokenizer: VisualTokenizer,
    frames: Iterable[Picture],
    header: CodeHeader,
    *,
    runtime: Runtime | None = None,
    config: TokenizeConfig = _USUAL,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> CodeGrid:
    """The codes of all frames. Raises as `encode_groups`, and Cancelled once `cancel` is set."""
    groups = encode_groups(tokenizer, frames, header, runtime=runtime, config=config)
    return CodeGrid.of(header, watched(groups, on_progress, cancel))


def decode(
    tokenizer: VisualTokenizer,
    grid: CodeGrid,
    *,
    runtime: Runtime | None = None,
    config: TokenizeConfig = _USUAL,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> UInt8[ndarray, "*frames height width 3"]:
    """The picture (height, width, 3), or the clip (frames, height, width, 3) where the grid has an `fps`.

    Raises as `decode_groups`, and Cancelled once `cancel` is set.
    """
    groups = watched(grid.groups, on_progress, cancel, grid.num_frames)
    frames = list(decode_groups(tokenizer, groups, grid.header, runtime=runtime, config=config))
    return frames[0] if grid.fps is None else np.stack(frames)


def encode_groups(
    tokenizer: VisualTokenizer,
    frames: Iterable[Picture],
    header: CodeHeader,
    *,
    runtime: Runtime | None = None,
    config: TokenizeConfig = _USUAL,
) -> Iterator[CodeGroup]:
    """The codes (or latents) of frames, each group as soon as its frames are there; `header_for` the header.

    Frames are padded right and below by their last pixels, the end of a clip by its last frame. Raises
    InputError input.array for frames of another size, ModelError model.task for a header that is not of this
    model, MemoryLimitError.
    """
    spec = tokenizer.code_spec
    check_fits(spec, header)
    device = (runtime or Runtime()).torch_device
    tiles = _tiles(spec, header.grid, config)
    streams: list[Any] = [None] * len(tiles)
    run = tokenizer.encode_latent if header.channels else tokenizer.encode_codes
    for piece in _pieces(_checked(frames, header.size), spec):
        if piece.begins and not spec.chunk and header.fps is not None:  # a picture has nothing after it
            streams = [tokenizer.encoding_stream() for _ in tiles]
        with memory_errors(), torch.inference_mode():
            pixels = _to_pixels(piece.frames, header.grid, spec.patch)
            whole: ndarray | None = None
            for tile, stream in zip(tiles, streams, strict=True):
                rows, columns = (slice(each.start * spec.patch, each.stop * spec.patch) for each in tile.seen)
                found = run(_scaled(pixels[:, :, :, rows, columns].to(device)), stream)[0]
                whole = _placed(found, tile, whole, header.grid)
        assert whole is not None
        yield from _groups(whole, piece, spec)


def decode_groups(
    tokenizer: VisualTokenizer,
    groups: Iterable[CodeGroup],
    header: CodeHeader,
    *,
    runtime: Runtime | None = None,
    config: TokenizeConfig = _USUAL,
) -> Iterator[Picture]:
    """The frames of groups, those of each as soon as it is there, without what was padded.

    Raises ModelError model.task where the codes are not of such a model, FormatError format.bad for a group
    that does not fit the header, MemoryLimitError.
    """
    spec = tokenizer.code_spec
    check_fits(spec, header)
    device = (runtime or Runtime()).torch_device
    tiles = _tiles(spec, header.grid, config)
    is_stream = not spec.chunk and header.fps is not None  # a picture has nothing after it
    streams: list[Any] = [tokenizer.decoding_stream() if is_stream else None for _ in tiles]
    run = tokenizer.decode_latent if header.channels else tokenizer.decode_codes
    for piece in _runs(_fitting(groups, header), header.groups_of_chunk or 1):
        values = torch.as_tensor(np.stack([group.values for group in piece]))
        values = values.float() if header.channels else values.long()
        frames: list[Picture] | None = None
        with memory_errors(), torch.inference_mode():
            for tile, stream in zip(tiles, streams, strict=True):
                pixels = run(values[None, :, *tile.seen].to(device), stream)[0]
                frames = _painted(pixels, tile, frames, header)
        assert frames is not None
        yield from frames[: sum(group.num_frames for group in piece)]


def check_fits(spec: CodeSpec, header: CodeHeader) -> None:
    """Raises ModelError model.task where codes of such a header are not of a model with this spec."""
    kind = "channels" if header.channels else "num_codes"
    names = (kind, "patch", "temporal_patch", "chunk")
    found = {name: getattr(header, name) for name in names} | {"grid": header.grid}
    wanted = {name: getattr(spec, name) for name in names} | {"grid": grid_for(spec, header.size)}
    wrong = [f"{name} {found[name]}, not {wanted[name]}" for name in found if found[name] != wanted[name]]
    if wrong:
        whose = f" ({header.model})" if header.model else ""
        hint = f"Name the model that made them: --model {header.model}." if header.model else ""
        raise ModelError(
            "model.task",
            f"The codes are of another model{whose}: {'; '.join(wrong).replace('_', ' ')}.",
            hint,
        )


def watched(
    groups: Iterable[CodeGroup],
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
    num_frames: int | None = None,
) -> Iterator[CodeGroup]:
    """The same groups, of which `on_progress(frames so far, num_frames)` hears.

    Raises Cancelled once `cancel` is set.
    """
    done = 0
    for group in groups:
        if cancel is not None and cancel.is_set():
            raise Cancelled
        yield group
        done += group.num_frames
        if on_progress is not None:
            on_progress(done, num_frames)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What goes through the network at once: `frames` are padded to whole groups, `count` were there."""

    frames: list[Picture]
    count: int
    begins: bool


def _pieces(frames: Iterator[Picture], spec: CodeSpec) -> Iterator[_Piece]:
    """Chunks, or without such one frame and then groups."""
    begins = True
    held: list[Picture] = []
    for frame in frames:
        held.append(frame)
        if len(held) == (spec.chunk or (1 if begins else spec.temporal_patch)):
            yield _Piece(held, len(held), begins)
            held, begins = [], bool(spec.chunk)
    if held:
        lone = len(held) - begins
        missing = -lone % spec.temporal_patch
        yield _Piece([*held, *[held[-1]] * missing], len(held), begins)


def _groups(values: ndarray, piece: _Piece, spec: CodeSpec) -> Iterator[CodeGroup]:
    left = piece.count
    for index, group in enumerate(values):
        count = min(left, 1 if piece.begins and index == 0 else spec.temporal_patch)
        left -= count
        yield CodeGroup(values=group, num_frames=count)


def _tiles(spec: CodeSpec, grid: tuple[int, int], config: TokenizeConfig) -> tuple[Tile, ...]:
    side, margin = (pixels // spec.patch for pixels in config.sides(spec))
    return tiles_of(grid, side=side, margin=margin, step=spec.side_multiple // spec.patch)


def _checked(frames: Iterable[Picture], size: tuple[int, int]) -> Iterator[Picture]:
    for index, frame in enumerate(frames):
        if frame.shape != (*size, 3) or frame.dtype != np.uint8:
            raise InputError(
                "input.array",
                f"Frame {index} is {frame.dtype} of shape {frame.shape}, expected uint8 of {(*size, 3)}.",
                "All frames of a clip have one size.",
            )
        yield frame


def _fitting(groups: Iterable[CodeGroup], header: CodeHeader) -> Iterator[CodeGroup]:
    for group in groups:
        header.check_group(group.values)
        yield group


def _runs(groups: Iterator[CodeGroup], count: int) -> Iterator[list[CodeGroup]]:
    """So many groups at a time, in the end perhaps fewer."""
    held: list[CodeGroup] = []
    for group in groups:
        held.append(group)
        if len(held) == count:
            yield held
            held = []
    if held:
        yield held


def _to_pixels(frames: list[Picture], grid: tuple[int, int], patch: int) -> Tensor:
    """Frames as (1, 3, frames, height, width) of uint8, sides padded by repeating the edge."""
    stack = np.stack(frames)
    extra = [cells * patch - side for cells, side in zip(grid, stack.shape[1:3], strict=True)]
    padded = np.pad(stack, ((0, 0), (0, extra[0]), (0, extra[1]), (0, 0)), mode="edge")
    return torch.as_tensor(padded).permute(3, 0, 1, 2)[None]


def _scaled(pixels: Tensor) -> Tensor:
    """Values of 0 to 255 as the model takes them."""
    return pixels.float() / 255 - 0.5


def _placed(found: Tensor, tile: Tile, whole: ndarray | None, grid: tuple[int, int]) -> Values:
    """The values of a tile (groups, rows, columns, ...), put where they belong."""
    values = found[:, *tile.inner].cpu().numpy()
    values = values.astype(np.float32 if found.is_floating_point() else np.int32)
    if whole is None:
        whole = np.empty((len(values), *grid, *values.shape[3:]), values.dtype)
    whole[:, *tile.core] = values
    return whole


def _painted(pixels: Tensor, tile: Tile, frames: list[Picture] | None, header: CodeHeader) -> list[Picture]:
    """Pixels (3, frames, height, width) of a tile, put where they belong in the true pictures."""
    patch = header.patch
    inner, core = (
        [slice(each.start * patch, each.stop * patch) for each in pair] for pair in (tile.inner, tile.core)
    )
    shown = ((pixels[:, :, *inner] + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    array = shown.permute(1, 2, 3, 0).cpu().numpy()
    if frames is None:
        frames = [np.empty((*header.size, 3), np.uint8) for _ in array]
    for frame, part in zip(frames, array, strict=True):
        room = frame[*core]
        room[:] = part[: room.shape[0], : room.shape[1]]
    return frames
