"""What a generator is asked for: a class, or a sentence of words that it knows."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from segma.errors import InputError
from segma.models.interfaces import GeneratorSpec

Label = int | tuple[int, ...] | None
"""A class, the ids of words, or nothing."""

_ARTICLES = ("a", "an", "the")
_NEAR, _SHOWN = 3, 12


def word_ids(spec: GeneratorSpec, sentence: str) -> tuple[int, ...]:
    """The ids of the words of a sentence, which begin at 1. Articles are left out, as no picture shows them.

    Raises InputError for words that the generator does not know, which names near ones, for more than it has
    places for, and for none.
    """
    known = {word: number for number, word in enumerate(spec.words, 1)}
    given = [word.strip(".,;:!?\"'()") for word in sentence.split()]
    given = [word for word in given if word]
    found: list[int] = []
    for place, word in enumerate(given):
        # "A" may be a letter, but not at the beginning of more words
        begins = place == 0 and len(given) > 1
        if word in _ARTICLES or (begins and word.lower() in _ARTICLES):
            continue
        forms = [form for form in (word, word.lower(), word.upper()) if form in known]
        if not forms:
            raise InputError("input.value", f'No word "{word[:60]}".', _near(spec, word))
        found.append(known[forms[0]])
    if not found:
        raise InputError("input.value", "A sentence without words.", f"For example: {_example(spec)}.")
    if len(found) > spec.sentence:
        text = f"{len(found)} words, expected {spec.sentence} at most."
        raise InputError("input.value", text, "Say it in fewer words.")
    return tuple(found)


def sentences(spec: GeneratorSpec, words: Sequence[tuple[int, ...]]) -> Int[Tensor, "batch sentence"]:
    """The ids of words, and zeros in the places after them."""
    found = torch.zeros(len(words), spec.sentence, dtype=torch.long)
    for row, each in zip(found, words, strict=True):
        row[: len(each)] = torch.tensor(each, dtype=torch.long)
    return found


def class_words(spec: GeneratorSpec, number: int) -> tuple[int, ...]:
    """The words that ask for a class: its name. Raises as `word_ids`."""
    return word_ids(spec, spec.class_names[number])


def label_of(spec: GeneratorSpec, given: int | str | tuple[int, ...] | None) -> Label:
    """What a generator is asked for: the number of a class, given so or by its name, or ids of words.

    A text that is no class is a sentence where the generator knows words; there nothing may be asked for,
    too. Raises InputError for a class that there is not, where one is given or lacking against the model, and
    as `word_ids`.
    """
    if spec.words:
        return _worded(spec, given)
    if isinstance(given, tuple):
        raise InputError("input.value", "This generator knows no words.", "Ask for a class.")
    if not spec.num_classes:
        if given is not None:
            raise InputError("input.value", "This generator knows no classes.", "Leave the class out.")
        return None
    if given is None:
        raise InputError("input.value", "This generator asks for a class.", f"Name one: {_classes(spec)}.")
    return _class_of(spec, given)


def class_label(spec: GeneratorSpec, given: int | str | None) -> Label:
    """What asks for a class, by number or name, and for no sentence. Raises InputError."""
    if not spec.words or given is None:
        return label_of(spec, given)
    return class_words(spec, _class_of(spec, given))


def _worded(spec: GeneratorSpec, given: int | str | tuple[int, ...] | None) -> tuple[int, ...]:
    if given is None:
        return ()
    if isinstance(given, tuple):
        if len(given) > spec.sentence or not all(1 <= word <= len(spec.words) for word in given):
            raise InputError("input.value", f"{given} are no ids of words of this generator.")
        return given
    if isinstance(given, str) and not given.isdecimal():
        return word_ids(spec, given)
    return class_words(spec, _class_of(spec, given))


def _class_of(spec: GeneratorSpec, given: int | str) -> int:
    if isinstance(given, str) and given in spec.class_names:
        return spec.class_names.index(given)
    number = int(given) if isinstance(given, int) or (given.isascii() and given.isdecimal()) else -1
    if not 0 <= number < spec.num_classes:
        raise InputError("input.value", f"No class {given}.", f"There is {_classes(spec)}.")
    return number


def _classes(spec: GeneratorSpec) -> str:
    known = f"a number from 0 to {spec.num_classes - 1}"
    if spec.class_names:
        shown = ", ".join(spec.class_names[:_SHOWN]) + (", ..." if len(spec.class_names) > _SHOWN else "")
        known = f"{known}, or a name: {shown}"
    return known


def _near(spec: GeneratorSpec, word: str) -> str:
    near = difflib.get_close_matches(word.lower(), spec.words, n=_NEAR, cutoff=0.0)
    return f"Near: {', '.join(near)}. For example: {_example(spec)}."


def _example(spec: GeneratorSpec) -> str:
    return f"a {spec.class_names[0]}" if spec.class_names else spec.words[0]
