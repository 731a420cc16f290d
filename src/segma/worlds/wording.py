"""English for expressions, with words drawn from `ways`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from segma.worlds.class_facts import plural
from segma.worlds.expressions import (
    Did,
    Everything,
    Expression,
    Filter,
    Fits,
    OddOneOut,
    Ordinal,
    Relate,
    Superlative,
)
from segma.worlds.reserved import is_reserved_way
from segma.worlds.ways import all_ways

_ONE_OR_MANY = re.compile(r"\[([^|\]]*)\|([^|\]]*)\]")
_ORDER = ("size", "texture", "colour")
_AT_ONCE = ("start", "end")


@dataclass(kw_only=True, slots=True)
class Wording:
    """A choice of words: drawn from `rng`; with those of the exam only if `exam`.

    It notes in `used` which ways it took, as (key, place).
    """

    rng: np.random.Generator
    exam: bool = False
    used: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    def pick(self, key: str, among: tuple[str, ...] = ()) -> str:
        """One of the ways of a key, or of those given for it."""
        found = among or all_ways(key)
        places = [i for i in range(len(found)) if self.exam or not is_reserved_way(i)]
        # the exam takes as many of its own ways as of the others
        weights = np.array([2.0 if is_reserved_way(i) else 1.0 for i in places])
        place = int(self.rng.choice(places, p=weights / weights.sum()))
        self.used.append((key, place))
        return found[place]

    @property
    def takes_reserved(self) -> bool:
        """Whether some of the words are for the exam alone."""
        return any(is_reserved_way(place) for _, place in self.used)

    def noun_phrase(self, expression: Expression, *, many: bool = False) -> str:
        """The expression with its article: "the red ring left of the cup"."""
        if isinstance(expression, OddOneOut):
            return self.pick("odd")
        phrase = self.bare(expression, many=many)
        return numbered(self.pick("many" if many else "one"), many).format(phrase=phrase)

    def bare(self, expression: Expression, *, many: bool = False) -> str:
        """The expression without an article."""
        said = self._said(expression)
        before = [*said.before, *(word for kind in _ORDER for word in said.adjectives.get(kind, ()))]
        noun = (plural(said.noun) if many else said.noun) + said.tag
        if said.around:
            noun = said.around.replace("{noun}", " ".join([*before, noun]))
            before = []
        text = " ".join([*before, noun, *said.after])
        return numbered(text, many)

    def _said(self, expression: Expression) -> _Said:
        match expression:
            case Everything() | OddOneOut():
                return _Said(noun=self.pick("thing"))
            case Filter(of, attribute, value):
                return self._filtered(self._said(of), attribute, value)
            case Relate(of, name, to, when):
                way = self.pick(name).replace("{other}", self.noun_phrase(to))
                at = f" at the {when}" if when in _AT_ONCE else ""
                return self._with(self._said(of), way + at)
            case Superlative(of, which, when):
                return self._with(self._said(of), self.pick(which if when == "now" else f"{when} {which}"))
            case Did(of, event, other):
                way = self.pick(f"did {event}")
                named = "something" if other is None else self.noun_phrase(other)
                return self._with(self._said(of), way.replace("{other}", named))
            case Ordinal(of, event, number):
                return self._with(self._said(of), self.pick(f"{'first' if number > 0 else 'last'} {event}"))
            case Fits(of, fact):
                return self._with(self._said(of), self.pick(f"fits {fact}"))

    def _filtered(self, said: _Said, attribute: str, value: str) -> _Said:
        if attribute == "class":
            said.noun = self.pick(f"class {value}")
        elif attribute == "letter":
            said.tag = " " + self.pick("letter").replace("{value}", value)
        else:
            way = self.pick("said colour" if attribute == "colour" else f"{attribute} {value}")
            way = way.replace("{value}", value)
            if way.startswith("with "):
                said.after.append(way)
            else:
                said.adjectives.setdefault(attribute, []).append(way)
        return said

    def _with(self, said: _Said, way: str) -> _Said:
        if not way.startswith("<"):
            said.after.append(way)
        elif "{noun}" in way:
            said.around = way[1:]
        else:
            said.before.append(way[1:])
        return said


@dataclass(kw_only=True, slots=True)
class _Said:
    """A phrase while it grows: words before the noun, the noun with which one it is, words after it."""

    noun: str
    tag: str = ""
    before: list[str] = field(default_factory=list[str])
    adjectives: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    after: list[str] = field(default_factory=list[str])
    around: str = ""


def numbered(text: str, many: bool) -> str:
    """The text with "[a|b]" resolved."""
    return _ONE_OR_MANY.sub(lambda found: found[2 if many else 1], text)


def sentence_case(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]
