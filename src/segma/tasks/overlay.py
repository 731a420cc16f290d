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
        masks = {name: mask for name, mask in masks_of(frame.index).items() if mask.crop_size[0]}
        for name in masks:
            order.setdefault(name, len(order))
        if not masks:
            return frame.pixels
        colours = [PALETTE[order[name] % len(PALETTE)] for name in masks]
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        drawn = overlay(
            frame.pixels,
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
                Label(
                    name=name,
                    colour=colour,
                    box=mask.box,
                    is_anchor=anchors is not None and frame.index in anchors.get(name, ()),
                )
                for (name, mask), colour in zip(masks.items(), colours, strict=True)
            ],
        )

    stretch = Stretch(first=first, last=last, on_progress=on_progress, cancel=cancel)
    return write_frames(source, path, picture, kind=kind, stretch=stretch, overwrite=overwrite)
