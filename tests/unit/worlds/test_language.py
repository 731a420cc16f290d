"""Sentences mean what they say on the truth, and nothing of the exam's is used in training."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from segma.worlds.class_facts import CLASS_FACTS, CLASS_NAMES, plural
from segma.worlds.courses import Courses
from segma.worlds.events import KINDS
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
from segma.worlds.facts import Facts, Thing, called_colours, facts_of, with_courses
from segma.worlds.families import FAMILIES, IMAGE_TRAINING, VIDEO_TRAINING, draw_scene
from segma.worlds.language import depends_on_order, draw_sentence, draw_sentences
from segma.worlds.questions import ASKING, draw_questions
from segma.worlds.relations import RELATIONS, SUPERLATIVES, relation
from segma.worlds.render import render
from segma.worlds.reserved import EXAM_STREAM, RESERVED_PAIRS, is_reserved_way
from segma.worlds.scene import CLASSES, COLOURS
from segma.worlds.stream import scenes
from segma.worlds.ways import WAYS, all_ways
from segma.worlds.wording import Wording

from segma.errors import InputError  # isort: skip

Row = tuple[str, str, float, float, float]


def facts(*rows: Row, paths: np.ndarray | None = None) -> Facts:
    """Things as (class, colour, x, y, area) of a picture 1 wide, the first the nearest; or on paths."""
    count = len(rows)
    centres = np.array([row[2:4] for row in rows])[:, None] if paths is None else paths + 0.5
    frames = centres.shape[1]
    areas = np.tile(np.array([row[4] for row in rows])[:, None], (1, frames))
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + np.eye(count)[..., None] * 9
    overlap = np.where(gaps < 0.1, 0.3, 0.0)
    cover = np.where(np.arange(count)[:, None, None] < np.arange(count)[None, :, None], overlap, 0)
    found = Courses(
        areas=areas,
        wholes=areas,
        centres=centres,
        places=centres - 0.5,
        cover=cover,
        overlap=overlap,
        inside=np.zeros_like(gaps),
        touch=gaps < 0.12,
        near=gaps < 0.15,
        steady=np.ones(frames, bool),
    )
    things = tuple(
        Thing(object_id=10 * (i + 1), class_name=name, said=said(name, colour), depth=float(i))
        for i, (name, colour, *_) in enumerate(rows)
    )
    return with_courses(things, found, 12.0)


def said(class_name: str, colours: str) -> dict[str, frozenset[str]]:
    words = {"texture": "plain", "size": "small", "letter": ""}
    one = {key: frozenset({value}) for key, value in words.items()}
    return {"class": frozenset({class_name}), "colour": frozenset(colours.split("/")), **one}


ROOM = (
    ("cup", "red", 0.2, 0.5, 0.02),
    ("cup", "blue", 0.5, 0.5, 0.05),
    ("ring", "red", 0.8, 0.5, 0.02),
    ("fish", "red/pink", 0.5, 0.15, 0.02),
)
CUPS, REDS = Filter(Everything(), "class", "cup"), Filter(Everything(), "colour", "red")
RING, FISH = (Filter(Everything(), "class", name) for name in ("ring", "fish"))


@pytest.mark.parametrize(
    ("expression", "sure", "possible"),
    [
        (Everything(), {0, 1, 2, 3}, {0, 1, 2, 3}),
        (CUPS, {0, 1}, {0, 1}),
        (REDS, {0, 2}, {0, 2, 3}),  # the fish might be called red
        (Filter(CUPS, "colour", "red"), {0}, {0}),
        (Filter(CUPS, "colour", "green"), set(), set()),
        (Relate(CUPS, "left of", RING), {0, 1}, {0, 1}),
        (Relate(Everything(), "above", Filter(CUPS, "colour", "blue")), {3}, {3}),
        (Relate(Everything(), "right of", CUPS), set(), {0, 1, 2, 3}),  # which cup?
        (Relate(Everything(), "larger than", FISH), {1}, {0, 1, 2}),  # the others are about as large
        (Superlative(Everything(), "leftmost"), {0}, {0}),
        (Superlative(CUPS, "largest"), {1}, {1}),
        (Superlative(REDS, "topmost"), set(), {0, 2, 3}),  # only if the fish is red
        (Superlative(Everything(), "smallest"), set(), {0, 2, 3}),
        (Fits(Everything(), "swim"), {3}, {3}),
        (Fits(REDS, "drink"), {0}, {0}),
        (OddOneOut("colour"), set(), {0, 1, 2, 3}),
    ],
)
def test_expressions_mean(expression: Expression, sure: set[int], possible: set[int]) -> None:
    meant = denotation(expression, facts(*ROOM))
    assert meant == Denotation(frozenset(sure), frozenset(possible))


def test_the_odd_one_out() -> None:
    found = facts(*ROOM[:1] * 3, ("cup", "blue", 0.9, 0.9, 0.02))
    assert denotation(OddOneOut("colour"), found).one == 3
    assert denotation(OddOneOut("class"), found).one is None


@pytest.mark.parametrize("name", RELATIONS)
def test_relations_and_their_opposites_agree(name: str) -> None:
    found = facts(*ROOM, ("key", "green", 0.23, 0.53, 0.004))
    opposite = dict(
        zip(
            ("left of", "above", "in front of", "larger than", "touching"),
            ("right of", "below", "behind", "smaller than", "touching"),
            strict=True,
        )
    )
    for i in range(5):
        assert relation(name, found, i, i) is False
        for j in range(5):
            if name in opposite and i != j:
                assert relation(name, found, i, j) == relation(opposite[name], found, j, i)
    assert relation("nearest to", found, 4, 0) and not relation("nearest to", found, 1, 0)
    assert relation("in front of", found, 0, 4) and relation("touching", found, 0, 4)


def race() -> Facts:
    """A red ring that stops, a blue ring that stops later, a red cup that turns back, a cup that goes on."""
    time = np.arange(24)
    x = (
        *(np.minimum(time, 6) * 0.02, 0.1 + np.minimum(time, 15) * 0.02),
        *(0.3 - np.abs(time - 11) * 0.02, 0.1 + time * 0.015),
    )
    rows = (("ring", "red"), ("ring", "blue"), ("cup", "red"), ("cup", "green"))
    paths = np.stack([np.stack([each - 0.4, np.full(24, 0.25 * i - 0.4)], -1) for i, each in enumerate(x)])
    return facts(*[(*row, 0.0, 0.0, 0.01) for row in rows], paths=paths)


@pytest.mark.parametrize(
    ("expression", "place", "text"),
    [
        (Ordinal(RING, "stops", 1), 0, "the ring that stops first"),
        (Ordinal(Everything(), "stops", -1), 1, "the last thing to stop"),
        (Did(CUPS, "turns back"), 2, "the cup that turns back"),
    ],
)
def test_motion_is_in_the_order_of_frames(expression: Expression, place: int, text: str) -> None:
    found = race()
    meant = denotation(expression, found)
    assert meant.one == place
    assert depends_on_order(expression, found, meant)
    words = {Wording(rng=np.random.default_rng(i)).noun_phrase(expression) for i in range(40)}
    assert text in words


def test_what_rests_in_all_orders_is_no_motion_sentence() -> None:
    found = race()
    assert not depends_on_order(RING, found, denotation(RING, found))
    assert denotation(Did(RING, "turns back"), found) == Denotation(frozenset(), frozenset())
    assert denotation(Did(Everything(), "overtakes", CUPS), found).one is None  # which cup?


@pytest.mark.parametrize(
    ("rgb", "drawn", "called"),
    [
        ((200, 20, 20), "red", {"red"}),
        ((20, 30, 200), "blue", {"blue"}),
        ((20, 5, 5), "red", {"red", "black", "grey", "white"}),  # dark: nobody can tell
        ((120, 70, 30), "brown", {"brown"}),
        ((250, 250, 250), "white", {"white"}),
        ((75, 50, 70), "pink", {"pink", "black", "grey", "white"}),  # a dark shape
    ],
)
def test_colours_are_called_as_they_are_seen(rgb: tuple[int, ...], drawn: str, called: set[str]) -> None:
    pixels = np.tile(np.array(rgb, np.uint8), (50, 1))
    assert called_colours(pixels, drawn) == called
    assert called_colours(pixels[:0], drawn) == set(COLOURS)
    mixed = np.concatenate([pixels[:25], np.tile(np.array((10, 200, 10), np.uint8), (25, 1))])
    assert len(called_colours(mixed, drawn)) > 1


@cache
def seen(family: str, seed: int, frames: int) -> Facts:
    return facts_of(render([draw_scene(family, seed, num_frames=frames)], size=48))


CASES = [
    *[(family, 1) for family in ("plain", "crowded", "letters")],
    *[(family, 18) for family in ("race", "errands")],
]


@pytest.mark.parametrize(("family", "frames"), CASES)
@pytest.mark.parametrize("exam", [False, True])
def test_sentences_of_scenes_mean_their_objects(family: str, frames: int, exam: bool) -> None:
    found = seen(family, 2, frames)
    said = draw_sentences(found, np.random.default_rng(3), count=8, exam=exam)
    assert len(said) >= 3
    for each in said:
        meant = denotation(each.expression, found)
        assert meant.is_clear and found.ids(meant.sure) == each.object_ids
        assert re.fullmatch(r"(the|Which is|Point at|I am looking for) [^{}\[\]|<]+", each.text)
        assert exam or not each.reserved
        if each.kind == "motion" and each.object_ids:
            assert depends_on_order(each.expression, found, meant)
    again = draw_sentences(found, np.random.default_rng(3), count=8, exam=exam)
    assert again == said
    assert any(each.reserved for each in said) == exam


@pytest.mark.parametrize(("family", "frames"), CASES)
@pytest.mark.parametrize("exam", [False, True])
def test_questions_of_scenes(family: str, frames: int, exam: bool) -> None:
    found = seen(family, 2, frames)
    asked = draw_questions(found, np.random.default_rng(4), name="a", count=5, exam=exam)
    assert asked
    ids = {each.object_id for each in found.things}
    for each in asked:
        assert each.name == "a" and each.question[-1] in "?." and not re.search(r"[{}\[\]|<]", each.question)
        assert each.choices.count(each.answer) == 1 and len(set(each.choices)) == len(each.choices) > 1
        assert set(each.object_ids) <= ids
        assert all(0 <= start <= stop < frames for start, stop in each.spans_frames)
        assert all(start < stop for start, stop in each.spans_seconds)
        if each.kind == "when":
            assert len(each.spans_frames) == 1


def test_answers_of_a_made_race() -> None:
    asked = {
        each.question: each
        for seed in range(8)
        for each in draw_questions(race(), np.random.default_rng(seed), name="race", count=6)
    }
    order = [each for each in asked.values() if each.kind == "order"]
    assert order and all(re.search(r"\bred\b", each.answer) or "blue" not in each.answer for each in order)
    assert {each.object_ids for each in order} == {(10, 20)}
    when = [
        each for text, each in asked.items() if each.kind == "when" and re.search(r"\bred\b.* stop", text)
    ]
    assert {each.spans_frames for each in when} == {((5, 7),)}
    counted = [each for text, each in asked.items() if each.kind == "how many do" and " stop" in text]
    assert {each.answer for each in counted} == {"2"}


def test_training_uses_no_words_and_no_pairs_of_the_exam() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (name, colour, 0.2 + 0.1 * i, 0.1 * i, 0.02)
        for i, (name, colour) in enumerate(sorted(RESERVED_PAIRS)[:6])
    ]
    found = facts(*rows)
    for _ in range(60):
        one = draw_sentence(found, "referring", rng, nothing=bool(rng.random() < 0.3))
        assert one is None or not one.reserved
        assert one is None or not named_pairs(one.expression) & RESERVED_PAIRS
    assert any(named_pairs(one.expression) & RESERVED_PAIRS for one in exam_sentences(found))
    words = Wording(rng=rng)
    for key in every_key():
        for _ in range(12):
            words.pick(key)
    for key, among in ASKING.items():
        words.pick(key, among)
    assert not words.takes_reserved
    kinds = {key for key, _ in words.used}
    assert set(every_key()) <= kinds


def exam_sentences(found: Facts) -> list:
    drawn = (draw_sentence(found, "referring", np.random.default_rng(i), exam=True) for i in range(40))
    return [each for each in drawn if each is not None]


def every_key() -> list[str]:
    return [*WAYS, *(f"class {name}" for name in CLASSES), *(f"fits {name}" for name in CLASS_FACTS)]


def test_a_third_of_the_ways_are_for_the_exam() -> None:
    places = [i for key in every_key() for i in range(len(all_ways(key)))]
    share = sum(is_reserved_way(place) for place in places) / len(places)
    assert 0.25 < share < 0.34  # some classes have one name only
    assert all(len(WAYS[key]) % 3 == 0 for key in WAYS if key != "one")
    assert all(len(each) == 3 for each in ASKING.values())


def test_scenes_for_training_hold_no_pair_of_the_exam() -> None:
    for family in ("letters", "race"):
        assert family in (*IMAGE_TRAINING, *VIDEO_TRAINING)
        for seed in range(10):
            pairs = {
                (each.class_name, each.attributes.colour)
                for each in draw_scene(family, seed, num_frames=1).wholes
            }
            assert not pairs & RESERVED_PAIRS
    exam = [draw_scene("pairs", seed) for seed in range(6)]
    assert any(
        (one.class_name, one.attributes.colour) in RESERVED_PAIRS for each in exam for one in each.wholes
    )
    assert FAMILIES["pairs"].exam


def test_the_stream_of_the_exam_is_refused() -> None:
    with pytest.raises(InputError, match="exam"):
        scenes(("plain",), EXAM_STREAM)


def test_tables_hold_what_there_is() -> None:
    assert set(CLASS_NAMES) <= set(CLASSES)
    for each in CLASS_FACTS.values():
        assert each.classes and (each.classes | each.perhaps) <= set(CLASSES)
        assert len(each.ways) == 3
    for name in CLASSES:
        assert all(plural(each) for each in all_ways(f"class {name}"))
    assert {f"did {kind}" for kind in KINDS} <= set(WAYS)
    assert {*RELATIONS, *SUPERLATIVES} <= set(WAYS)
    assert all({class_name, colour} & {*CLASSES, *COLOURS} for class_name, colour in RESERVED_PAIRS)


@pytest.mark.parametrize("many", [False, True])
def test_number(many: bool) -> None:
    words = {
        Wording(rng=np.random.default_rng(i)).noun_phrase(Did(CUPS, "stops"), many=many) for i in range(30)
    }
    expected = {"all cups that stop", "the mugs that come to a halt"} if many else {"the mug that stops"}
    assert expected <= words


def test_a_letter_is_named_after_its_noun() -> None:
    seven = Filter(Filter(Everything(), "letter", "7"), "class", "letter")
    words = {Wording(rng=np.random.default_rng(i)).noun_phrase(Ordinal(seven, "stops", 1)) for i in range(30)}
    assert {"the character 7 that stops first", 'the first character "7" to stop'} <= words
    assert all("7" in each for each in words)


def test_parts_of_an_expression() -> None:
    expression = Relate(Filter(CUPS, "colour", "red"), "left of", RING)
    assert len(list(parts_of(expression))) == 6
    assert named_pairs(expression) == {("cup", "red")}


@pytest.mark.parametrize(
    "draw", [draw_sentences, lambda found, rng, count: draw_questions(found, rng, name="", count=count)]
)
def test_a_scene_with_nothing_to_say(draw: Callable[..., tuple[object, ...]]) -> None:
    assert draw(facts(ROOM[0]), np.random.default_rng(0), count=3) == ()
