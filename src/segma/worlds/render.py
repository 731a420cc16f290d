"""Scenes painted into pictures, with the mask of every object: visible and whole.

Layers are painted from the back to the front, the same place of all pictures of a batch at once and only
within the box that holds them; on a CPU one scene at a time, so that the boxes are tight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int16, UInt8
from numpy import ndarray
from torch import Tensor

from segma.errors import InputError
from segma.worlds.degrade import degrade
from segma.worlds.layers import (
    ALPHA,
    FLAT,
    GLOSS,
    LIGHT,
    LOCAL,
    RELIEF,
    SOFT,
    UNIT,
    WARP,
    WHOLE,
    Layers,
    Moment,
    pack_layers,
)
from segma.worlds.scene import TEXTURES, Scene
from segma.worlds.shapes import ShapeTable, pack_shapes, signed_distance
from segma.worlds.textures import noise_tiles, pattern, ramp, textures_table

_BLUR_STEPS = 5
"""Pictures that are averaged where the shutter is open for a while; the middle one gives the masks."""
_BUMP = 1.6
"""How much of the pattern's own slope light makes visible."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """Pictures of some scenes, all with the same frames.

    `owners` is the id of the object whose surface is foremost at each pixel, 0 for background; `whole_bits`
    mark where each object is, seen or hidden (object i: bit (i - 1) % 8 of word (i - 1) // 8).
    """

    scenes: tuple[Scene, ...]
    frames: tuple[int, ...]
    images: UInt8[Tensor, "batch frames 3 h w"]
    owners: Int16[Tensor, "batch frames h w"]
    whole_bits: UInt8[Tensor, "batch frames words h w"]

    def visible(self, index: int) -> Bool[Tensor, "objects frames h w"]:
        """Where each object of scene `index`, with its parts, is seen."""
        scene, owners = self.scenes[index], self.owners[index]
        table = torch.zeros(len(scene.objects), len(scene.objects) + 1, dtype=torch.bool)
        for each in scene.objects:
            above: int | None = each.object_id
            while above is not None:
                table[above - 1, each.object_id] = True
                above = scene.objects[above - 1].parent
        return table.to(owners.device)[:, owners.int()]

    def whole(self, index: int) -> Bool[Tensor, "objects frames h w"]:
        """Where each object of scene `index`, with its parts, is within the frame, hidden or not."""
        bits = self.whole_bits[index]
        count = len(self.scenes[index].objects)
        ids = torch.arange(count, device=bits.device)
        chosen = bits[:, ids // 8].movedim(1, 0)  # (objects, frames, h, w)
        return (chosen >> (ids % 8).to(torch.uint8)[:, None, None, None]) & 1 == 1


def render(
    scenes: Sequence[Scene],
    *,
    size: int | tuple[int, int],
    device: torch.device | str = "cpu",
    frames: slice | None = None,
    at_once: int | None = None,
) -> Rendered:
    """The scenes as pictures of `size` x `size` or (height, width) pixels: the frame is stretched to fill it.

    `frames` chooses some, in its order (a step of -1 reverses). Raises InputError where the scenes have
    numbers of frames then, or none. `at_once` scenes are painted together: by default one on a CPU, else all.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 16:
        raise InputError(
            "input.value", f"pictures of {width}x{height} pixels were asked for; the least is 16x16."
        )
    chosen = {tuple(range(scene.num_frames)[frames or slice(None)]) for scene in scenes}
    if len(chosen) != 1 or not min(chosen):
        found = ", ".join(str(len(each)) for each in sorted(chosen)) or "no scenes"
        raise InputError("input.value", f"scenes of a batch need the same frames, found {found}.")
    (numbers,) = chosen
    words = max(1, math.ceil(max(len(scene.objects) for scene in scenes) / 8))
    device = torch.device(device)
    step = at_once or (1 if device.type == "cpu" else len(scenes))
    with torch.no_grad():
        done = [
            _paint_scenes(scenes[start : start + step], numbers, (height, width), words, device)
            for start in range(0, len(scenes), step)
        ]
    images, owners, bits = (torch.cat(each) if len(done) > 1 else each[0] for each in zip(*done, strict=True))
    return Rendered(scenes=tuple(scenes), frames=numbers, images=images, owners=owners, whole_bits=bits)


def _paint_scenes(
    scenes: Sequence[Scene], frames: tuple[int, ...], size: tuple[int, int], words: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Images, owners and whole bits of some scenes."""
    pairs = [(scene, frame) for scene in scenes for frame in frames]
    moments: list[Moment] = []
    places: list[int] = []
    middles: list[int] = []
    for place, (scene, frame) in enumerate(pairs):
        times = _times(scene, frame)
        middles.append(len(moments) + len(times) // 2)
        moments += [Moment(scene, frame, time) for time in times]
        places += [place] * len(times)
    canvas = _Canvas.empty(len(moments), size, words, device)
    _paint(canvas, pack_layers(moments, size, words))
    image, owner, bits = canvas.image, canvas.owner, canvas.bits
    if len(moments) > len(pairs):
        into = torch.tensor(places, device=device)
        counts = torch.bincount(into).view(-1, 1, 1, 1)
        image = torch.zeros(len(pairs), *image.shape[1:], device=device).index_add_(0, into, image) / counts
        middle = torch.tensor(middles, device=device)
        owner, bits = owner[middle], bits[middle]
    done = degrade(image, pairs)
    shape = (len(scenes), len(frames))
    return done.view(*shape, *done.shape[1:]), owner.view(*shape, *size), bits.view(*shape, words, *size)


def _times(scene: Scene, frame: int) -> list[float]:
    shutter = scene.degradations.shutter
    if shutter <= 0 or scene.num_frames == 1:
        return [float(frame)]
    return [frame + shutter * (i / (_BLUR_STEPS - 1) - 0.5) for i in range(_BLUR_STEPS)]


@dataclass(frozen=True, slots=True)
class _Canvas:
    """What is painted on, and the coordinates of its pixels from -0.5 to 0.5."""

    image: Float[Tensor, "pictures 3 h w"]
    owner: Int16[Tensor, "pictures h w"]
    bits: UInt8[Tensor, "pictures words h w"]
    across: Float[Tensor, " w"]
    down: Float[Tensor, " h"]

    @classmethod
    def empty(cls, pictures: int, size: tuple[int, int], words: int, device: torch.device) -> _Canvas:
        height, width = size
        return cls(
            torch.zeros(pictures, 3, height, width, device=device),
            torch.zeros(pictures, height, width, dtype=torch.int16, device=device),
            torch.zeros(pictures, words, height, width, dtype=torch.uint8, device=device),
            (torch.arange(width, device=device) + 0.5) / width - 0.5,
            (torch.arange(height, device=device) + 0.5) / height - 0.5,
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """The tables that layers point into, on the device."""

    layers: Layers
    rows: Float[Tensor, "layers pictures columns"]
    owner: Int16[Tensor, "layers pictures"]
    bits: UInt8[Tensor, "layers pictures words"]
    shapes: ShapeTable
    textures: Float[Tensor, "textures 21"]
    texture_kinds: tuple[int, ...]
    tiles: Float[Tensor, " texels"]


def _paint(canvas: _Canvas, layers: Layers) -> None:
    device = canvas.image.device
    source = _Source(
        layers,
        torch.as_tensor(layers.rows).to(device),
        torch.as_tensor(layers.owner).to(device),
        torch.as_tensor(layers.bits).to(device),
        pack_shapes(layers.shapes, device),
        torch.as_tensor(textures_table(list(layers.textures))).to(device),
        tuple(TEXTURES.index(each.kind) for each in layers.textures),
        noise_tiles(str(device)),
    )
    what = np.where(layers.shape < 0, 0, np.where(layers.rows[:, :, FLAT] > 0, 1, 2))
    for level in range(len(layers.boxes)):
        boxes = layers.boxes[level]
        used = (boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2])
        for kind in range(3):  # bare textures, shadows, surfaces
            here = np.flatnonzero(used & (what[level] == kind))
            if len(here):
                top, left = (int(boxes[here, i].min()) for i in (0, 2))
                bottom, right = (int(boxes[here, i].max()) for i in (1, 3))
                _paint_level(canvas, source, level, here, (slice(top, bottom), slice(left, right)))


def _paint_level(
    canvas: _Canvas, source: _Source, level: int, pictures: ndarray, box: tuple[slice, slice]
) -> None:
    """One layer of some pictures, within a box."""
    which = torch.as_tensor(pictures).to(canvas.image.device)
    rows = source.rows[level, which]
    numbers = source.layers.rows[level, pictures]
    x, y = _local(rows, numbers, canvas.across[box[1]], canvas.down[box[0]])
    shape = source.layers.shape[level, pictures]
    surface = _Surface(rows, numbers, x, y)
    # slices are views that are painted in place; rows chosen by number are copies that go back
    chosen = slice(None) if len(pictures) == len(canvas.image) else which
    place = (chosen, slice(None), *box)
    texture = source.layers.texture[level, pictures]
    if shape[0] < 0:
        canvas.image[place] = _coloured(source, texture, surface, None)
        return
    depth = signed_distance(source.shapes, shape, x, y)
    slope = _slope(depth)
    cover = _cover(canvas, surface, depth, slope).mul_(rows[:, ALPHA, None, None])
    under = canvas.image[place]
    if numbers[:, FLAT].any():
        under.mul_(cover.neg_().add_(1)[:, None])
    else:
        under.lerp_(_coloured(source, texture, surface, (depth, slope)), cover[:, None])
    if chosen is which:
        canvas.image[place] = under
    owners = source.layers.owner[level, pictures]
    if owners.any():
        inside = depth > 0
        owner = canvas.owner[chosen, *box]
        own = source.owner[level, which]
        canvas.owner[chosen, *box] = torch.where(inside, own[:, None, None], owner)
        marks = source.bits[level, which]
        for word in np.flatnonzero(source.layers.bits[level, pictures].any(0)):
            seen = canvas.bits[chosen, int(word), *box]
            canvas.bits[chosen, int(word), *box] = seen | (inside * marks[:, word, None, None])


@dataclass(frozen=True, slots=True)
class _Surface:
    """One layer's points in the coordinates of its part, by picture; `numbers` are `rows` on the CPU."""

    rows: Float[Tensor, "items columns"]
    numbers: Float[ndarray, "items columns"]
    x: Float[Tensor, "items h w"]
    y: Float[Tensor, "items h w"]


def _local(rows: Tensor, numbers: ndarray, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels in the coordinates of a layer's part."""
    row = rows[:, :, None, None]
    u, v = across[None, None, :], down[None, :, None]
    if numbers[:, WARP : WARP + 2].any():
        x = row[:, WHOLE] * u + (row[:, WHOLE + 1] * v + row[:, WHOLE + 2])
        y = row[:, WHOLE + 3] * u + (row[:, WHOLE + 4] * v + row[:, WHOLE + 5])
        x = x + row[:, WARP] * y * y + row[:, WARP + 1] * torch.sin(4 * y + row[:, WARP + 2])
        return (
            row[:, LOCAL] * x + row[:, LOCAL + 1] * y + row[:, LOCAL + 2],
            row[:, LOCAL + 3] * x + row[:, LOCAL + 4] * y + row[:, LOCAL + 5],
        )
    a, b, c, d, e, f = (row[:, WHOLE + i] for i in range(6))
    g, h, i, j, k, m = (row[:, LOCAL + i] for i in range(6))
    return (
        (g * a + h * d) * u + ((g * b + h * e) * v + (g * c + h * f + i)),
        (j * a + k * d) * u + ((j * b + k * e) * v + (j * c + k * f + m)),
    )


def _slope(depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How a distance changes by pixel: across, down, and its length."""
    across, down = torch.zeros_like(depth), torch.zeros_like(depth)
    if depth.shape[-1] > 2:
        torch.sub(depth[..., 2:], depth[..., :-2], out=across[..., 1:-1])
        across[..., 0], across[..., -1] = across[..., 1], across[..., -2]
    if depth.shape[-2] > 2:
        torch.sub(depth[..., 2:, :], depth[..., :-2, :], out=down[..., 1:-1, :])
        down[..., 0, :], down[..., -1, :] = down[..., 1, :], down[..., -2, :]
    across *= 0.5
    down *= 0.5
    return across, down, torch.hypot(across, down).clamp_min_(1e-5)


def _cover(canvas: _Canvas, surface: _Surface, depth: Tensor, slope: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """How much of each pixel a surface covers: one half where its edge runs through the middle."""
    if not surface.numbers[:, SOFT].any():
        return (depth / slope[2] + 0.5).clamp_(0, 1)
    row = surface.rows[:, :, None, None]
    pixel = 1 / math.sqrt(len(canvas.across) * len(canvas.down))
    wide = slope[2] + 2 * row[:, SOFT] / row[:, UNIT].clamp_min(1e-4)
    share = (depth / wide + 0.5).clamp(0, 1)
    # soft edges ease in and out; a sharp one is left as it is
    ease = (row[:, SOFT] / pixel - 0.5).clamp(0, 1)
    return torch.lerp(share, share * share * (3 - 2 * share), ease)


def _coloured(
    source: _Source,
    texture: ndarray,
    surface: _Surface,
    form: tuple[Tensor, tuple[Tensor, Tensor, Tensor]] | None,
) -> Tensor:
    """The lit colours of a surface; `form` is its depth and slope, for what is rounded."""
    which = torch.as_tensor(texture).to(surface.x.device)
    rows = source.textures[which]
    kinds = frozenset(source.texture_kinds[int(i)] for i in texture)
    x, y = surface.x, surface.y
    if any(source.layers.textures[int(i)].perspective for i in texture):
        laid = rows[:, 10, None, None]
        near = torch.lerp(torch.ones_like(y), 0.6 / (y.clamp_min(0) + 0.08), laid)
        x, y = x * near, torch.lerp(y, near * 0.8, laid)
    value = pattern(source.tiles, rows, x, y, kinds)
    colour = ramp(rows, value)
    row = surface.rows[:, :, None, None]
    light = _bumps(row, value * rows[:, 9, None, None])
    if form is not None and surface.numbers[:, RELIEF].any():
        light = light * _rounded_light(row, *form)
        if surface.numbers[:, GLOSS].any():
            shine = _shine(row, *form)
            return colour.mul_(light[:, None]).add_(shine[:, None]).clamp_(0, 1.5)
    return colour.mul_(light[:, None])


def _bumps(row: Tensor, value: Tensor) -> Tensor:
    """Light on the pattern as if its bright places stood out."""
    light = torch.ones_like(value)
    light[..., 1:] += (value[..., :-1] - value[..., 1:]) * (row[:, LIGHT] * _BUMP)
    light[..., 1:, :] += (value[..., :-1, :] - value[..., 1:, :]) * (row[:, LIGHT + 1] * _BUMP)
    return light.clamp_(0.4, 1.6)


def _normal(
    row: Tensor, depth: Tensor, slope: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Which way a rounded surface faces: outwards at its edge, to the viewer further in."""
    relief = row[:, RELIEF]
    lean = (1 - depth / (0.06 + 0.74 * relief * relief)).clamp(0, 1) * (0.35 + 0.6 * relief)
    scale = lean / slope[2]
    return -slope[0] * scale, -slope[1] * scale, (1 - lean * lean).sqrt()


def _rounded_light(row: Tensor, depth: Tensor, slope: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    x, y, z = _normal(row, depth, slope)
    facing = (x * row[:, LIGHT] + y * row[:, LIGHT + 1] + z * row[:, LIGHT + 2]).clamp_min(0)
    ambient = row[:, LIGHT + 3]
    light = ambient + (1 - ambient) * facing / row[:, LIGHT + 2].clamp_min(0.45)
    return torch.where(row[:, RELIEF] > 0, light.clamp(max=1.5), 1.0)


def _shine(row: Tensor, depth: Tensor, slope: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """A highlight where the surface mirrors the light to the viewer."""
    x, y, z = _normal(row, depth, slope)
    half_z = row[:, LIGHT + 2] + 1
    length = (row[:, LIGHT] ** 2 + row[:, LIGHT + 1] ** 2 + half_z**2).sqrt()
    facing = (x * row[:, LIGHT] + y * row[:, LIGHT + 1] + z * half_z) / length
    facing = facing.clamp_min_(0.2).square_()
    eighth = facing.square().square_()
    return row[:, GLOSS] * eighth * eighth.square() * facing.square_()  # to the 28th, without powers of zero
