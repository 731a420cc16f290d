"""A simulated person in front of images: each is encoded once, then clicked on until it is good, or boxed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from segma.errors import InputError
from segma.evaluation.metrics.iou import iou
from segma.media.image import read_picture
from segma.models.interfaces import Promptable
from segma.prompts.simulate import Click, Rule, first_click, next_click
from segma.results import MaskRecord
from segma.runtime import Runtime
from segma.samples import ImageSample, ObjectSample, PictureFile
from segma.tasks.segment import ImageSession, usual_session

OnProgress = Callable[[int, int], None]
"""Hears of objects done and objects in all."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clicked:
    """What clicking gave: after each click the answer and its IoU."""

    clicks: tuple[Click, ...]
    records: tuple[MaskRecord, ...]
    curve: tuple[float, ...]

    def after(self, number: int) -> int:
        """The index of the answer after so many clicks, or of the last one where it was good before."""
        return min(number, len(self.records)) - 1


def click_until(
    session: ImageSession,
    truth: Bool[ndarray, "height width"],
    clicks: int,
    *,
    stop_iou: float | None = None,
    rule: Rule = "area",
) -> Clicked:
    """Click on the object's deepest pixel, then on the worst error, with the earlier logits fed back.

    Ends after `clicks`, at `stop_iou`, or when nothing is wrong. Raises InputError for an empty truth.
    """
    made: list[Click] = []
    records: list[MaskRecord] = []
    curve: list[float] = []
    following: Click | None = first_click(truth)
    while following is not None and len(made) < clicks:
        made.append(following)
        places = [(click.x, click.y) for click in made]
        labels = [click.label for click in made]
        previous = records[-1] if records else None
        records.append(session.segment(points=places, labels=labels, previous=previous)[0])
        mask = records[-1].mask
        curve.append(iou(mask, truth))
        if stop_iou is not None and curve[-1] >= stop_iou:
            break
        following = next_click(mask, truth, places, rule)
    return Clicked(clicks=tuple(made), records=tuple(records), curve=tuple(curve))


def oracle_of_three(session: ImageSession, truth: Bool[ndarray, "height width"]) -> float:
    """The best IoU of the three candidates after the first click.

    Asked for on their own, because candidates that are drawn together may differ by a pixel from one alone.
    """
    click = first_click(truth)
    return max(
        iou(record.mask, truth) for record in session.segment(points=[(click.x, click.y)], candidates=3)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One object to ask for, in an image that is encoded. `name` is the image's, `picture` its file."""

    session: ImageSession
    name: str
    picture: PictureFile
    source: str
    object: ObjectSample

    @property
    def key(self) -> str:
        """The picture's name and the object's number: what belongs to this object follows from it."""
        return f"{self.name}_{self.object.object_id}"

    @property
    def truth(self) -> Bool[ndarray, "height width"]:
        """The true mask, decoded on every call."""
        return self.object.mask.dense()

    @property
    def area(self) -> float:
        """The share of the picture that it covers."""
        return self.object.mask.area / (self.session.size[0] * self.session.size[1])


def each_object(
    network: Promptable,
    samples: Sequence[ImageSample],
    runtime: Runtime,
    skipped: list[str],
    on_progress: OnProgress | None = None,
) -> Iterator[Asked]:
    """Every object of every picture, in order; what cannot be asked for is told to `skipped`.

    Skipped are pictures that cannot be read or are of another size than their masks, and objects without a
    pixel. Crowds are nobody's click and are left out without a word.
    """
    total = sum(len(sample.objects) for sample in samples)
    done = 0
    for sample in samples:
        name = str(PurePosixPath(sample.file_name).with_suffix(""))
        session = _session(network, sample, runtime, skipped) if sample.objects else None
        for each in sample.objects:
            if session is not None and sample.picture is not None:
                if not each.mask.area:
                    skipped.append(f"{name}_{each.object_id}: the object has no pixel")
                elif not each.is_crowd:
                    yield Asked(
                        session=session, name=name, picture=sample.picture, source=sample.source, object=each
                    )
            done += 1
            if on_progress is not None:
                on_progress(done, total)


def evenly(items: Sequence[_Item], limit: int | None) -> list[_Item]:
    """At most `limit` of the items, evenly spaced, the first and the last among them; all for None."""
    if limit is None or limit >= len(items):
        return list(items)
    places = np.unique(np.round(np.linspace(0, len(items) - 1, limit)).astype(int))
    return [items[int(place)] for place in places]


def _session(
    network: Promptable, sample: ImageSample, runtime: Runtime, skipped: list[str]
) -> ImageSession | None:
    """The encoded picture, or None with a reason."""
    if sample.picture is None:
        skipped.append(f"{sample.file_name}: the data set does not say where its pixels are")
        return None
    try:
        image = read_picture(sample.picture)
    except InputError as error:
        skipped.append(f"{sample.file_name}: {error.message}")
        return None
    if image.shape[:2] != sample.size:
        found, said = f"{image.shape[1]}x{image.shape[0]}", f"{sample.size[1]}x{sample.size[0]}"
        skipped.append(f"{sample.file_name}: the picture is {found}, its masks {said}")
        return None
    return usual_session(network, image, runtime, sample.file_name)
