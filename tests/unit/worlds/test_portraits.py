"""Portraits: one thing, words that are true of it, and nothing that is the exam's."""

from __future__ import annotations

import numpy as np

from segma.models.omnitokenizer.gpt_words import CLASSES as KNOWN_CLASSES
from segma.models.omnitokenizer.gpt_words import WORDS
from segma.worlds.portraits import MATERIALS, class_sentence, draw_portrait, draw_sentence, vocabulary
from segma.worlds.render import render
from segma.worlds.reserved import RESERVED_PAIRS
from segma.worlds.scene import CLASSES, COLOURS


def test_a_seed_gives_the_same_portrait_and_another_one_another() -> None:
    assert draw_portrait(3) == draw_portrait(3)
    assert draw_portrait(3).scene.digest() != draw_portrait(4).scene.digest()
    assert draw_portrait(3, "star").class_name == "star"


def test_portraits_keep_away_from_the_pairs_of_the_exam() -> None:
    names = sorted({name for name, _ in RESERVED_PAIRS})
    drawn = [draw_portrait(seed, names[seed % len(names)]) for seed in range(150)]
    pairs = {(each.class_name, each.thing.attributes.colour) for each in drawn}
    assert len(pairs) > 80 and not pairs & RESERVED_PAIRS


def test_the_thing_is_seen_whole_and_differs_from_its_ground() -> None:
    drawn = [draw_portrait(seed) for seed in range(12)]
    rendered = render([each.scene for each in drawn], size=64, at_once=4)
    for number, each in enumerate(drawn):
        mask = rendered.visible(number)[0, 0]
        assert 0.005 < float(mask.float().mean()) < 0.6
        hidden = MATERIALS.get(each.ground, (each.ground, ""))[0]
        assert each.thing.attributes.colour != hidden


def test_sentences_say_what_is_true_in_known_words() -> None:
    rng = np.random.default_rng(0)
    known = {*WORDS, "a", "an"}
    lengths: set[int] = set()
    for seed in range(200):
        portrait = draw_portrait(seed)
        words = draw_sentence(portrait, rng).split()
        lengths.add(len(words))
        assert set(words) <= known
        said = words[: words.index("on")] if "on" in words else words
        looks = portrait.thing.attributes
        assert set(said) & set(COLOURS) <= {looks.colour, *({"orange"} & {looks.colour})}
        if "on" in words:
            assert words[-1] == portrait.ground
    assert max(lengths) <= 11 and min(lengths) <= 2  # ten words and an article


def test_the_generators_words_and_classes_are_those_of_worlds() -> None:
    assert set(vocabulary()) <= set(WORDS) and len(set(WORDS)) == len(WORDS)
    assert KNOWN_CLASSES == CLASSES
    assert class_sentence("umbrella") == "an umbrella" and class_sentence("glasses") == "glasses"
