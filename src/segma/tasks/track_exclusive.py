"""Candidates of all objects on a frame chosen together, so that look-alikes do not take the same pixels.

This library's own rule (no paper's). Pure numpy; equal inputs give equal choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

_CONTESTED = 0.3
"""IoU above which two objects' masks are taken to be the same pixels."""
_MOST_EXACT = 4  # objects of which every combination is tried


@dataclass(frozen=True, slots=True)
class Claim:
    """A mask that an object may take, and how good it is (0..1)."""

    mask: Bool[ndarray, "side side"]
    quality: float


def assign(claims: Sequence[Sequence[Claim]], fixed: Sequence[Bool[ndarray, "side side"]] = ()) -> list[int]:
    """Which claim each object gets; the first of its list where nothing contests that.

    Objects whose first claims overlap are settled together: the sum of qualities less the IoU of every two
    masks is made as large as can be, exactly for up to 4 objects, else one by one from the best. The masks of
    all others stand meanwhile, and so do those in `fixed`.
    """
    chosen = [0] * len(claims)
    for group in _contested([several[0].mask for several in claims], fixed):
        settle = _best_together if len(group) <= _MOST_EXACT else _one_by_one
        outside = [claims[i][chosen[i]].mask for i in range(len(claims)) if i not in group]
        numbers = settle([claims[index] for index in group], [*fixed, *outside])
        for index, number in zip(group, numbers, strict=True):
            chosen[index] = number
    return chosen


def mask_overlap(one: Bool[ndarray, "side side"], other: Bool[ndarray, "side side"]) -> float:
    """IoU of two masks; 0 where both are empty."""
    whole = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / whole if whole else 0.0


def _contested(
    masks: Sequence[Bool[ndarray, "side side"]], fixed: Sequence[Bool[ndarray, "side side"]]
) -> list[list[int]]:
    """Groups of objects that overlap, directly or through others; single ones where a fixed mask overlaps."""
    labels = list(range(len(masks)))
    for one, other in combinations(range(len(masks)), 2):
        if mask_overlap(masks[one], masks[other]) > _CONTESTED:
            labels = [labels[one] if each == labels[other] else each for each in labels]
    found = [[place for place, each in enumerate(labels) if each == label] for label in dict.fromkeys(labels)]
    return [
        group
        for group in found
        if len(group) > 1 or any(mask_overlap(masks[group[0]], each) > _CONTESTED for each in fixed)
    ]


def _best_together(
    claims: Sequence[Sequence[Claim]], fixed: Sequence[Bool[ndarray, "side side"]]
) -> tuple[int, ...]:
    alone = [[each.quality - _taken(each, fixed) for each in several] for several in claims]
    shared = {
        (one, a, other, b): mask_overlap(claims[one][a].mask, claims[other][b].mask)
        for one, other in combinations(range(len(claims)), 2)
        for a in range(len(claims[one]))
        for b in range(len(claims[other]))
    }

    def worth(numbers: tuple[int, ...]) -> float:
        gained = sum(alone[index][number] for index, number in enumerate(numbers))
        pairs = combinations(enumerate(numbers), 2)
        return gained - sum(shared[one, a, other, b] for (one, a), (other, b) in pairs)

    return max(product(*(range(len(several)) for several in claims)), key=worth)


def _one_by_one(
    claims: Sequence[Sequence[Claim]], fixed: Sequence[Bool[ndarray, "side side"]]
) -> tuple[int, ...]:
    order = sorted(range(len(claims)), key=lambda index: -max(each.quality for each in claims[index]))
    taken = list(fixed)
    numbers = [0] * len(claims)
    for index in order:
        worth = [each.quality - _taken(each, taken) for each in claims[index]]
        numbers[index] = int(np.argmax(worth))
        taken.append(claims[index][numbers[index]].mask)
    return tuple(numbers)


def _taken(claim: Claim, masks: Sequence[Bool[ndarray, "side side"]]) -> float:
    return sum((mask_overlap(claim.mask, each) for each in masks), 0.0)
