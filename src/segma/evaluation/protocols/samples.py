"""Whether a generator of worlds makes what it is asked for: the class and the colour of a sentence.

Of each class some portraits are painted. They are judged as they are (no generator can be expected to do
better), and after a way through the tokenizer. A sample is judged that was made by the portrait's own class
and colour; how often it would be right by chance, the class and colour of another portrait tell. The thing is
found by a promptable network, from the box of what stands out; its class says a small network that has
learned them from other portraits; its colour is told from its pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from segma.tasks.maker import Config, Maker
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
SOURCES = ("painted", "painted and tokenised", "sampled", "by chance")
"""Where pictures are from; the last has the samples again, each judged by what another portrait asks for."""
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
    sampling: Config | None = None
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
    seen: dict[str, list[_Seen]] = {}
    start, done = time.perf_counter(), 0
    origins = tuple(dict.fromkeys(_origin_of(source) for source in config.sources))
    for origin in origins:
        seen[origin] = []
        for picture in _pictures(origin, drawn, maker, config):
            seen[origin].append(_seen(picture, judge, network, runtime or Runtime()))
            done += 1
            if on_progress is not None:
                on_progress(done, len(drawn) * len(origins))
    seconds = (time.perf_counter() - start) / done
    rows = [
        _row(source, drawn[made], drawn[asked], seen[_origin_of(source)][made])
        for source in config.sources
        for made, asked in (others(drawn, config.seed) if source == SOURCES[3] else _own(drawn)).items()
    ]
    groups = [(source, [row for row in rows if row.source == source]) for source in config.sources]
    return Report(
        protocol="samples",
        columns=COLUMNS,
        rows=tuple(rows),
        parts=parts_of(groups, config.seed),
        settings={"per_class": config.per_class, "seed": config.seed, "portraits": config.portraits,
                  "rounds": config.rounds, "sampling": str(config.sampling or "as usual")},
        seconds={"picture": seconds},
    )  # fmt: skip


def sentence_of(portrait: Portrait) -> str:
    """Class and colour of a portrait: "a red star"."""
    return f"a {portrait.thing.attributes.colour} {portrait.class_name}"


def others(portraits: Sequence[Portrait], seed: int = 0) -> dict[int, int]:
    """For each portrait, by its place, another one of another class and another colour, each taken once.

    Always the same of a seed. Those for which none is left are missing.
    """
    order = np.random.default_rng(seed).permutation(len(portraits)).tolist()
    wishes = [(each.class_name, each.thing.attributes.colour) for each in portraits]

    def differ(place: int, other: int) -> bool:
        return all(one != two for one, two in zip(wishes[place], wishes[other], strict=True))

    for place in range(len(order)):
        if differ(place, order[place]):
            continue
        for other in range(len(order)):
            if differ(place, order[other]) and differ(other, order[place]):
                order[place], order[other] = order[other], order[place]
                break
    return {place: other for place, other in enumerate(order) if differ(place, other)}


def _own(portraits: Sequence[Portrait]) -> dict[int, int]:
    return {place: place for place in range(len(portraits))}


def _origin_of(source: str) -> str:
    return SOURCES[2] if source == SOURCES[3] else source


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


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of a picture: places in CLASSES, the likeliest first, shares of colours, and the thing's area."""

    classes: tuple[int, ...]
    colours: Mapping[str, float]
    area: float


def _seen(picture: _Picture, judge: PortraitJudge, network: Promptable, runtime: Runtime) -> _Seen:
    mask = found_thing(picture, network, runtime)
    order: list[int] = np.argsort(-judge.shares(picture, mask)).tolist()
    return _Seen(tuple(order), colour_shares(picture[mask]), float(mask.mean()))


def _row(source: str, made: Portrait, asked: Portrait, seen: _Seen) -> Row:
    wanted = CLASSES.index(asked.class_name)
    colour = seen.colours.get(asked.thing.attributes.colour, 0.0)
    return Row(
        key=f"{source} {made.scene.seed}: {sentence_of(asked)}",
        group=str(made.scene.seed),
        source=source,
        area=seen.area,
        values={
            "class": float(seen.classes[0] == wanted),
            "class3": float(wanted in seen.classes[:3]),
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
