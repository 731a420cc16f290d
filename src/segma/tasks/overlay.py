"""A video with its objects drawn over it, each in one colour from beginning to end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from segma.masks.mask import CompactMasks, Mask
from segma.media.draw import PALETTE, overlay
from segma.media.labels import Label, draw_labels
from segma.media.source import Frame, FrameSource
from segma.tasks.render import Progress, Stretch, write_frames


def write_overlay(
    source: FrameSource,
    masks_of: Callable[[int], Mapping[str, Mask]],
    path: str | Path,
    *,
    names: Sequence[str] = (),
    anchors: Mapping[str, Collection[int]] | None = None,
    labels: bool = True,
    opacity: float | int = 0.5,
    border_pixels: float | int = 1.5,
    first: int = 0,
    last: int | None = None,
    kind: str = "h264",
    overwrite: bool = False,
    on_progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Write the video with the objects of each frame (by name) filled at `opacity` and outlined.

    Colours follow the order of `names`, then the order in which further names appear. `labels` puts the
    name beside each object, with a diamond on the frames that `anchors` lists for it. Frame times, colour
    tags and sound are the source's.

    Raises InputError, StoreError and Cancelled; then nothing is left on the disk.
    """
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}

    def picture(frame: Frame) -> UInt8[ndarray, "height width 3"]:
        return draw_objects(
            frame.pixels,
            masks_of(frame.index),
            order,
            anchored=[name for name, frames in (anchors or {}).items() if frame.index in frames],
            labels=labels,
            opacity=opacity,
            border_pixels=border_pixels,
        )

    stretch = Stretch(first=first, last=last, on_progress=on_progress, cancel=cancel)
    return write_frames(source, path, picture, kind=kind, stretch=stretch, overwrite=overwrite)


def draw_objects(
    picture: UInt8[ndarray, "height width 3"],
    masks: Mapping[str, Mask],
    order: dict[str, int],
    *,
    anchored: Collection[str] = (),
    labels: bool = True,
    opacity: float | int = 0.5,
    border_pixels: float | int = 1.5,
) -> UInt8[ndarray, "height width 3"]:
    """A picture with its objects drawn over it, as `write_overlay` does.

    `order` says which colour of the palette a name has; names that are new are added to it. `anchored` are
    the objects that a person made or confirmed here.
    """
    masks = {name: mask for name, mask in masks.items() if mask.crop_size[0]}
    for name in masks:
        order.setdefault(name, len(order))
    if not masks:
        return picture
    colours = [PALETTE[order[name] % len(PALETTE)] for name in masks]
    size = (picture.shape[0], picture.shape[1])
    drawn = overlay(
        picture,
        CompactMasks(masks.values(), size),
        opacity=opacity,
        border_pixels=border_pixels,
        colours=colours,
    )
    if not labels:
        return drawn
    return draw_labels(
        drawn,
        [
            Label(name=name, colour=colour, box=mask.box, is_anchor=name in anchored)
            for (name, mask), colour in zip(masks.items(), colours, strict=True)
        ],
    )
