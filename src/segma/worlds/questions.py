"""Questions about a scene with their answers, wrong choices, and the frames that one must look at.

What a question speaks of is named so that it is one thing beyond doubt; an answer is given only where the
facts leave none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from segma.samples import QuestionSample
from segma.worlds.class_facts import class_names
from segma.worlds.events import WITH_ANOTHER, Event
from segma.worlds.expressions import (
    Did,
    Everything,
    Expression,
    Filter,
    Relate,
    denotation,
    first_times,
)
from segma.worlds.facts import Facts
from segma.worlds.language import Random, described, holds_reserved_pair, unique
from segma.worlds.reserved import is_reserved_pair
from segma.worlds.scene import CLASSES, COLOURS
from segma.worlds.wording import Wording, numbered, sentence_case

QuestionKind = Literal["count", "exists", "colour", "what", "where", "when", "order", "after", "how many do"]
ON_IMAGES: tuple[QuestionKind, ...] = ("count", "exists", "colour", "what", "where")
ON_CLIPS: tuple[QuestionKind, ...] = (
    *("count", "colour", "when", "when", "order", "order", "after", "after", "how many do"),
)
_TRIES = 30
_CHOICES = 4
_PLACES = ("upper left", "upper right", "lower left", "lower right")
_ONE_SIDED = ("left of", "right of", "above", "below", "nearest to")
_ALONE: Mapping[str, str] = MappingProxyType(
    {
        "starts": "[starts|start] to move",
        "stops": "[stops|stop]",
        "turns back": "[turns|turn] back",
        "leaves": "[leaves|leave] the picture",
        "returns": "[comes|come] back into the picture",
    }
)
"""What one thing can do by itself, as [it does|they do]."""
ASKING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "count": (
            "How many {things} are there?",
            "How many {things} can you see?",
            "What is the number of {things}?",
        ),
        "exists": ("Is there any {thing}?", "Can you see any {thing}?", "Does any {thing} occur?"),
        "colour": (
            "What colour is {subject}?",
            "Which colour does {subject} have?",
            "In what colour is {subject}?",
        ),
        "what": (
            "What is {relation}?",
            "Which kind of thing is {relation}?",
            "Name the thing that is {relation}.",
        ),
        "where": (
            "In which quarter of the picture is {subject}?",
            "Where is {subject}?",
            "Which quarter of the picture holds {subject}?",
        ),
        "when": (
            "When does {subject} {do}?",
            "At what time does {subject} {do}?",
            "During which seconds does {subject} {do}?",
        ),
        "order": (
            "Which is the first to {do}, {subject} or {other}?",
            "Does {subject} or {other} {do} earlier?",
            "Of {subject} and {other}, which is sooner to {do}?",
        ),
        "after": (
            "What happens right after {subject} {does}?",
            "What is the next thing to happen once {subject} {does}?",
            "{subject} {does}: what comes next?",
        ),
        "how many do": (
            "How many things {do}?",
            "How many of the things {do}?",
            "What is the number of things that {do}?",
        ),
    }
)
"""Ways to ask; every third one is for the exam."""


def draw_questions(
    facts: Facts, rng: Random, *, name: str, count: int, exam: bool = False
) -> tuple[QuestionSample, ...]:
    """Up to `count` different questions about a scene that goes by `name`.

    Without `exam` no paraphrase and no pair of the exam is used.
    """
    kinds = ON_IMAGES if facts.num_frames == 1 else ON_CLIPS
    found: dict[tuple[object, ...], QuestionSample] = {}
    for _ in range(3 * count if len(facts.things) > 1 else 0):
        one = draw_question(facts, kinds[int(rng.integers(len(kinds)))], rng, name=name, exam=exam)
        if one is not None:
            found.setdefault((one.kind, one.answer, one.object_ids, one.spans_frames), one)
        if len(found) == count:
            break
    return tuple(found.values())


def draw_question(
    facts: Facts, kind: QuestionKind, rng: Random, *, name: str, exam: bool = False
) -> QuestionSample | None:
    """A question of a kind; None where a number of tries found none with an answer beyond doubt."""
    for _ in range(_TRIES):
        draft = _DRAFTS[kind](_Asker(facts=facts, name=name, rng=rng, exam=exam), kind)
        if draft is not None:
            return draft
    return None


class _Asker:
    """What the drafts of questions share: facts, words, choices."""

    def __init__(self, *, facts: Facts, name: str, rng: Random, exam: bool) -> None:
        self.facts, self.name, self.rng, self.exam = facts, name, rng, exam
        self.words = Wording(rng=rng, exam=exam)

    def thing(self) -> int:
        return int(self.rng.integers(len(self.facts.things)))

    def subject(self, place: int, *, without: str = "") -> Expression | None:
        """A thing by what only it has, leaving an attribute out."""
        found = unique(self.facts, place, self.rng)
        if found is None or (not self.exam and holds_reserved_pair(found)):
            return None
        parts, chain = [found], found
        while isinstance(chain, Filter):
            chain = chain.of
            parts.append(chain)
        named = {part.attribute for part in parts if isinstance(part, Filter)}
        return None if without in named else found

    def asked(
        self,
        kind: str,
        said: Mapping[str, str],
        answer: str,
        wrong: Sequence[str],
        *,
        places: Sequence[int] = (),
        spans: Sequence[tuple[int, int]] = (),
    ) -> QuestionSample:
        """The question with its choices in a drawn order."""
        text = self.words.pick(kind, ASKING[kind])
        for key, value in said.items():
            text = text.replace(f"{{{key}}}", value)
        others: list[str] = sorted(set(wrong) - {answer})
        few = [others[int(i)] for i in self.rng.permutation(len(others))[: _CHOICES - 1]]
        order = self.rng.permutation(len(few) + 1) if few else ()
        choices = tuple([answer, *few][int(i)] for i in order)
        fps = self.facts.fps
        return QuestionSample(
            name=self.name,
            question=sentence_case(text),
            answer=answer,
            kind=kind,
            choices=choices,
            object_ids=tuple(self.facts.things[place].object_id for place in places),
            spans_seconds=tuple((round(start / fps, 3), round((stop + 1) / fps, 3)) for start, stop in spans),
            spans_frames=tuple(spans),
        )


_Draft = Callable[[_Asker, str], QuestionSample | None]


def _numbers(right: int) -> list[str]:
    return [str(max(0, right + step)) for step in (-2, -1, 1, 2, 3)]


def _count(asker: _Asker, kind: str) -> QuestionSample | None:
    expression = described(asker.facts, asker.thing(), asker.rng)
    meant = denotation(expression, asker.facts)
    is_pair = not asker.exam and holds_reserved_pair(expression)
    if not isinstance(expression, Filter) or "letter" in str(expression) or not meant.is_clear or is_pair:
        return None
    things = asker.words.bare(expression, many=True)
    return asker.asked(
        kind, {"things": things}, str(len(meant.sure)), _numbers(len(meant.sure)), places=sorted(meant.sure)
    )


def _exists(asker: _Asker, kind: str) -> QuestionSample | None:
    colours = sorted({value for each in asker.facts.things for value in each.said["colour"]})
    classes = sorted({each.class_name for each in asker.facts.things})
    colour, class_name = str(asker.rng.choice(colours)), str(asker.rng.choice(classes))
    if not asker.exam and is_reserved_pair(class_name, colour):
        return None
    expression = Filter(Filter(Everything(), "class", class_name), "colour", colour)
    meant = denotation(expression, asker.facts)
    if bool(meant.sure) != bool(meant.possible):
        return None
    answer = "yes" if meant.sure else "no"
    thing = asker.words.bare(expression)
    return asker.asked(kind, {"thing": thing}, answer, ("yes", "no"), places=sorted(meant.sure))


def _colour(asker: _Asker, kind: str) -> QuestionSample | None:
    place = asker.thing()
    values = asker.facts.things[place].said["colour"]
    subject = asker.subject(place, without="colour")
    if subject is None or len(values) != 1:
        return None
    (answer,) = values
    if not asker.exam and is_reserved_pair(asker.facts.things[place].class_name, answer):
        return None
    return asker.asked(kind, {"subject": asker.words.noun_phrase(subject)}, answer, COLOURS, places=[place])


def _what(asker: _Asker, kind: str) -> QuestionSample | None:
    other = asker.subject(asker.thing())
    if other is None:
        return None
    relation = str(asker.rng.choice(_ONE_SIDED))
    place = denotation(Relate(Everything(), relation, other), asker.facts).one
    if place is None or len(asker.facts.things[place].said["class"]) > 1:
        return None
    way = numbered(asker.words.pick(relation).replace("{other}", asker.words.noun_phrase(other)), False)
    answer = class_names(asker.facts.things[place].class_name)[0]
    present = [class_names(each.class_name)[0] for each in asker.facts.things]
    absent = [class_names(str(each))[0] for each in asker.rng.permutation(CLASSES)[:3]]
    return asker.asked(
        kind,
        {"relation": way},
        answer,
        [*present, *absent],
        places=[place],
    )


def _where(asker: _Asker, kind: str) -> QuestionSample | None:
    place = asker.thing()
    subject = asker.subject(place)
    x, y = (float(each) - 0.5 for each in asker.facts.courses.centres[place, 0])
    if subject is None or min(abs(x), abs(y)) < 0.08:
        return None
    answer = _PLACES[2 * (y > 0) + (x > 0)]
    return asker.asked(kind, {"subject": asker.words.noun_phrase(subject)}, answer, _PLACES, places=[place])


def _single_events(facts: Facts) -> list[Event]:
    """Events that a thing does by itself, once, without another time that might be taken for it."""
    found: list[Event] = []
    for each in facts.events:
        alike = [one for one in facts.hints if (one.kind, one.thing) == (each.kind, each.thing)]
        if each.kind not in WITH_ANOTHER and len(alike) == 1:
            found.append(each)
    return found


def _event(asker: _Asker) -> Event | None:
    found = _single_events(asker.facts)
    return found[int(asker.rng.integers(len(found)))] if found else None


def _when(asker: _Asker, kind: str) -> QuestionSample | None:
    event = _event(asker)
    subject = None if event is None else asker.subject(event.thing)
    if event is None or subject is None:
        return None
    said = {"subject": asker.words.noun_phrase(subject), "do": numbered(_ALONE[event.kind], True)}
    stop = min(event.stop, asker.facts.num_frames - 1)
    answer = _seconds(event.start, stop, asker.facts.fps)
    length, last = stop - event.start, asker.facts.num_frames - 1
    starts = [start for start in range(0, last - length + 1, 2) if abs(start - event.start) > length // 2 + 1]
    wrong = [_seconds(start, start + length, asker.facts.fps) for start in starts]
    return asker.asked(kind, said, answer, wrong, places=[event.thing], spans=[(event.start, stop)])


def _seconds(start: int, stop: int, fps: float) -> str:
    return f"from {start / fps:.1f} to {(stop + 1) / fps:.1f} seconds"


def _order(asker: _Asker, kind: str) -> QuestionSample | None:
    singles = {(each.kind, each.thing): each for each in _single_events(asker.facts)}
    event = _event(asker)
    if event is None:
        return None
    others = [
        each for each in singles.values() if each.kind == event.kind and abs(each.frame - event.frame) > 2
    ]
    if not others:
        return None
    other = others[int(asker.rng.integers(len(others)))]
    subjects = [asker.subject(each.thing) for each in (event, other)]
    if subjects[0] is None or subjects[1] is None:
        return None
    names = [asker.words.noun_phrase(each) for each in subjects if each is not None]
    said = {"subject": names[0], "other": names[1], "do": numbered(_ALONE[event.kind], True)}
    answer = names[0] if event.frame < other.frame else names[1]
    both = sorted((event, other), key=lambda each: each.frame)
    spans = [(each.start, min(each.stop, asker.facts.num_frames - 1)) for each in both]
    return asker.asked(kind, said, answer, names, places=[each.thing for each in both], spans=spans)


def _after(asker: _Asker, kind: str) -> QuestionSample | None:
    """What follows an event: the next one, where nothing doubtful comes between or close after."""
    first = _event(asker)
    if first is None:
        return None
    later = [each for each in asker.facts.hints if each.frame > first.frame and each != first]
    beside = [each for each in asker.facts.hints if abs(each.frame - first.frame) < 2 and each != first]
    singles = [each for each in _single_events(asker.facts) if each.frame >= first.frame + 2]
    if not singles or beside:
        return None
    second = singles[0]
    doubtful = [each for each in later if each.frame < second.frame + 2 and _differs(each, second)]
    subjects = [asker.subject(each.thing) for each in (first, second)]
    if doubtful or subjects[0] is None or subjects[1] is None:
        return None
    does = [numbered(_ALONE[each.kind], False) for each in (first, second)]
    names = [asker.words.noun_phrase(each) for each in subjects if each is not None]
    wrong = [f"{name} {numbered(way, False)}" for name in names for way in _ALONE.values()]
    wrong = [each for each in wrong if each != f"{names[0]} {does[0]}"]
    spans = [(each.start, min(each.stop, asker.facts.num_frames - 1)) for each in (first, second)]
    said = {"subject": names[0], "does": does[0]}
    places = [first.thing, second.thing]
    return asker.asked(kind, said, f"{names[1]} {does[1]}", wrong, places=places, spans=spans)


def _differs(event: Event, other: Event) -> bool:
    return (event.kind, event.thing) != (other.kind, other.thing)


def _how_many_do(asker: _Asker, kind: str) -> QuestionSample | None:
    event = str(asker.rng.choice(sorted(_ALONE)))
    meant = denotation(Did(Everything(), event), asker.facts)
    if not meant.is_clear:
        return None
    times = first_times(asker.facts.events, event)
    spans = sorted(
        (each.start, min(each.stop, asker.facts.num_frames - 1))
        for each in asker.facts.events
        if each.kind == event and times[each.thing] == each.frame
    )
    said = {"do": numbered(_ALONE[event], True)}
    count = len(meant.sure)
    if not count and asker.rng.random() < 0.8:
        return None  # most things do not happen
    return asker.asked(kind, said, str(count), _numbers(count), places=sorted(meant.sure), spans=spans)


_DRAFTS: MappingProxyType[str, _Draft] = MappingProxyType(
    {
        **{"count": _count, "exists": _exists, "colour": _colour, "what": _what, "where": _where},
        **{"when": _when, "order": _order, "after": _after, "how many do": _how_many_do},
    }
)
