"""Meanings as small trees: what an expression denotes on the facts of a scene.

Denotations know doubt: `sure` are the things that are meant for certain, `possible` those that might be. Only
where both are the same is it fit for a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

from segma.worlds.class_facts import CLASS_FACTS
from segma.worlds.events import WITH_ANOTHER, Event
from segma.worlds.facts import Facts
from segma.worlds.relations import relation, score

When = Literal["now", "start", "end"]
_AHEAD = 2  # frames by which something happens before something else


@dataclass(frozen=True, slots=True)
class Everything:
    """All wholes that are seen."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Those of which `attribute` (one of `facts.ATTRIBUTES`) is `value`."""

    of: Expression
    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class Relate:
    """Those in a relation (of `relations.RELATIONS`) to the one thing that `to` means."""

    of: Expression
    name: str
    to: Expression
    when: When = "now"


@dataclass(frozen=True, slots=True)
class Superlative:
    """The one that has most of something (of `relations.SUPERLATIVES`)."""

    of: Expression
    which: str
    when: When = "now"


@dataclass(frozen=True, slots=True)
class Did:
    """Those that do something (of `events.KINDS`), with or to the one thing that `other` means."""

    of: Expression
    event: str
    other: Expression | None = None


@dataclass(frozen=True, slots=True)
class Ordinal:
    """The one that is the first (1), second (2) or last (-1) of all those to do something."""

    of: Expression
    event: str
    number: int


@dataclass(frozen=True, slots=True)
class OddOneOut:
    """The one thing that differs in an attribute, where all others are alike (four at least)."""

    attribute: str


@dataclass(frozen=True, slots=True)
class Fits:
    """Those of a class that a fact (of `class_facts.CLASS_FACTS`) is known to be true of."""

    of: Expression
    fact: str


Expression = Everything | Filter | Relate | Superlative | Did | Ordinal | OddOneOut | Fits


@dataclass(frozen=True, slots=True)
class Denotation:
    """Places of things in `Facts.things`: those meant for sure, and those perhaps meant (these and more)."""

    sure: frozenset[int]
    possible: frozenset[int]

    @property
    def is_clear(self) -> bool:
        """Whether nothing is in doubt."""
        return self.sure == self.possible

    @property
    def one(self) -> int | None:
        """The one thing that is meant, if it is one and clear."""
        return next(iter(self.sure)) if self.is_clear and len(self.sure) == 1 else None


def denotation(expression: Expression, facts: Facts) -> Denotation:
    """What an expression means."""
    match expression:
        case Everything():
            every = frozenset(range(len(facts.things)))
            return Denotation(every, every)
        case Filter(of, attribute, value):
            answers = {i: each.is_called(attribute, value) for i, each in enumerate(facts.things)}
            return _those(denotation(of, facts), answers)
        case Relate(of, name, to, when):
            other, frame = denotation(to, facts).one, _frame(when, facts)
            known = range(len(facts.things))
            asked = {i: None if other is None else relation(name, facts, i, other, frame) for i in known}
            return _those(denotation(of, facts), asked)
        case Superlative(of, which, when):
            return _most(denotation(of, facts), which, _frame(when, facts), facts)
        case Did(of, event, other):
            return _did(denotation(of, facts), event, other, facts)
        case Ordinal(of, event, number):
            return _in_order(denotation(of, facts), event, number, facts)
        case OddOneOut(attribute):
            return _odd(attribute, facts)
        case Fits(of, fact):
            return _those(denotation(of, facts), _fitting(fact, facts))


def parts_of(expression: Expression) -> Iterator[Expression]:
    """The expression and all below it."""
    yield expression
    for each in fields(expression):
        below = getattr(expression, each.name)
        if isinstance(below, Expression):
            yield from parts_of(below)


def named_pairs(expression: Expression) -> frozenset[tuple[str, str]]:
    """Classes and colours that are said of the same thing anywhere in an expression."""
    found: set[tuple[str, str]] = set()
    for part in parts_of(expression):
        words: dict[str, str] = {}
        chain: Expression | None = part
        while chain is not None:
            if isinstance(chain, Filter):
                words[chain.attribute] = chain.value
            chain = getattr(chain, "of", None)
        if "class" in words and "colour" in words:
            found.add((words["class"], words["colour"]))
    return frozenset(found)


def _frame(when: When, facts: Facts) -> int:
    return facts.num_frames - 1 if when == "end" else 0


def _those(of: Denotation, answers: dict[int, bool | None]) -> Denotation:
    sure = frozenset(i for i in of.sure if answers[i] is True)
    return Denotation(sure, frozenset(i for i in of.possible if answers[i] is not False))


def _most(of: Denotation, which: str, frame: int, facts: Facts) -> Denotation:
    """The thing ahead of all others; all that might be where none is clearly."""
    seen = facts.courses.areas[:, frame] > 0
    if which != "fastest" and not all(seen[i] for i in of.possible):
        of = Denotation(
            frozenset(i for i in of.sure if seen[i]), frozenset(i for i in of.possible if seen[i])
        )
    if not of.possible:
        return of
    scores = {i: score(which, facts, i, frame) for i in of.possible}
    best = max((scores[i][0] for i in of.sure), default=float("-inf"))
    margin = max(each[1] for each in scores.values())
    first = frozenset(i for i in of.possible if scores[i][0] >= best - margin)
    return Denotation(first & of.sure if len(first) == 1 else frozenset(), first)


def _did(of: Denotation, event: str, other: Expression | None, facts: Facts) -> Denotation:
    if other is None:
        done = {each.thing for each in facts.events if each.kind == event}
        maybe = {each.thing for each in facts.hints if each.kind == event}
    else:
        meant = denotation(other, facts).one
        if meant is None or event not in WITH_ANOTHER:
            return Denotation(frozenset(), of.possible)
        done = {each.thing for each in facts.events if (each.kind, each.other) == (event, meant)}
        maybe = {each.thing for each in facts.hints if (each.kind, each.other) == (event, meant)}
    return Denotation(of.sure & done, of.possible & maybe)


def _in_order(of: Denotation, event: str, number: int, facts: Facts) -> Denotation:
    """The thing whose first such event comes at a place in their order; each must be clear, and apart."""
    maybe = {each.thing for each in facts.hints if each.kind == event} & of.possible
    times = first_times(facts.events, event)
    clear = [i for i in maybe if i in times and i in of.sure]
    order = sorted(clear, key=lambda i: times[i])
    if len(clear) < max(2, number) or len(clear) < len(maybe):
        return Denotation(frozenset(), frozenset(maybe))
    place = number - 1 if number > 0 else len(order) + number
    chosen = order[place]
    beside = [i for i in order[max(0, place - 1) : place + 2] if i != chosen]
    if any(abs(times[i] - times[chosen]) < _AHEAD for i in beside):
        return Denotation(frozenset(), frozenset({chosen, *beside}))
    return Denotation(frozenset({chosen}), frozenset({chosen}))


def first_times(events: tuple[Event, ...], kind: str) -> dict[int, int]:
    """When each thing first does something."""
    found: dict[int, int] = {}
    for each in events:
        if each.kind == kind:
            found.setdefault(each.thing, each.frame)
    return found


def _odd(attribute: str, facts: Facts) -> Denotation:
    every = frozenset(range(len(facts.things)))
    values = [each.said[attribute] for each in facts.things]
    if len(values) < 4 or any(len(each) != 1 for each in values):
        return Denotation(frozenset(), every)
    rare = [i for i, each in enumerate(values) if values.count(each) == 1]
    if len(rare) == 1 and len(set(values)) == 2:
        return Denotation(frozenset(rare), frozenset(rare))
    return Denotation(frozenset(), every)


def _fitting(fact: str, facts: Facts) -> dict[int, bool | None]:
    known = CLASS_FACTS[fact]
    found: dict[int, bool | None] = {}
    for i, each in enumerate(facts.things):
        doubtful = each.class_name in known.perhaps or len(each.said["class"]) > 1
        found[i] = (
            None if doubtful and each.class_name not in known.classes else each.class_name in known.classes
        )
    return found
