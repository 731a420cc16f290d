"""What is true of rendered scenes, as samples: visible and whole masks, parts, presence, attributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from segma.masks.mask import Mask, Masklet
from segma.samples import Attribute, ImageSample, ObjectSample, TrackSample, VideoSample
from segma.worlds.render import Rendered
from segma.worlds.scene import Scene, SceneObject

LEAST_PIXELS = 12
"""An object of which fewer pixels are seen on a frame counts as not to be seen there: its mask is empty."""
SOURCE = "worlds"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTruth:
    """One image's sample, and for each of its objects the whole mask: where it is, hidden or not."""

    sample: ImageSample
    wholes: tuple[Mask, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoTruth:
    """One clip's sample, and for each of its objects its whole masks. Frames are counted as rendered."""

    sample: VideoSample
    wholes: tuple[Masklet, ...]


def image_truth(rendered: Rendered, frame: int = 0) -> Iterator[ImageTruth]:
    """The truth of each scene's image (of a clip: of its `frame`); what is not to be seen is left out.

    Attributes of an object: those of the scene, `class`, `depth_order` (0 is the nearest whole), `part_of`
    and `part` for parts, `seen` (the share of its whole mask that is not hidden).
    """
    for index, scene in enumerate(rendered.scenes):
        visible, whole = _dense(rendered, index)
        objects: list[ObjectSample] = []
        wholes: list[Mask] = []
        kept: set[int] = set()
        for each, seen, all_of_it in zip(scene.objects, visible[:, frame], whole[:, frame], strict=True):
            mask = _mask(seen)
            if mask.area:
                kept.add(each.object_id)
                around = Mask.from_dense(all_of_it)
                said = attributes_of(scene, each) | {"seen": round(mask.area / around.area, 4)}
                objects.append(
                    ObjectSample(object_id=each.object_id, mask=mask, label=label_of(each), attributes=said)
                )
                wholes.append(around)
        size = (visible.shape[-2], visible.shape[-1])
        name = f"{scene.family}-{scene.seed}"
        sample = ImageSample(file_name=f"{name}.png", size=size, objects=tuple(objects), source=SOURCE)
        yield ImageTruth(sample=sample, wholes=tuple(wholes))


def video_truth(rendered: Rendered) -> Iterator[VideoTruth]:
    """The truth of each scene's clip: every object on every frame, with empty masks where it is hidden.

    Objects that are never to be seen are left out.
    """
    for index, scene in enumerate(rendered.scenes):
        visible, whole = _dense(rendered, index)
        size = (visible.shape[-2], visible.shape[-1])
        tracks: list[TrackSample] = []
        wholes: list[Masklet] = []
        for each, seen, all_of_it in zip(scene.objects, visible, whole, strict=True):
            masks = {frame: _mask(dense) for frame, dense in enumerate(seen)}
            if any(mask.area for mask in masks.values()):
                masklet = Masklet(size=size, masks=masks)
                tracks.append(
                    TrackSample(
                        object_id=each.object_id,
                        masklet=masklet,
                        label=label_of(each),
                        attributes=attributes_of(scene, each),
                    )
                )
                around = {frame: Mask.from_dense(dense) for frame, dense in enumerate(all_of_it)}
                wholes.append(Masklet(size=size, masks=around))
        sample = VideoSample(
            name=f"{scene.family}-{scene.seed}",
            size=size,
            num_frames=len(rendered.frames),
            fps=scene.fps,
            objects=tuple(tracks),
            source=SOURCE,
        )
        yield VideoTruth(sample=sample, wholes=tuple(wholes))


def label_of(each: SceneObject) -> str:
    """The class of a whole, the name of a part."""
    return each.part or each.class_name


def attributes_of(scene: Scene, each: SceneObject) -> dict[str, Attribute]:
    """What can be said of an object that does not change from frame to frame."""
    order = sorted(scene.wholes, key=lambda one: (one.depth, -one.object_id))
    ranks = {one.object_id: rank for rank, one in enumerate(order)}
    looks = each.attributes
    found: dict[str, Attribute] = {
        "class": each.class_name,
        "colour": looks.colour,
        "texture": looks.texture,
        "shape": looks.shape,
        "size": looks.size,
        "motion": each.motion.kind,
        "depth_order": ranks[scene.whole_of(each.object_id)],
        "translucent": each.opacity < 1,
    }
    if looks.letter:
        found["letter"] = looks.letter
    if each.parent is not None:
        found |= {"part_of": each.parent, "part": each.part}
    return found


def _dense(
    rendered: Rendered, index: int
) -> tuple[Bool[ndarray, "objects frames h w"], Bool[ndarray, "objects frames h w"]]:
    return rendered.visible(index).cpu().numpy(), rendered.whole(index).cpu().numpy()


def _mask(dense: Bool[ndarray, "h w"]) -> Mask:
    few = np.count_nonzero(dense) < LEAST_PIXELS
    return Mask.from_dense(np.zeros_like(dense) if few else dense)
