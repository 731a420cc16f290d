"""Whether a predicted quality is what is measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def expected_calibration_error(
    predicted: Sequence[float | int] | Float[ndarray, " n"],
    measured: Sequence[float | int] | Float[ndarray, " n"],
    bins: int = 10,
) -> float:
    """The mean distance of predicted from measured means, over bins of predicted quality (Guo et al. 2017).

    Bins are equal parts of 0 to 1, weighted by what falls into them; predictions outside count at the ends.
    0 is perfect. NaN without any pair.

    >>> expected_calibration_error([0.95, 0.95], [0.75, 0.95])
    0.09999...
    """
    said, true = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    if said.shape != true.shape or said.ndim != 1:
        raise ValueError(f"{said.shape} predictions for {true.shape} measurements; they are pairs.")
    if not said.size:
        return float("nan")
    place = np.clip((np.clip(said, 0, 1) * bins).astype(int), 0, bins - 1)
    gaps = np.bincount(place, said, bins) - np.bincount(place, true, bins)
    return float(np.abs(gaps).sum() / said.size)
