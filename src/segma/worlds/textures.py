"""Patterns on surfaces: noise tiles made once from fixed seeds on the CPU, patterns, and palettes.

A pattern is a number 0..1 at each point, from a tile of noise that repeats (so it is the same on all
devices) and from formulas; it runs through three colours. Colours are named by their hue and lightness, so
that a name and what is seen agree.
"""

from __future__ import annotations

import colorsys
from functools import cache
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from segma.worlds.scene import NOISE_TILES, TEXTURES, Colour, Texture

_BLURS = (3.0, 9.0)
_BLUR_LIMITS = (1.0, 5.0)
"""Deviations in texels of the blurred copies of all tiles, and the blurs from which they are taken."""
TILE = 256
"""Pixels along the side of a noise tile."""
_PLAIN, _CLOUDED, _GRAINED, _STRIPED, _SPOTTED, _CELLULAR, _SHADED, _CHECKED, _MARBLED = range(len(TEXTURES))
_TILES = MappingProxyType(
    {
        "plain": (0, 1, 2),
        "clouded": (0, 1, 2, 3, 4, 5),
        "grained": (6, 7, 8, 9),
        "striped": (0, 1, 2),
        "spotted": (10, 11, 12, 13),
        "cellular": (14, 15, 16, 17),
        "shaded": (0, 1, 3),
        "checked": (0, 1, 2),
        "marbled": (18, 19, 20),
    }
)
_HUES = MappingProxyType(
    {  # lowest and highest hue in degrees, saturation, value
        "red": (350, 368, (0.55, 0.95), (0.45, 0.95)),
        "orange": (20, 34, (0.65, 0.98), (0.75, 1.0)),
        "yellow": (47, 58, (0.55, 0.95), (0.8, 1.0)),
        "green": (90, 140, (0.35, 0.9), (0.3, 0.8)),
        "teal": (168, 188, (0.4, 0.9), (0.35, 0.85)),
        "blue": (208, 238, (0.45, 0.95), (0.4, 0.95)),
        "purple": (262, 286, (0.35, 0.85), (0.4, 0.85)),
        "pink": (318, 342, (0.3, 0.65), (0.8, 1.0)),
        "brown": (18, 34, (0.4, 0.75), (0.25, 0.5)),
        "white": (30, 60, (0.0, 0.08), (0.86, 1.0)),
        "grey": (0, 360, (0.0, 0.08), (0.4, 0.66)),
        "black": (0, 360, (0.0, 0.25), (0.04, 0.16)),
    }
)


def draw_colour(name: str, vivid: float, rng: np.random.Generator) -> Colour:
    """A colour that goes by a name; `vivid` 0..1 goes from muted to saturated."""
    low, high, saturation, value = _HUES[name]
    hue = rng.uniform(low, high) % 360 / 360
    mixed = saturation[0] + (saturation[1] - saturation[0]) * float(
        np.clip(vivid + rng.normal(0, 0.15), 0, 1)
    )
    return colorsys.hsv_to_rgb(hue, mixed, rng.uniform(*value))


def shaded_colours(colour: Colour, spread: float, rng: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    """A darker, the same, and a lighter colour, up to `spread` 0..1 apart, in hue a little as well."""
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    turn = rng.uniform(-0.03, 0.03)
    dark = colorsys.hsv_to_rgb((hue + turn) % 1, min(1, saturation * 1.1), value * (1 - 0.6 * spread))
    room = min(1.0, value + (1 - value) * 0.6 * spread + 0.15 * spread)
    light = colorsys.hsv_to_rgb((hue - turn) % 1, saturation * (1 - 0.35 * spread), room)
    return dark, colour, light


def draw_texture(
    kind: str,
    colours: tuple[Colour, Colour, Colour],
    rng: np.random.Generator,
    *,
    scale: float = 1.0,
    contrast: float = 1.0,
) -> Texture:
    """A texture of a kind with everything else drawn; `scale` multiplies how fine it is."""
    tile = int(rng.choice(_TILES[kind]))
    fine = {"striped": 1.6, "checked": 1.3, "shaded": 0.5, "plain": 0.4, "spotted": 0.6, "cellular": 0.6}
    return Texture(
        kind=kind,
        colours=colours,
        tile=tile,
        scale=scale * fine.get(kind, 0.45) * float(np.exp(rng.normal(0, 0.3))),
        angle=float(rng.uniform(-np.pi, np.pi)),
        shift=(float(rng.uniform()), float(rng.uniform())),
        stretch=float(np.exp(rng.normal(0, 0.15))),
        warp=float(rng.uniform(0, 0.35) if rng.random() < 0.5 else 0.02),
        contrast=contrast,
    )


def textures_table(textures: list[Texture]) -> Float[ndarray, "textures 21"]:
    """Textures as rows of numbers, as `pattern` and `ramp` take them."""
    rows = np.zeros((len(textures), 21), np.float32)
    for row, each in zip(rows, textures, strict=True):
        cosine, sine = np.cos(each.angle) * each.scale, np.sin(each.angle) * each.scale
        row[:4] = (cosine * each.stretch, sine * each.stretch, -sine / each.stretch, cosine / each.stretch)
        row[4:6] = each.shift
        level = int(np.searchsorted(_BLUR_LIMITS, each.blur * TILE))
        tile = each.tile + level * (NOISE_TILE + 1)
        row[6:11] = (tile, TEXTURES.index(each.kind), each.warp, each.contrast, each.perspective)
        row[20] = 1 / (1 + (each.blur * 20) ** 2)
        row[11:20] = np.ravel(each.colours)
    return rows


def pattern(
    tiles: Float[Tensor, " texels"],
    rows: Float[Tensor, "items 21"],
    x: Float[Tensor, "items h w"],
    y: Float[Tensor, "items h w"],
    kinds: frozenset[int],
) -> Float[Tensor, "items h w"]:
    """The pattern 0..1 of each row's texture at its points; `kinds` are the kinds that occur in the rows."""
    row = rows[:, :, None, None]
    u = row[:, 0] * x + row[:, 1] * y + row[:, 4]
    v = row[:, 2] * x + row[:, 3] * y + row[:, 5]
    found = look_up(tiles, row[:, 6], u, v)
    formulas = kinds & {_STRIPED, _CHECKED, _SHADED}
    if not formulas:
        return found
    kind = row[:, 7]
    bent = u + row[:, 8] * (found - 0.5)
    grain, sharp = 0.12 * (found - 0.5), row[:, 20]
    if _STRIPED in formulas:
        stripes = (torch.sin(bent * 12.566) * (2.2 * sharp)).clamp(-1, 1) * 0.44 + 0.5 + grain
        found = torch.where(kind == _STRIPED, stripes, found)
    if _CHECKED in formulas:
        squares = (
            (torch.sin(bent * 12.566) * torch.sin(v * 12.566) * (6 * sharp)).clamp(-1, 1) * 0.44 + 0.5 + grain
        )
        found = torch.where(kind == _CHECKED, squares, found)
    if _SHADED in formulas:
        found = torch.where(
            kind == _SHADED, (0.5 + (bent - row[:, 4])).clamp(0, 1) * 0.85 + grain + 0.06, found
        )
    return found


def ramp(rows: Float[Tensor, "items 21"], value: Float[Tensor, "items h w"]) -> Float[Tensor, "items 3 h w"]:
    """The colours of a pattern: through the three of each row, as far as its contrast goes."""
    low, middle, high = (rows[:, 11 + 3 * i : 14 + 3 * i, None, None] for i in range(3))
    away = (value - 0.5) * (2 * rows[:, 9, None, None])
    dark, light = away.clamp(-1, 0)[:, None], away.clamp_(0, 1)[:, None]
    return torch.addcmul(middle, middle - low, dark).addcmul_(high - middle, light)


def look_up(
    tiles: Float[Tensor, " texels"],
    tile: Float[Tensor, "items 1 1"],
    u: Float[Tensor, "items h w"],
    v: Float[Tensor, "items h w"],
) -> Float[Tensor, "items h w"]:
    """The noise of a tile at (u, v), in repeats, linear between its pixels."""
    across, down = u * TILE, v * TILE
    left, top = across.floor(), down.floor()
    across, down = across - left, down - top
    column, line = left.int() & (TILE - 1), top.int() & (TILE - 1)
    start = tile.int() * (TILE * TILE)
    this, below = start + line * TILE, start + ((line + 1) & (TILE - 1)) * TILE
    right = (column + 1) & (TILE - 1)
    upper = torch.lerp(_take(tiles, this + column), _take(tiles, this + right), across)
    lower = torch.lerp(_take(tiles, below + column), _take(tiles, below + right), across)
    return torch.lerp(upper, lower, down)


def _take(tiles: Tensor, where: Tensor) -> Tensor:
    return tiles.index_select(0, where.view(-1)).view_as(where)


@cache
def noise_tiles(device: str) -> Float[Tensor, " texels"]:
    """All noise tiles on a device, flat: 21 of patterns and one of normal pixel noise, then all blurred."""
    sharp = np.stack([_tile(i) for i in range(NOISE_TILE + 1)])
    levels = [sharp, *(_blurred(sharp, texels) for texels in _BLURS)]
    return torch.as_tensor(np.concatenate(levels).ravel()).to(device)


def _blurred(tiles: Float[ndarray, "tiles 256 256"], texels: float) -> Float[ndarray, "tiles 256 256"]:
    """The tiles as if out of focus, still seamless."""
    frequency = np.fft.fftfreq(TILE)
    keep = np.exp(-2 * (np.pi * texels) ** 2 * (frequency[:, None] ** 2 + frequency[None] ** 2))
    return np.fft.ifft2(np.fft.fft2(tiles) * keep).real.astype(np.float32)


NOISE_TILE = NOISE_TILES
"""The tile after those of textures: normal noise of deviation 1."""


def _tile(index: int) -> Float[ndarray, "256 256"]:
    rng = np.random.default_rng((7919, index))
    if index < 6:
        found = _spread(_spectral(rng, 1.0 + 0.5 * (5 - index) / 2))
    elif index < 10:
        found = _spread(_spectral(rng, 1.2, stretch=(6.0, 14.0, 4.0, 24.0)[index - 6]))
    elif index < 14:
        found = _spots(rng, count=(40, 80, 24, 140)[index - 10])
    elif index < 18:
        found = _cells(rng, count=(40, 90, 24, 60)[index - 14], walls=index % 2 == 0)
    elif index < NOISE_TILE:
        found = _spread(-np.abs(_spectral(rng, 1.6 + 0.3 * (index - 18))))
    else:
        found = rng.standard_normal((TILE, TILE))
    return np.ascontiguousarray(found, np.float32)


def _spectral(rng: np.random.Generator, falling: float, stretch: float = 1.0) -> Float[ndarray, "256 256"]:
    """Noise whose amplitude falls with frequency to a power; `stretch` > 1 draws it out downwards."""
    across = np.fft.fftfreq(TILE)[None, :] * TILE
    down = np.fft.fftfreq(TILE)[:, None] * TILE * stretch
    frequency = np.sqrt(across**2 + down**2)
    amplitude = np.where(frequency > 0.5, 1 / np.maximum(frequency, 1) ** falling, 0)
    found = np.fft.ifft2(np.fft.fft2(rng.standard_normal((TILE, TILE))) * amplitude).real
    return found / found.std()


def _spread(noise: Float[ndarray, "256 256"]) -> Float[ndarray, "256 256"]:
    """Noise in 0..1 with its middle at one half."""
    away = (noise - np.median(noise)) / noise.std()
    return 0.5 + 0.5 * np.tanh(away * 0.75)


def _nearest(rng: np.random.Generator, count: int) -> tuple[ndarray, ndarray, ndarray]:
    """Squared distances to the nearest two of some points on the torus, and which is nearest."""
    points = rng.uniform(0, TILE, (count, 2))
    lines, columns = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    first, second = np.full((TILE, TILE), 1e9), np.full((TILE, TILE), 1e9)
    which = np.zeros((TILE, TILE), np.int64)
    for i, (py, px) in enumerate(points):
        dy, dx = np.abs(lines - py), np.abs(columns - px)
        away = np.minimum(dy, TILE - dy) ** 2 + np.minimum(dx, TILE - dx) ** 2
        closer = away < first
        second = np.where(closer, first, np.minimum(second, away))
        which, first = np.where(closer, i, which), np.where(closer, away, first)
    return first, second, which


def _spots(rng: np.random.Generator, count: int) -> Float[ndarray, "256 256"]:
    first, _, which = _nearest(rng, count)
    radius = TILE / np.sqrt(count) * rng.uniform(0.2, 0.45, count)[which]
    spot = 1 / (1 + np.exp((np.sqrt(first) - radius) / 1.3))
    return 0.25 + 0.6 * spot + 0.05 * _spectral(rng, 1.5)


def _cells(rng: np.random.Generator, count: int, *, walls: bool) -> Float[ndarray, "256 256"]:
    first, second, which = _nearest(rng, count)
    gap = np.sqrt(second) - np.sqrt(first)
    wall = np.clip(gap / 5, 0, 1)
    tone = rng.uniform(0.25, 0.95, count)[which] if walls else np.clip(gap / gap.max() * 1.6, 0, 1)
    return wall * tone + 0.04 * _spectral(rng, 1.2)
