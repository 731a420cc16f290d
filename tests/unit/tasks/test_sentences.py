"""Sentences: words to ids, classes by name, and clear errors for what is not known."""

from __future__ import annotations

import pytest

from segma.errors import InputError
from segma.models.omnitokenizer.gpt import Gpt
from segma.models.omnitokenizer.gpt_config import VARIANTS
from segma.tasks.sentences import label_of, word_ids

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
