"""What is painted, and in which order: scenes and moments as padded tables of layers.

A picture is one scene at one moment. Its layers stand from the back to the front: the background's texture
and regions, then the wholes from the furthest to the nearest, each with its shadows before its own
surfaces. A layer's row of numbers holds all that painting it needs, so that equal places of many pictures
are painted together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int16, Integer, UInt8
from numpy import ndarray

from segma.worlds.scene import Background, Light, Pose, Scene, SceneObject, Shape, Texture, View
from segma.worlds.shapes import extent

Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of x' = a x + b y + c, y' = d x + e y + f."""
_IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_NOWHERE = (0, 0, 0, 0)

WHOLE, WARP, LOCAL, UNIT, SOFT, ALPHA, RELIEF, GLOSS, FLAT, LIGHT, COLUMNS = (
    0,
    6,
    9,
    15,
    16,
    17,
    18,
    19,
    20,
    21,
    25,
)
"""Where in a row: the map from the frame into the whole, its bend, wave and phase, the map from there
into the part, lengths by local unit, softness (a length), opacity, relief, gloss, whether it is a
shadow, and the direction to the light with the ambient share."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One picture to paint: a scene at a time in frames, which may lie between two."""

    scene: Scene
    frame: int
    time: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """All layers of some pictures; a place that a picture does not use has an empty box.

    `boxes` are y0, y1, x0, x1 in pixels; `owner` is the object's id, 0 for background and shadows; `bits`
    mark the object and all it is a part of (object i: bit (i - 1) % 8 of word (i - 1) // 8).
    """

    rows: Float[ndarray, "layers pictures columns"]
    boxes: Integer[ndarray, "layers pictures 4"]
    shape: Integer[ndarray, "layers pictures"]
    texture: Integer[ndarray, "layers pictures"]
    owner: Int16[ndarray, "layers pictures"]
    bits: UInt8[ndarray, "layers pictures words"]
    shapes: tuple[Shape, ...]
    textures: tuple[Texture, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layer:
    """A layer of one picture before it is put into the tables; `row` is as in COLUMNS."""

    shape: Shape | None
    texture: Texture
    row: tuple[float, ...]
    box: tuple[int, int, int, int]
    of: int = 0
    owner: int = 0
    marks: tuple[int, ...] = ()


def pack_layers(moments: Sequence[Moment], size: tuple[int, int], words: int) -> Layers:
    """The layers of some moments for pictures of `size` = (height, width) pixels."""
    pictures = [picture_layers(moment, size) for moment in moments]
    count = max(len(each) for each in pictures)
    rows = np.zeros((count, len(moments), COLUMNS), np.float32)
    boxes = np.zeros((count, len(moments), 4), np.int64)
    shape, texture = np.full((2, count, len(moments)), -1, np.int64)
    owner = np.zeros((count, len(moments)), np.int16)
    bits = np.zeros((count, len(moments), words), np.uint8)
    shapes: dict[Shape, int] = {}
    textures: dict[Texture, int] = {}
    for column, layers in enumerate(pictures):
        for line, layer in enumerate(layers):
            place = (line, column)
            rows[place], boxes[place], owner[place] = layer.row, layer.box, layer.owner
            texture[place] = textures.setdefault(layer.texture, len(textures))
            if layer.shape is not None:
                shape[place] = shapes.setdefault(layer.shape, len(shapes))
            for mark in layer.marks:
                bits[line, column, (mark - 1) // 8] |= 1 << ((mark - 1) % 8)
    return Layers(
        rows=rows,
        boxes=boxes,
        shape=shape,
        texture=texture,
        owner=owner,
        bits=bits,
        shapes=tuple(shapes),
        textures=tuple(textures),
    )


def picture_layers(moment: Moment, size: tuple[int, int]) -> list[_Layer]:
    """The layers of one picture, from the back to the front; as many for every moment of a scene."""
    scene, shot = moment.scene, moment.scene.shot(moment.frame)
    painter = _Painter(scene=scene, view=_view_at(moment), light=shot.light, size=size)
    layers = painter.background(shot.background, _blend(shot.background.motion, moment))
    poses = {each.object_id: _blend(each.motion.poses, moment) for each in scene.objects}
    families: dict[int, list[SceneObject]] = {}
    for each in scene.objects:
        families.setdefault(scene.whole_of(each.object_id), []).append(each)
    for whole in sorted(scene.wholes, key=lambda each: (-each.depth, each.object_id)):
        members = [each for each in families[whole.object_id] if each.shape]
        chains = {each.object_id: _chain(scene, each, poses) for each in members}
        here = {each.object_id for each in members if _is_present(scene, each, moment.frame)}
        pose = poses[whole.object_id]
        for layer in (*painter.shadows(members, chains, pose), *painter.surfaces(members, chains, pose)):
            layers.append(layer if layer.of in here else replace(layer, box=_NOWHERE))
    return layers


def _is_present(scene: Scene, each: SceneObject, frame: int) -> bool:
    if not each.motion.is_present(frame):
        return False
    return each.parent is None or _is_present(scene, scene.objects[each.parent - 1], frame)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Painter:
    """What the layers of one picture share."""

    scene: Scene
    view: View
    light: Light
    size: tuple[int, int]

    def background(self, background: Background, pose: Pose) -> list[_Layer]:
        """The base texture and the regions."""
        depth = background.depth
        base = self._row(pose, _IDENTITY, depth, 1.0, soft=0.0, alpha=1.0, relief=0.0, gloss=0.0)
        full = (0, self.size[0], 0, self.size[1])
        layers = [_Layer(shape=None, texture=background.texture, row=base, box=full)]
        for region in background.regions:
            local = _forward(region.pose)
            row = self._row(
                pose, local, depth, region.pose.scale, soft=region.softness, alpha=1.0, relief=0.0, gloss=0.0
            )
            box = self._box(region.shape, pose, local, depth, region.softness, (0.0, 0.0))
            layers.append(_Layer(shape=region.shape, texture=region.texture, row=row, box=box))
        most = max(len(shot.background.regions) for shot in self.scene.shots)
        nothing = replace(layers[0], box=_NOWHERE)
        return layers + [nothing] * (most - len(background.regions))

    def shadows(self, members: list[SceneObject], chains: dict[int, Affine], pose: Pose) -> list[_Layer]:
        """What the larger parts of a whole throw on what is behind it."""
        light = self.light
        away = (-math.cos(light.angle) * light.reach, -math.sin(light.angle) * light.reach)
        layers: list[_Layer] = []
        for each in members:
            if each.shadow and each.shape is not None:
                local, soft = chains[each.object_id], light.softness
                alpha = light.shadow * each.opacity
                row = self._row(
                    pose,
                    local,
                    each.depth,
                    _size(local),
                    soft=soft,
                    alpha=alpha,
                    relief=0.0,
                    gloss=0.0,
                    away=away,
                    flat=1.0,
                )
                box = self._box(each.shape, pose, local, each.depth, soft, away) if alpha > 0.02 else _NOWHERE
                layers.append(
                    _Layer(shape=each.shape, texture=each.texture, row=row, box=box, of=each.object_id)
                )
        return layers

    def surfaces(self, members: list[SceneObject], chains: dict[int, Affine], pose: Pose) -> list[_Layer]:
        """The surfaces of a whole and its parts."""
        grade = self.scene.degradations
        layers: list[_Layer] = []
        for each in members:
            assert each.shape is not None, "members have a surface"
            local = chains[each.object_id]
            soft = grade.aperture * abs(each.depth - grade.focus)
            row = self._row(
                pose,
                local,
                each.depth,
                _size(local),
                soft=soft,
                alpha=each.opacity,
                relief=each.relief,
                gloss=each.gloss,
            )
            box = self._box(each.shape, pose, local, each.depth, soft, (0.0, 0.0))
            layers.append(
                _Layer(
                    shape=each.shape,
                    texture=each.texture,
                    row=row,
                    box=box,
                    of=each.object_id,
                    owner=each.object_id,
                    marks=_line(self.scene, each.object_id),
                )
            )
        return layers

    def _row(
        self,
        pose: Pose,
        local: Affine,
        depth: float,
        part_scale: float,
        *,
        soft: float,
        alpha: float,
        relief: float,
        gloss: float,
        away: tuple[float, float] = (0.0, 0.0),
        flat: float = 0.0,
    ) -> tuple[float, ...]:
        a, b, c, d, e, f = _joined(_inverse(_shifted(_forward(pose), away)), _from_frame(self.view, depth))
        high, wide = self.scene.size
        into = (a * wide, b * high, c, d * wide, e * high, f)
        light = self.light
        flank = math.sqrt(max(0.0, 1 - light.height**2))
        toward = (math.cos(light.angle) * flank, math.sin(light.angle) * flank, light.height)
        unit = pose.scale * part_scale * self.view.zoom
        surface = (unit, soft, alpha, relief, gloss, flat)
        return (*into, pose.bend, pose.wave, pose.phase, *_inverse(local), *surface, *toward, light.ambient)

    def _box(
        self, shape: Shape, pose: Pose, local: Affine, depth: float, soft: float, away: tuple[float, float]
    ) -> tuple[int, int, int, int]:
        x0, y0, x1, y1 = _carried(local, extent_of(shape))
        tall = max(abs(y0), abs(y1))
        slack = abs(pose.bend) * tall * tall + abs(pose.wave)
        out = _joined(_inverse(_from_frame(self.view, depth)), _shifted(_forward(pose), away))
        x0, y0, x1, y1 = _carried(out, (x0 - slack, y0, x1 + slack, y1))
        (high, wide), (height, width) = self.scene.size, self.size
        pad_y, pad_x = soft * self.view.zoom / high * height + 2, soft * self.view.zoom / wide * width + 2
        top = (y0 / high + 0.5) * height - pad_y
        bottom = (y1 / high + 0.5) * height + pad_y
        left, right = (x0 / wide + 0.5) * width - pad_x, (x1 / wide + 0.5) * width + pad_x
        return (
            int(min(max(top, 0), height)),
            int(min(max(math.ceil(bottom), 0), height)),
            int(min(max(left, 0), width)),
            int(min(max(math.ceil(right), 0), width)),
        )


@lru_cache(maxsize=4096)
def extent_of(shape: Shape) -> tuple[float, float, float, float]:
    """`shapes.extent`, with some room for rounding."""
    x0, y0, x1, y1 = extent(shape)
    return (x0 - 0.02, y0 - 0.02, x1 + 0.02, y1 + 0.02)


def _line(scene: Scene, object_id: int) -> tuple[int, ...]:
    """An object and all it is a part of."""
    parent = scene.objects[object_id - 1].parent
    return (object_id,) if parent is None else (object_id, *_line(scene, parent))


def _chain(scene: Scene, each: SceneObject, poses: dict[int, Pose]) -> Affine:
    """From a part's coordinates into those of its whole."""
    local = _IDENTITY
    while each.parent is not None:
        local = _joined(_forward(poses[each.object_id]), local)
        each = scene.objects[each.parent - 1]
    return local


def _view_at(moment: Moment) -> View:
    views = moment.scene.camera.views
    if len(views) == 1:
        return views[0]
    first, second, share = _neighbours(moment)
    a, b = views[first], views[second]
    return View(
        x=a.x + (b.x - a.x) * share,
        y=a.y + (b.y - a.y) * share,
        zoom=a.zoom + (b.zoom - a.zoom) * share,
        roll=a.roll + (b.roll - a.roll) * share,
    )


def _blend(poses: tuple[Pose, ...], moment: Moment) -> Pose:
    if len(poses) == 1:
        return poses[0]
    first, second, share = _neighbours(moment)
    if share == 0:
        return poses[first]
    a, b = poses[first], poses[second]
    names = ("x", "y", "angle", "scale", "stretch", "bend", "wave", "phase")
    return Pose(*(getattr(a, name) + (getattr(b, name) - getattr(a, name)) * share for name in names))


def _neighbours(moment: Moment) -> tuple[int, int, float]:
    """The frames around a moment that belong to the shot of its own frame, and how far between them it is."""
    scene = moment.scene
    first = math.floor(moment.time)
    share = moment.time - first
    shot = scene.shot(moment.frame)
    near = [f for f in (first, first + 1) if 0 <= f < scene.num_frames and scene.shot(f) is shot]
    if len(near) < 2 or share == 0:
        return moment.frame, moment.frame, 0.0
    return first, first + 1, share


def _forward(pose: Pose) -> Affine:
    cosine, sine = math.cos(pose.angle), math.sin(pose.angle)
    across, down = pose.scale * pose.stretch, pose.scale / pose.stretch
    return (cosine * across, -sine * down, pose.x, sine * across, cosine * down, pose.y)


def _from_frame(view: View, depth: float) -> Affine:
    """From places in the frame into the scene, for what is at a depth: nearer things move more."""
    cosine, sine = math.cos(view.roll) / view.zoom, math.sin(view.roll) / view.zoom
    return (cosine, -sine, view.x / depth, sine, cosine, view.y / depth)


def _shifted(map_: Affine, away: tuple[float, float]) -> Affine:
    a, b, c, d, e, f = map_
    return (a, b, c + away[0], d, e, f + away[1])


def _joined(outer: Affine, inner: Affine) -> Affine:
    """Inner first, then outer."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (a * g + b * j, a * h + b * k, a * i + b * m + c, d * g + e * j, d * h + e * k, d * i + e * m + f)


def _inverse(map_: Affine) -> Affine:
    a, b, c, d, e, f = map_
    area = a * e - b * d
    return (e / area, -b / area, (b * f - c * e) / area, -d / area, a / area, (c * d - a * f) / area)


def _size(map_: Affine) -> float:
    return math.sqrt(abs(map_[0] * map_[4] - map_[1] * map_[3]))


def _carried(map_: Affine, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The box around a box that was mapped."""
    a, b, c, d, e, f = map_
    xs = [a * x + b * y + c for x in box[0::2] for y in box[1::2]]
    ys = [d * x + e * y + f for x in box[0::2] for y in box[1::2]]
    return (min(xs), min(ys), max(xs), max(ys))
