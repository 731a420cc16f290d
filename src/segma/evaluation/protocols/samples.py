"""Whether a generator of worlds makes what it is asked for: the class and the colour of a sentence.

Of each class some portraits are painted. They are judged as they are (no generator can be expected to do
better), after a way through the tokenizer, and a sample is judged that was made by the portrait's own class
and colour. The thing is found by a promptable network, from the box of what stands out; what it is says a
small network that has learned the classes from other portraits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray

from segma.errors import InputError, ModelError
from segma.evaluation.portrait_judge import PortraitJudge, box_of_thing, standing_out
from segma.evaluation.report import Column, Report, Row, parts_of
from segma.models.interfaces import Promptable
from segma.runtime import Runtime
from segma.tasks import tokenize
from segma.tasks.generate import generate_images
from segma.tasks.maker import Maker
from segma.tasks.sample_codes import SamplingConfig
from segma.tasks.segment import ImageSession
from segma.tasks.sentences import label_of
from segma.worlds.facts import colour_shares
from segma.worlds.portraits import Portrait, draw_portrait
from segma.worlds.render import render
from segma.worlds.reserved import ASKED_STREAM, STREAM_SIZE
from segma.worlds.scene import CLASSES

COLUMNS = (
    Column(measure="class", heading="class", interval=True),
    Column(measure="class3", heading="among 3"),
    Column(measure="colour", heading="colour", interval=True),
)
SOURCES = ("painted", "painted and tokenised", "sampled")
_FIRST_SEED = ASKED_STREAM * STREAM_SIZE
# A colour is seen where so much of a thing has it; things have parts in other colours.
_LEAST_SHARE = 0.2
_CANDIDATES, _LEAST_LEFT = 3, 0.25

OnProgress = Callable[[int, int], object]
_Picture = UInt8[ndarray, "height width 3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplesConfig:
    """`per_class` portraits of each class; the judge learns from `portraits` others, `rounds` times."""

    per_class: int = 3
    seed: int = 0
    portraits: int = 4000
    rounds: int = 8
    batch: int = 8
    sampling: SamplingConfig | None = None
    sources: tuple[str, ...] = field(default=SOURCES)

    def __post_init__(self) -> None:
        if min(self.per_class, self.portraits, self.rounds, self.batch) < 1:
            raise InputError("input.value", "per_class, portraits, rounds and batch are 1 or more.")
        if unknown := set(self.sources) - set(SOURCES):
            known = ", ".join(SOURCES)
            raise InputError("input.value", f"No source {sorted(unknown)[0]!r}.", f"Sources: {known}.")


def run(
    network: Promptable,
    maker: Maker,
    config: SamplesConfig | None = None,
    *,
    runtime: Runtime | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """The judgement of every picture. `on_progress(pictures done, pictures in all)`.

    Raises ModelError for a generator without words, InputError where it lacks some, MemoryLimitError.
    """
    config = config or SamplesConfig()
    if not maker.spec.words:
        raise ModelError("model.task", "This generator knows no words of made worlds.")
    drawn = [
        draw_portrait(_FIRST_SEED + config.seed + number, CLASSES[number % len(CLASSES)])
        for number in range(config.per_class * len(CLASSES))
    ]
    judge = PortraitJudge.learned(config.portraits, config.rounds, config.seed)
    rows: list[Row] = []
    start = time.perf_counter()
    for source in config.sources:
        for portrait, picture in zip(drawn, _pictures(source, drawn, maker, config), strict=True):
            rows.append(_row(source, portrait, picture, judge, network, runtime or Runtime()))
            if on_progress is not None:
                on_progress(len(rows), len(drawn) * len(config.sources))
    groups = [(source, [row for row in rows if row.source == source]) for source in config.sources]
    return Report(
        protocol="samples",
        columns=COLUMNS,
        rows=tuple(rows),
        parts=parts_of(groups, config.seed),
        settings={"per_class": config.per_class, "seed": config.seed, "portraits": config.portraits,
                  "rounds": config.rounds, "sampling": str(config.sampling or "as usual")},
        seconds={"picture": (time.perf_counter() - start) / len(rows)},
    )  # fmt: skip


def sentence_of(portrait: Portrait) -> str:
    """Class and colour of a portrait: "a red star"."""
    return f"a {portrait.thing.attributes.colour} {portrait.class_name}"


def _pictures(
    source: str, drawn: Sequence[Portrait], maker: Maker, config: SamplesConfig
) -> Iterator[_Picture]:
    if source == SOURCES[2]:
        labels = [label_of(maker.spec, sentence_of(each)) for each in drawn]
        yield from generate_images(maker, labels, config.sampling, seed=config.seed, batch=config.batch)
        return
    header = maker.header(None)
    for each in drawn:
        image = render([each.scene], size=maker.size).images[0, 0].permute(1, 2, 0).cpu().numpy()
        picture = np.ascontiguousarray(image)
        if source == SOURCES[1]:
            grid = tokenize.encode(maker.tokenizer, [picture], header, runtime=maker.runtime)
            picture = maker.decode(grid)[0]
        yield picture


def _row(
    source: str,
    portrait: Portrait,
    picture: _Picture,
    judge: PortraitJudge,
    network: Promptable,
    runtime: Runtime,
) -> Row:
    mask = found_thing(picture, network, runtime)
    order = np.argsort(-judge.shares(picture, mask))
    wanted = CLASSES.index(portrait.class_name)
    shares = colour_shares(picture[mask])
    colour = shares.get(portrait.thing.attributes.colour, 0.0)
    return Row(
        key=f"{source} {portrait.scene.seed}: {sentence_of(portrait)}",
        group=str(portrait.scene.seed),
        source=source,
        area=float(mask.mean()),
        values={
            "class": float(order[0] == wanted),
            "class3": float(wanted in order[:3]),
            "colour": float(colour >= _LEAST_SHARE),
        },
    )


def found_thing(picture: _Picture, network: Promptable, runtime: Runtime) -> Bool[ndarray, "height width"]:
    """The mask of the thing, by a network that is given the box of what stands out.

    Of its candidates the one nearest to what stands out, without the holes where the ground is seen.
    """
    stands_out = standing_out(picture)
    session = ImageSession(network, picture, runtime)
    found = session.segment(box=box_of_thing(picture), candidates=_CANDIDATES)
    mask = max((each.mask for each in found), key=lambda each: _overlap(each, stands_out))
    pierced = mask & stands_out
    return pierced if pierced.sum() >= _LEAST_LEFT * mask.sum() else mask


def _overlap(mask: Bool[ndarray, "height width"], other: Bool[ndarray, "height width"]) -> float:
    return float((mask & other).sum() / max(1, (mask | other).sum()))
