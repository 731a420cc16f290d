"""Sentences about a scene that mean exactly what they are said to mean.

An expression is proposed around a target, evaluated on the facts, and put into words only where it denotes
the target and nothing else, beyond doubt; or, for one that matches nothing, where not even a doubtful thing
is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from segma.samples import Sentence
from segma.worlds.class_facts import CLASS_FACTS
from segma.worlds.events import WITH_ANOTHER, EventKind
from segma.worlds.expressions import (
    Denotation,
    Did,
    Everything,
    Expression,
    Filter,
    Fits,
    OddOneOut,
    Ordinal,
    Relate,
    Superlative,
    denotation,
    named_pairs,
    parts_of,
)
from segma.worlds.facts import Facts
from segma.worlds.relations import RELATIONS
from segma.worlds.reserved import is_reserved_pair
from segma.worlds.ways import WAYS
from segma.worlds.wording import Wording

Kind = Literal["referring", "motion", "reasoning"]
KINDS: tuple[Kind, ...] = ("referring", "motion", "reasoning")
NOTHING_SHARE = 0.15
"""How many sentences match nothing."""
_TRIES = 80
_SHUFFLES = 3
_EXTREMES = ("leftmost", "rightmost", "topmost", "lowest")
_SPOKEN: MappingProxyType[str, float] = MappingProxyType(
    {"class": 0.7, "colour": 0.5, "texture": 0.25, "size": 0.25, "letter": 0.6}
)
"""How often an attribute is named, where it can be."""
_ORDERED: tuple[EventKind, ...] = ("starts", "stops", "turns back", "leaves", "returns")
Random = np.random.Generator


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenMeaning:
    """A sentence with what it means; `reserved` where its words or pairs are for the exam alone."""

    text: str
    kind: Kind
    expression: Expression
    object_ids: tuple[int, ...]
    reserved: bool

    def sentence(self) -> Sentence:
        """The sentence as samples carry it."""
        return Sentence(self.text, self.object_ids, self.kind)


def draw_sentences(
    facts: Facts, rng: Random, *, count: int, kinds: tuple[Kind, ...] = KINDS, exam: bool = False
) -> tuple[SpokenMeaning, ...]:
    """Up to `count` sentences of different meaning; fewer where a scene does not give rise to so many."""
    found: dict[Expression, SpokenMeaning] = {}
    possible: list[Kind] = [kind for kind in kinds if kind != "motion" or facts.num_frames > 1]
    for _ in range(2 * count if possible else 0):
        kind = possible[int(rng.integers(len(possible)))]
        one = draw_sentence(facts, kind, rng, exam=exam, nothing=rng.random() < NOTHING_SHARE)
        if one is not None:
            found.setdefault(one.expression, one)
        if len(found) == count:
            break
    return tuple(found.values())


def draw_sentence(
    facts: Facts,
    kind: Kind,
    rng: Random,
    *,
    exam: bool = False,
    nothing: bool = False,
    target: int | None = None,
) -> SpokenMeaning | None:
    """A sentence of a kind: about one thing (by its place in the facts), or one that matches nothing.

    None where none was found in a number of tries. Without `exam` no paraphrase and no pair of the exam is
    used.
    """
    if len(facts.things) < 2:
        return None
    for _ in range(_TRIES):
        place = int(rng.integers(len(facts.things))) if target is None else target
        expression = _PROPOSALS[kind](facts, place, rng, nothing)
        if expression is None or (not exam and holds_reserved_pair(expression)):
            continue
        meant = denotation(expression, facts)
        fits = _matches_nothing(expression, meant, facts) if nothing else meant.one == place
        if fits and (kind != "motion" or nothing or depends_on_order(expression, facts, meant)):
            return worded(expression, meant, facts, kind, rng, exam=exam)
    return None


def worded(
    expression: Expression, meant: Denotation, facts: Facts, kind: Kind, rng: Random, *, exam: bool
) -> SpokenMeaning:
    """An expression in words: referring and motion as a phrase, reasoning as a sentence."""
    wording = Wording(rng=rng, exam=exam)
    text = wording.noun_phrase(expression, many=len(meant.sure) > 1)
    if kind == "reasoning":
        text = wording.pick("ask").format(phrase=text)
    return SpokenMeaning(
        text=text,
        kind=kind,
        expression=expression,
        object_ids=facts.ids(meant.sure),
        reserved=wording.takes_reserved or holds_reserved_pair(expression),
    )


def holds_reserved_pair(expression: Expression) -> bool:
    """Whether a class and a colour that are for the exam are said of one thing."""
    return any(is_reserved_pair(class_name, colour) for class_name, colour in named_pairs(expression))


def depends_on_order(expression: Expression, facts: Facts, meant: Denotation) -> bool:
    """Whether the frames in another order would mean something else: on each of some shuffles."""
    rng = np.random.default_rng(facts.num_frames)
    orders = (rng.permutation(facts.num_frames).tolist() for _ in range(_SHUFFLES))
    kinds = {part.event for part in parts_of(expression) if isinstance(part, Did | Ordinal)}
    return all(denotation(expression, facts.reordered(order, kinds)) != meant for order in orders)


def _matches_nothing(expression: Expression, meant: Denotation, facts: Facts) -> bool:
    """Whether nothing at all fits, though what else is named is there, and so is something like it."""
    if meant.possible:
        return False
    named = [getattr(expression, "to", None), getattr(expression, "other", None)]
    if any(each is not None and denotation(each, facts).one is None for each in named):
        return False
    rest = getattr(expression, "of", None)
    return rest is not None and bool(denotation(rest, facts).sure)


def described(facts: Facts, place: int, rng: Random) -> Expression:
    """A thing by some of its own certain attributes; often others have them as well."""
    found: Expression = Everything()
    for attribute, values in facts.things[place].said.items():
        (value, *rest) = sorted(values)
        if not rest and _is_spoken(attribute, value) and rng.random() < _SPOKEN[attribute]:
            found = Filter(found, attribute, value)
    names = {each.attribute for each in _filters(found)}
    return Filter(found, "class", "letter") if "letter" in names and "class" not in names else found


def unique(facts: Facts, place: int, rng: Random) -> Expression | None:
    """Attributes that only this thing has; None where no such was drawn."""
    for _ in range(6):
        found = described(facts, place, rng)
        if denotation(found, facts).one == place:
            return found
    return None


def _is_spoken(attribute: str, value: str) -> bool:
    return bool(value) and (attribute in ("class", "colour", "letter") or f"{attribute} {value}" in WAYS)


def _filters(expression: Expression) -> Iterator[Filter]:
    while isinstance(expression, Filter):
        yield expression
        expression = expression.of


def _referring(facts: Facts, place: int, rng: Random, nothing: bool) -> Expression | None:
    if nothing and rng.random() < 0.6:
        return _misdescribed(facts, place, rng)
    found = described(facts, place, rng)
    draw = rng.random()
    if draw < 0.25:
        return found if isinstance(found, Filter) else None
    if len(denotation(found, facts).possible) < 2 and not nothing:
        return None  # what is added must be needed
    if draw < 0.7:
        return _related(facts, place, found, rng)
    if nothing:
        return None
    if facts.num_frames > 1:
        return Superlative(found, str(rng.choice(_EXTREMES)), "end" if rng.random() < 0.6 else "start")
    return Superlative(found, str(rng.choice((*_EXTREMES, "largest", "smallest"))))


def _related(facts: Facts, place: int, found: Expression, rng: Random) -> Expression | None:
    others = [i for i in range(len(facts.things)) if i != place]
    other = unique(facts, int(rng.choice(others)), rng)
    if other is None:
        return None
    if facts.num_frames == 1:
        return Relate(found, str(rng.choice(RELATIONS)), other)
    name = str(rng.choice(("left of", "right of", "above", "below", "in front of", "behind", "touching")))
    return Relate(found, name, other, "start" if rng.random() < 0.5 else "end")


def _misdescribed(facts: Facts, place: int, rng: Random) -> Expression | None:
    """The words for a thing with one changed to what another thing has."""
    found = list(_filters(described(facts, place, rng)))
    if len(found) < 2:
        return None
    changed = found[int(rng.integers(len(found)))]
    values = sorted({value for each in facts.things for value in each.said[changed.attribute]})
    values = [value for value in values if value != changed.value and _is_spoken(changed.attribute, value)]
    if not values:
        return None
    expression: Expression = Everything()
    for each in found:
        if each is not changed:
            expression = Filter(expression, each.attribute, each.value)
    return Filter(expression, changed.attribute, str(rng.choice(values)))


def _motion(facts: Facts, place: int, rng: Random, nothing: bool) -> Expression | None:
    found = described(facts, place, rng) if rng.random() < 0.7 else Everything()
    if len(denotation(found, facts).possible) < 2 and not nothing:
        return None
    own = sorted({each.kind for each in facts.events if each.thing == place})
    draw = rng.random()
    if draw < 0.08 and not nothing:
        return Superlative(found, "fastest")
    kinds = sorted({each.kind for each in facts.hints}) if nothing else own
    if not kinds:
        return None
    event = str(rng.choice(kinds))
    if event in WITH_ANOTHER:
        others = [each.other for each in facts.events if (each.kind, each.thing) == (event, place)]
        others = [i for i in range(len(facts.things)) if i != place] if nothing else others
        other = unique(facts, int(rng.choice([each for each in others if each is not None])), rng)
        return None if other is None else Did(found, event, other)
    if nothing or event not in _ORDERED or draw < 0.6:
        return Did(found, event)
    return Ordinal(found, event, 1 if rng.random() < 0.7 else -1)


def _reasoning(facts: Facts, place: int, rng: Random, nothing: bool) -> Expression | None:
    names = {each.class_name for each in facts.things}
    if not nothing and rng.random() < 0.2:
        return OddOneOut(str(rng.choice(("class", "colour"))))
    chosen = [name for name, fact in CLASS_FACTS.items() if bool(fact.classes & names) != nothing]
    if not nothing:
        chosen = [name for name in chosen if facts.things[place].class_name in CLASS_FACTS[name].classes]
    if not chosen:
        return None
    colours = [each for each in _filters(described(facts, place, rng)) if each.attribute == "colour"]
    base: Expression = Everything()
    if colours and rng.random() < 0.4:
        base = Filter(base, "colour", colours[0].value)
    return Fits(base, str(rng.choice(chosen)))


_PROPOSALS: MappingProxyType[Kind, Callable[[Facts, int, Random, bool], Expression | None]] = (
    MappingProxyType({"referring": _referring, "motion": _motion, "reasoning": _reasoning})
)
