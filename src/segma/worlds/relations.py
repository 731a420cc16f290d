"""How two things stand to one another on a frame: yes, no, or None where people might disagree."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from segma.worlds.facts import Facts

Answer = bool | None
_Rule = Callable[[Facts, int, int, int], Answer]


def relation(name: str, facts: Facts, thing: int, other: int, frame: int = 0) -> Answer:
    """Whether a thing stands in one of RELATIONS to another on a frame; None where it is not clear.

    Nothing is so to itself; where one of both is not to be seen, nothing is clear.
    """
    if thing == other:
        return False
    if not (facts.courses.areas[[thing, other], frame] > 0).all():
        return None
    return _RULES[name](facts, thing, other, frame)


def _side(axis: int, sign: int) -> _Rule:
    """A rule for one side: mostly in that direction, and clearly so."""

    def rule(facts: Facts, thing: int, other: int, frame: int) -> Answer:
        centres = facts.courses.centres[:, frame]
        offset = (centres[thing] - centres[other]) * sign
        along, across = float(offset[axis]), abs(float(offset[1 - axis]))
        if along >= 0.08 and along >= 0.9 * across:
            return True
        return False if along <= 0.02 else None

    return rule


def _is_over(facts: Facts, thing: int, other: int, frame: int) -> Answer:
    """Whether a thing hides some of another."""
    courses = facts.courses
    if courses.overlap[thing, other, frame] == 0:
        return False
    nearer = facts.things[thing].depth < facts.things[other].depth
    if not nearer:
        return False
    return True if courses.cover[thing, other, frame] >= 0.1 else None


def _is_under(facts: Facts, thing: int, other: int, frame: int) -> Answer:
    return _is_over(facts, other, thing, frame)


def _is_inside(facts: Facts, thing: int, other: int, frame: int) -> Answer:
    share = facts.courses.inside[other, thing, frame]
    if share >= 0.9:
        return True
    return False if share < 0.3 and facts.courses.overlap[thing, other, frame] < 0.3 else None


def _is_touching(facts: Facts, thing: int, other: int, frame: int) -> Answer:
    courses = facts.courses
    if courses.overlap[thing, other, frame] > 0.02:
        return True
    return None if courses.near[thing, other, frame] else False


def _is_larger(facts: Facts, thing: int, other: int, frame: int) -> Answer:
    """By what is seen; unclear where much of one is hidden."""
    areas, wholes = facts.courses.areas[:, frame], facts.courses.wholes[:, frame]
    ratio = float(areas[thing] / areas[other])
    if 1 / 1.5 < ratio < 1.5:
        return None
    hidden = (areas[[thing, other]] < 0.75 * wholes[[thing, other]]).any()
    return None if hidden else ratio > 1


def _is_smaller(facts: Facts, thing: int, other: int, frame: int) -> Answer:
    return _is_larger(facts, other, thing, frame)


def _is_nearest(facts: Facts, thing: int, other: int, frame: int) -> Answer:
    """Whether a thing is the one closest to another, by their middles."""
    seen = [i for i in range(len(facts.things)) if i != other and facts.courses.areas[i, frame] > 0]
    centres = facts.courses.centres[:, frame]
    gaps = {i: float(np.linalg.norm(centres[i] - centres[other])) for i in seen}
    best = min(gap for i, gap in gaps.items() if i != thing) if len(gaps) > 1 else np.inf
    if gaps[thing] * 1.3 < best:
        return True
    return False if gaps[thing] > best * 1.3 else None


_RULES: MappingProxyType[str, _Rule] = MappingProxyType(
    {
        "left of": _side(0, -1),
        "right of": _side(0, 1),
        "above": _side(1, -1),
        "below": _side(1, 1),
        "in front of": _is_over,
        "behind": _is_under,
        "inside": _is_inside,
        "touching": _is_touching,
        "larger than": _is_larger,
        "smaller than": _is_smaller,
        "nearest to": _is_nearest,
    }
)
RELATIONS = tuple(_RULES)


def score(which: str, facts: Facts, thing: int, frame: int = 0) -> tuple[float, float]:
    """How much of one of SUPERLATIVES a thing has on a frame, and by how much the first must be ahead."""
    courses = facts.courses
    x, y = (float(each) for each in courses.centres[thing, frame])
    match which:
        case "leftmost":
            return -x, 0.05
        case "rightmost":
            return x, 0.05
        case "topmost":
            return -y, 0.05
        case "lowest":
            return y, 0.05
        case "largest" | "smallest":
            area = float(np.log(max(courses.areas[thing, frame], 1e-6)))
            hidden = courses.areas[thing, frame] < 0.75 * courses.wholes[thing, frame]
            return (area if which == "largest" else -area), (np.inf if hidden else 0.35)
        case _:
            steps = np.linalg.norm(np.diff(courses.places[thing], axis=0), axis=1)
            return float(np.log(steps.sum() + 1e-3)), 0.3


SUPERLATIVES = ("leftmost", "rightmost", "topmost", "lowest", "largest", "smallest", "fastest")
