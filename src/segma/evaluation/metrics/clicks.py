"""How many clicks a target takes."""

from __future__ import annotations

from collections.abc import Sequence


def clicks_to(curve: Sequence[float | int], target: float | int, limit: int) -> tuple[int, bool]:
    """The first click whose IoU reaches the target, and whether one did; `limit` where none does.

    `curve` is the IoU after click 1, 2, ...

    >>> clicks_to([0.5, 0.86, 0.8], 0.85, 20), clicks_to([0.5], 0.85, 20)
    ((2, True), (20, False))
    """
    for number, value in enumerate(curve, 1):
        if value >= target:
            return number, True
    return limit, False
