"""What the layouts of all systems share: renaming by rules, prefixes of training programs, counting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")
Shape = tuple[int, ...]
Rules = tuple[tuple[re.Pattern[str], str], ...]


def compile_rules(pairs: Iterable[tuple[str, str]]) -> tuple[Rules, Rules]:
    """Rules from the first naming to the second, and back.

    Each pair holds beginnings of names; <n> is a number, and <w> a word without a point. The first that fits
    is used.
    """
    pairs = tuple(pairs)
    return tuple(_rule(ours, theirs) for ours, theirs in pairs), tuple(
        _rule(theirs, ours) for ours, theirs in pairs
    )


def rename(name: str, rules: Rules) -> str:
    """The name with its beginning replaced; as it is when no rule fits."""
    for pattern, target in rules:
        match = pattern.match(name)
        if match:
            return match.expand(target) + name[match.end() :]
    return name


def strip_prefixes(state: Mapping[str, T], prefixes: tuple[str, ...]) -> dict[str, T]:
    """The same entries without these prefixes, one after the other. Each ends in a point.

    A name that would meet another one keeps its prefix.
    """
    stripped: dict[str, T] = {}
    for name, value in state.items():
        bare = name
        while bare.startswith(prefixes):
            bare = bare.split(".", 1)[1]
        taken = bare in stripped or (bare != name and bare in state)
        stripped[name if taken else bare] = value
    return stripped


def count_blocks(shapes: Iterable[str], pattern: str) -> int:
    """How many blocks there are, by the number that the pattern captures; they count 0, 1, 2 and on.

    `ValueError` when a number is left out.
    """
    matches = (re.fullmatch(pattern, name) for name in shapes)
    numbers = {int(match[1]) for match in matches if match}
    if numbers != set(range(len(numbers))):
        raise ValueError("blocks are not numbered without gaps")
    return len(numbers)


def _rule(source: str, target: str) -> tuple[re.Pattern[str], str]:
    pattern = re.escape(source).replace("<n>", r"(\d+)").replace("<w>", r"(\w+)")
    numbers = iter(range(1, 10))
    return re.compile(pattern), re.sub("<[nw]>", lambda _: rf"\{next(numbers)}", target)


def drop_twin(entries: dict[str, T], twin: str, name: str) -> None:
    """One tensor that a file holds under two names, or under either, stays as `name` alone."""
    if twin in entries:
        value = entries.pop(twin)
        entries.setdefault(name, value)
