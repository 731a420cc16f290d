"""Sentences: words to ids, classes by name, and clear errors for what is not known."""

from __future__ import annotations

import pytest
from stubs.generators import PICTURES, PLAIN, toy_gpt

from segma.errors import InputError
from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import VARIANTS
from segma.tasks.sentences import class_label, label_of, word_ids

CONFIG = VARIANTS["omnitokenizer_gpt_small"]
SPEC = Gpt(CONFIG).generator_spec


def said(sentence: str) -> list[str]:
    return [CONFIG.words[number - 1] for number in word_ids(SPEC, sentence)]


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("a red star on wood", ["red", "star", "on", "wood"]),
        ("A Red star, on the wood.", ["red", "star", "on", "wood"]),
        ("an orange letter A", ["orange", "letter", "A"]),
        ("the letter k", ["letter", "K"]),
        ("A", ["A"]),
    ],
)
def test_articles_capitals_and_points_do_not_count_but_letters_do(sentence: str, words: list[str]) -> None:
    assert said(sentence) == words


def test_a_class_is_the_sentence_of_its_name() -> None:
    star = CONFIG.class_names.index("star")
    wanted = word_ids(SPEC, "a star")
    assert label_of(SPEC, star) == label_of(SPEC, "star") == label_of(SPEC, str(star)) == wanted
    assert label_of(SPEC, None) == ()
    assert label_of(SPEC, wanted) == wanted


def test_a_class_is_asked_for_by_number_or_name_and_never_by_a_sentence() -> None:
    seven = word_ids(SPEC, CONFIG.class_names[7])
    assert class_label(SPEC, 7) == class_label(SPEC, "7") == class_label(SPEC, CONFIG.class_names[7]) == seven
    assert word_ids(SPEC, "7") == (CONFIG.words.index("7") + 1,) != seven
    assert class_label(SPEC, None) == ()
    for given in ("a star", "red star", "40", "-1", "\u0663"):
        with pytest.raises(InputError, match="No class"):
            class_label(SPEC, given)
    named, nameless = toy_gpt(PICTURES).generator_spec, toy_gpt(PLAIN).generator_spec
    assert class_label(named, "ball") == class_label(named, "1") == class_label(named, 1) == 1
    assert class_label(nameless, None) is None
    with pytest.raises(InputError, match="asks for a class"):
        class_label(named, None)
    with pytest.raises(InputError, match="knows no classes"):
        class_label(nameless, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("a red staar", 'No word "staar". Near: star'),
        ("", "without words"),
        ("a the an", "without words"),
        ("red " * 11 + "star", "12 words, expected 10 at most"),
        ("x" * 10_000, "No word"),
        (40, "No class 40"),
        ((0, 3), "no ids of words"),
        ((1,) * 11, "no ids of words"),
    ],
)
def test_what_is_not_known_is_told(given: object, told: str) -> None:
    with pytest.raises(InputError) as caught:
        label_of(SPEC, given)  # type: ignore[arg-type]
    assert told in str(caught.value) and len(str(caught.value)) < 300
