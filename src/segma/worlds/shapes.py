"""Outlines as signed distances: positive inside, in the shape's own units, for many shapes at once.

Every kind of outline belongs to one of five groups that are evaluated together: a radius by angle
(ellipses, stars, Fourier contours), straight edges (any polygon), strokes (segments with a width), blobs
(smoothly joined strokes), and what lies below a wavy line (horizons, hills). Distances are exact for
strokes and polygons and to first order near the edge for the others. Numbers are made in float64 on the CPU
and compared in float32, so that a pixel changes sides between devices only where an edge runs through its
very middle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Integer
from numpy import ndarray
from torch import Tensor

from segma.errors import InputError
from segma.worlds.scene import Shape

ANGLES = 256
"""Entries of a table of radii."""
_BLOCK = 160_000
"""Numbers that one step over segments or edges holds at once: about a cache of a CPU core."""
_RADIAL, _POLYGON, _STROKES, _BLOB, _BELOW = range(5)
_GROUP = MappingProxyType(
    {
        "ellipse": _RADIAL,  # half-width, half-height
        "superellipse": _RADIAL,  # half-width, half-height, exponent (2 ellipse, 4 and more a rounded box)
        "star": _RADIAL,  # points, inner radius, bluntness 0..1
        "gear": _RADIAL,  # teeth, depth of the teeth, share of an outer tooth
        "heart": _RADIAL,  # depth of the notch
        "fourier": _RADIAL,  # cosine and sine amplitudes of harmonics 1, 2, ... around radius 1
        "polygon": _POLYGON,  # x, y of each corner
        "strokes": _STROKES,  # x0, y0, x1, y1, radius0, radius1 of each segment
        "blob": _BLOB,  # the same, joined over the length `smooth`
        "below": _BELOW,  # amplitude, frequency, phase of each wave of its upper edge
    }
)
KINDS = tuple(_GROUP)


@dataclass(frozen=True, slots=True)
class ShapeTable:
    """Many shapes as padded tables; what the CPU knows (`group`, `count`, `hole_count`) picks the work."""

    group: Integer[ndarray, " shapes"]
    count: Integer[ndarray, " shapes"]
    hole_count: Integer[ndarray, " shapes"]
    radii: Float[Tensor, "shapes angles"]
    rows: Float[Tensor, "shapes rows 6"]
    holes: Float[Tensor, "shapes holes 3"]
    smooth: Float[Tensor, " shapes"]


def pack_shapes(shapes: Sequence[Shape], device: torch.device | str = "cpu") -> ShapeTable:
    """The table of some shapes on a device. Raises InputError for a shape that is none."""
    for shape in shapes:
        _check(shape)
    groups = np.array([_GROUP[shape.kind] for shape in shapes], np.int64)
    rows = [_rows(shape) for shape in shapes]
    counts = np.array([len(each) for each in rows], np.int64)
    hole_counts = np.array([len(shape.holes) for shape in shapes], np.int64)
    radii = np.zeros((len(shapes), ANGLES))
    row_table = np.zeros((len(shapes), max(1, counts.max(initial=0)), 6))
    holes = np.zeros((len(shapes), max(1, hole_counts.max(initial=0)), 3))
    for i, shape in enumerate(shapes):
        row_table[i, : len(rows[i])] = rows[i]
        if shape.holes:
            holes[i, : len(shape.holes)] = shape.holes
        if groups[i] == _RADIAL:
            radii[i] = radius_by_angle(shape)
    smooth = np.array([shape.smooth for shape in shapes])
    tables = (
        torch.as_tensor(each.astype(np.float32)).to(device) for each in (radii, row_table, holes, smooth)
    )
    return ShapeTable(groups, counts, hole_counts, *tables)


def _check(shape: Shape) -> None:
    if shape.kind not in _GROUP:
        known = ", ".join(KINDS)
        raise InputError("input.value", f"there is no shape {shape.kind!r}.", f"Kinds are {known}.")
    step = {_POLYGON: 2, _STROKES: 6, _BLOB: 6, _BELOW: 3}.get(_GROUP[shape.kind], 1)
    if not shape.numbers or len(shape.numbers) % step:
        raise InputError("input.value", f"{len(shape.numbers)} numbers make no {shape.kind}.")
    if not all(math.isfinite(number) for number in shape.numbers):
        raise InputError("input.value", f"a {shape.kind} has numbers that are not finite.")


def _rows(shape: Shape) -> Float[ndarray, "rows 6"]:
    """The segments, edges or waves of a shape; none for a radial one."""
    group = _GROUP[shape.kind]
    if group == _RADIAL:
        return np.zeros((0, 6))
    if group == _POLYGON:
        corners = np.array(shape.numbers, np.float64).reshape(-1, 2)
        return np.concatenate([corners, np.roll(corners, -1, 0), np.zeros((len(corners), 2))], 1)
    rows = np.array(shape.numbers, np.float64).reshape(-1, 3 if group == _BELOW else 6)
    return np.pad(rows, ((0, 0), (0, 6 - rows.shape[1])))


def radius_by_angle(shape: Shape) -> Float[ndarray, " angles"]:
    """The radius of a radial shape at ANGLES even angles, from 0 (to the right) clockwise as seen."""
    angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    numbers = shape.numbers
    if shape.kind in ("ellipse", "superellipse"):
        power = numbers[2] if shape.kind == "superellipse" else 2.0
        x, y = np.abs(np.cos(angle) / numbers[0]), np.abs(np.sin(angle) / numbers[1])
        return (x**power + y**power) ** (-1 / power)
    if shape.kind == "star":
        sector = np.abs(((angle + np.pi / 2) * numbers[0] / (2 * np.pi) + 0.5) % 1 - 0.5) * 2
        return _star_radius(sector, np.pi / numbers[0], numbers[1], numbers[2])
    if shape.kind == "gear":
        wave = np.cos(angle * numbers[0]) - np.cos(np.pi * numbers[2])
        return 1 - numbers[1] * (0.5 - 0.5 * np.tanh(wave * 5))
    if shape.kind == "heart":
        up = np.sin(angle)
        notch = numbers[0] * np.exp(-(((angle - 1.5 * np.pi) / 0.42) ** 2))
        point = 0.35 * np.exp(-(np.abs(angle - 0.5 * np.pi) / 0.35))
        return 0.8 + 0.12 * np.abs(np.cos(angle)) - 0.1 * np.clip(up, 0, 1) - notch + point
    order = np.arange(1, len(numbers) // 2 + 1)[:, None]
    cosines, sines = np.array(numbers[0::2])[: len(order)], np.array(numbers[1::2])
    waves = cosines @ np.cos(order * angle) + sines @ np.sin(order * angle)
    return np.clip(1 + waves, 0.15, 2.5)


def _star_radius(sector: ndarray, half: float, inner: float, blunt: float) -> ndarray:
    """Straight from a point (sector 0) to a notch (sector 1), made rounder by `blunt`."""
    angle = sector * half
    soft = inner + (1 - inner) * (0.5 + 0.5 * np.cos(np.pi * sector))
    # a line from (1, 0) to inner * (cos half, sin half), in polar coordinates
    rise, run = inner * math.sin(half), 1 - inner * math.cos(half)
    line = rise / (rise * np.cos(angle) + run * np.sin(angle))
    return line * (1 - blunt) + soft * blunt


def extent(shape: Shape) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 that hold the shape, in its own units. Raises InputError for a shape that is none."""
    _check(shape)
    group = _GROUP[shape.kind]
    if group == _BELOW:
        top = sum(abs(each) for each in shape.numbers[0::3])
        return (-1e3, -top, 1e3, 1e3)
    if group == _RADIAL:
        angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
        radius = radius_by_angle(shape)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        return (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    rows = _rows(shape)
    ends, radii = rows[:, :4].reshape(-1, 2), rows[:, 4:].reshape(-1, 1)
    if group == _POLYGON:
        radii = np.full_like(radii, shape.smooth)
    pad = 0.0 if group != _BLOB else shape.smooth * math.log(2 * len(rows))
    low, high = (ends - radii).min(0) - pad, (ends + radii).max(0) + pad
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def signed_distance(
    table: ShapeTable,
    index: Integer[ndarray, " items"],
    x: Float[Tensor, "items h w"],
    y: Float[Tensor, "items h w"],
) -> Float[Tensor, "items h w"]:
    """How far inside shape `index[i]` the points (x[i], y[i]) are; negative outside."""
    groups = table.group[index]
    kinds = np.unique(groups)
    if len(kinds) == 1:
        found = _GROUPS[int(kinds[0])](table, index, x, y)
    else:
        found = torch.empty_like(x)
        for kind in kinds:
            rows = np.flatnonzero(groups == kind)
            where = torch.as_tensor(rows).to(x.device)
            found[where] = _GROUPS[int(kind)](table, index[rows], x[where], y[where])
    if int(table.hole_count[index].max(initial=0)):
        found = _pierced(table, index, x, y, found)
    return found


def _pierced(table: ShapeTable, index: ndarray, x: Tensor, y: Tensor, found: Tensor) -> Tensor:
    which = torch.as_tensor(index).to(x.device)
    for i in range(int(table.hole_count[index].max())):
        hole = table.holes[which, i]
        dx, dy = x - hole[:, 0, None, None], y - hole[:, 1, None, None]
        radius = hole[:, 2, None, None]
        away = (dx * dx + dy * dy).sqrt() - radius
        found = torch.minimum(found, torch.where(radius > 0, away, found))
    return found


def _radial(table: ShapeTable, index: ndarray, x: Tensor, y: Tensor) -> Tensor:
    items = len(index)
    radii = table.radii[torch.as_tensor(index).to(x.device)]
    distance = (x * x + y * y).sqrt()
    place = (torch.atan2(y, x) * (ANGLES / (2 * math.pi))).remainder(ANGLES)
    before = place.long().clamp_(0, ANGLES - 1)
    fraction = place - before
    first = radii.gather(1, before.view(items, -1)).view_as(x)
    second = radii.gather(1, ((before + 1) % ANGLES).view(items, -1)).view_as(x)
    step = second - first
    slope = step * (ANGLES / (2 * math.pi)) / distance.clamp_min(0.05)
    return (first + step * fraction - distance) / (1 + slope * slope).sqrt()


def _blocks(table: ShapeTable, index: ndarray, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of the shapes, a few at a time, as (items, rows, 1, 1) columns, and which of them are real."""
    counts = table.count[index]
    most = int(counts.max())
    which = torch.as_tensor(index).to(x.device)
    step = max(1, _BLOCK // max(1, x.numel()))
    for start in range(0, most, step):
        stop = min(most, start + step)
        real = torch.as_tensor(np.arange(start, stop) < counts[:, None]).to(x.device)
        yield table.rows[which, start:stop, :, None, None], real[:, :, None, None]


def _segment_depth(rows: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """How far along each segment, 0..1, the nearest place is, and the distance to it."""
    x0, y0 = rows[:, :, 0], rows[:, :, 1]
    along_x, along_y = rows[:, :, 2] - x0, rows[:, :, 3] - y0
    dx, dy = x[:, None] - x0, y[:, None] - y0
    length = (along_x * along_x + along_y * along_y).clamp_min(1e-12)
    share = ((dx * along_x + dy * along_y) / length).clamp_(0, 1)
    dx -= along_x * share
    dy -= along_y * share
    return share, (dx * dx + dy * dy).sqrt()


def _strokes(table: ShapeTable, index: ndarray, x: Tensor, y: Tensor) -> Tensor:
    found = torch.full_like(x, -1e3)
    for rows, real in _blocks(table, index, x):
        share, distance = _segment_depth(rows, x, y)
        depth = rows[:, :, 4] + (rows[:, :, 5] - rows[:, :, 4]) * share - distance
        found = torch.maximum(found, depth.masked_fill_(~real, -1e3).amax(1))
    return found


def _blob(table: ShapeTable, index: ndarray, x: Tensor, y: Tensor) -> Tensor:
    smooth = table.smooth[torch.as_tensor(index).to(x.device)].clamp_min(1e-3)[:, None, None]
    total = torch.full_like(x, 1e-30)
    for rows, real in _blocks(table, index, x):
        share, distance = _segment_depth(rows, x, y)
        depth = rows[:, :, 4] + (rows[:, :, 5] - rows[:, :, 4]) * share - distance
        total += ((depth / smooth[:, None]).clamp_(-60, 60).exp() * real).sum(1)
    return total.log() * smooth


def _polygon(table: ShapeTable, index: ndarray, x: Tensor, y: Tensor) -> Tensor:
    nearest = torch.full_like(x, 1e3)
    inside = torch.zeros_like(x, dtype=torch.bool)
    for rows, real in _blocks(table, index, x):
        _, distance = _segment_depth(rows, x, y)
        nearest = torch.minimum(nearest, distance.masked_fill_(~real, 1e3).amin(1))
        x0, y0, x1, y1 = (rows[:, :, i] for i in range(4))
        rise = torch.where((y1 - y0).abs() < 1e-9, 1e-9, y1 - y0)
        above = (y0 > y[:, None]) != (y1 > y[:, None])
        left = x[:, None] < (x1 - x0) * ((y[:, None] - y0) / rise) + x0
        inside ^= (above & left & real).sum(1) % 2 == 1
    smooth = table.smooth[torch.as_tensor(index).to(x.device)][:, None, None]
    return torch.where(inside, nearest, -nearest) + smooth


def _below(table: ShapeTable, index: ndarray, x: Tensor, y: Tensor) -> Tensor:
    edge = torch.zeros_like(x)
    for rows, _ in _blocks(table, index, x):
        edge += (rows[:, :, 0] * torch.sin(x[:, None] * rows[:, :, 1] + rows[:, :, 2])).sum(1)
    return y - edge


_GROUPS: MappingProxyType[int, Callable[[ShapeTable, ndarray, Tensor, Tensor], Tensor]] = MappingProxyType(
    {_RADIAL: _radial, _POLYGON: _polygon, _STROKES: _strokes, _BLOB: _blob, _BELOW: _below}
)
