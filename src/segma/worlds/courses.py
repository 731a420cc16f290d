"""Where the wholes of a scene are, frame by frame, in numbers: what relations and events are found from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from segma.worlds.render import Rendered
from segma.worlds.scene import Scene
from segma.worlds.truth import LEAST_PIXELS

TOUCH, APART = 0.008, 0.04
"""Gaps, as shares of the picture's side, up to which things touch, and from which on they do not."""
_STEADY = 0.002
"""A camera that moves less than this between two frames (lengths; zoom and roll alike) stands still."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Courses:
    """Things by frames; shares are of the picture's area, its width and its height.

    `areas` of what is seen (0: not to be seen), `wholes` of all of it within the frame; `centres` (x, y) of
    what is seen, 0 where nothing is; `places` (x, y) in the world, in lengths. By pairs and frame: `cover` is
    the share of the second's whole that lies under what is seen of the first, `overlap` the part of the
    smaller whole that both share, `inside` the share of the second that lies in holes of the first, `touch`
    and `near` whether the gap between them is less than TOUCH and APART. `steady` says by frame whether the
    camera stands still since the frame before; `cuts` are frames at which a shot begins, besides 0.
    """

    areas: Float[ndarray, "things frames"]
    wholes: Float[ndarray, "things frames"]
    centres: Float[ndarray, "things frames 2"]
    places: Float[ndarray, "things frames 2"]
    cover: Float[ndarray, "things things frames"]
    overlap: Float[ndarray, "things things frames"]
    inside: Float[ndarray, "things things frames"]
    touch: Bool[ndarray, "things things frames"]
    near: Bool[ndarray, "things things frames"]
    steady: Bool[ndarray, " frames"]
    cuts: tuple[int, ...] = ()

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return self.areas.shape[1]

    def reordered(self, order: Sequence[int]) -> Courses:
        """The same frames in another order; cuts are forgotten."""
        chosen = np.array(order)
        changed: dict[str, ndarray] = {}
        for field in fields(self):
            if field.name != "cuts":
                array: ndarray = getattr(self, field.name)
                axis = {"steady": 0, "areas": 1, "wholes": 1, "centres": 1, "places": 1}.get(field.name, 2)
                changed[field.name] = np.take(array, chosen, axis)
        return Courses(**changed, cuts=())  # pyright: ignore[reportArgumentType]: as the fields are


def courses_of(rendered: Rendered, index: int) -> tuple[tuple[int, ...], Courses]:
    """Ids and courses of the wholes of a scene that are seen on some frame."""
    scene = rendered.scenes[index]
    rows = [each.object_id - 1 for each in scene.wholes]
    visible = rendered.visible(index)[rows].cpu().numpy()
    whole = rendered.whole(index)[rows].cpu().numpy()
    seen = np.count_nonzero(visible, (2, 3))
    kept = (seen >= LEAST_PIXELS).any(1)
    visible, whole, seen = visible[kept], whole[kept], seen[kept]
    visible = visible & (seen >= LEAST_PIXELS)[:, :, None, None]
    ids = tuple(rows[i] + 1 for i in np.flatnonzero(kept))
    return ids, measured(visible, whole, scene, ids, rendered.frames)


def measured(
    visible: Bool[ndarray, "things frames h w"],
    whole: Bool[ndarray, "things frames h w"],
    scene: Scene,
    ids: Sequence[int],
    frames: Sequence[int],
) -> Courses:
    """The courses of things from their masks; `scene` gives their places, the camera and the cuts."""
    things, count, height, width = visible.shape
    pixels = height * width
    places = np.zeros((things, count, 2))
    for i, object_id in enumerate(ids):
        poses = [scene.objects[object_id - 1].motion.pose(frame) for frame in frames]
        places[i] = [(pose.x, pose.y) for pose in poses]
    pairs = [_pairs(visible[:, i], whole[:, i]) for i in range(count)]
    cover, overlap, inside, touch, near = (np.stack(each, -1) for each in zip(*pairs, strict=True))
    starts = {shot.start for shot in scene.shots if shot.start}
    return Courses(
        areas=np.count_nonzero(visible, (2, 3)) / pixels,
        wholes=np.count_nonzero(whole, (2, 3)) / pixels,
        centres=_centres(visible),
        places=places,
        cover=cover,
        overlap=overlap,
        inside=inside,
        touch=touch,
        near=near,
        steady=_steady(scene, frames),
        cuts=tuple(i for i, frame in enumerate(frames) if frame in starts),
    )


def _centres(visible: Bool[ndarray, "things frames h w"]) -> Float[ndarray, "things frames 2"]:
    height, width = int(visible.shape[2]), int(visible.shape[3])
    total = np.maximum(np.count_nonzero(visible, (2, 3)), 1)
    columns, rows = np.count_nonzero(visible, 2), np.count_nonzero(visible, 3)
    x = np.dot(columns, np.arange(width) + 0.5) / total / width
    y = np.dot(rows, np.arange(height) + 0.5) / total / height
    return np.stack([x, y], -1)


def _pairs(
    visible: Bool[ndarray, "things h w"], whole: Bool[ndarray, "things h w"]
) -> tuple[ndarray, ndarray, ndarray, ndarray, ndarray]:
    """Cover, overlap, inside, touch and near on one frame, (things, things) each."""
    side = min(whole.shape[1:])
    flat = whole.reshape(len(whole), -1).astype(np.float32)
    total = np.maximum(flat.sum(1), 1)
    shared = flat @ flat.T
    cover = visible.reshape(len(whole), -1).astype(np.float32) @ flat.T / total
    holes = np.stack([_holes(each) for each in whole]).reshape(len(whole), -1).astype(np.float32)
    touch, near = (_within(whole, max(1, round(gap * side / 2))) for gap in (TOUCH, APART))
    for each in (cover, shared, touch, near):
        np.fill_diagonal(each, 0)
    return cover, shared / np.minimum.outer(total, total), holes @ flat.T / total, touch, near


def _within(whole: Bool[ndarray, "things h w"], radius: int) -> Bool[ndarray, "things things"]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown = [cv2.dilate(each.astype(np.uint8), kernel) for each in whole]
    flat = np.stack(grown).reshape(len(whole), -1).astype(np.float32)
    return flat @ flat.T > 0


def _holes(mask: Bool[ndarray, "h w"]) -> Bool[ndarray, "h w"]:
    """What the outline goes around without being the thing's own."""
    if not mask.any():
        return mask
    image = mask.astype(np.uint8)
    contours, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(image)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return (filled > 0) & ~mask


def _steady(scene: Scene, frames: Sequence[int]) -> Bool[ndarray, " frames"]:
    views = [scene.camera.view(frame) for frame in frames]
    rows = np.array([(view.x, view.y, view.zoom, view.roll) for view in views])
    moved = np.abs(np.diff(rows, axis=0, prepend=rows[:1])).max(1)
    return moved < _STEADY
