"""How sure a mean is: its interval by drawing the sample again and again (Efron 1979)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

_NAN = float("nan")
_AT_ONCE = 4_000_000  # numbers drawn in one piece


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` values, and where it lies with the probability asked for (NaN where nobody can say)."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(
    values: Sequence[float | int],
    generator: np.random.Generator,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    level: float | int = 0.95,
) -> Interval:
    """The mean and its percentile interval.

    Values of one group (the objects of a picture, say) are drawn together, because they are good and bad
    together. Of a single group nobody can say how sure the mean is: NaN; all is NaN for no values.
    """
    if not values:
        return Interval(_NAN, _NAN, _NAN, 0)
    array = np.asarray(values, np.float64)
    keys = list(range(len(array))) if groups is None else list(groups)
    if len(keys) != len(array):
        raise ValueError(f"{len(keys)} groups for {len(array)} values; each value has one.")
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    member = np.array([numbers[key] for key in keys])
    if len(numbers) == 1:
        return Interval(float(array.mean()), _NAN, _NAN, len(array))
    sums, counts = np.bincount(member, array), np.bincount(member)
    step = max(1, _AT_ONCE // len(sums))
    means: list[float] = []
    for start in range(0, resamples, step):
        drawn = generator.integers(len(sums), size=(min(step, resamples - start), len(sums)))
        means += (sums[drawn].sum(1) / counts[drawn].sum(1)).tolist()
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high), len(array))
