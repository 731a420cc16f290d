"""The distance of two Gaussians (Fréchet 1957): FID and FVD are it, between features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from segma.errors import InputError

Moments = tuple[Float[ndarray, " numbers"], Float[ndarray, "numbers numbers"]]


def moments(features: Float[ndarray, "samples numbers"]) -> Moments:
    """Mean and covariance. Raises InputError for fewer than two samples.

    >>> moments(np.array([[0.0], [2.0]]))
    (array([1.]), array([[2.]]))
    """
    if len(features) < 2:
        raise InputError("input.value", f"{len(features)} samples have no spread, expected 2 or more.")
    return features.mean(0), np.atleast_2d(np.cov(features, rowvar=False))


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), at least 0."""
    # the trace of the root of C1 C2 is that of the symmetric root(C1) C2 root(C1)
    root = _root(one[1])
    product = np.linalg.eigvalsh(root @ other[1] @ root).clip(0)
    spread = np.trace(one[1]) + np.trace(other[1]) - 2 * np.sqrt(product).sum()
    return max(0.0, float(np.sum((one[0] - other[0]) ** 2) + spread))


def _root(matrix: Float[ndarray, "n n"]) -> Float[ndarray, "n n"]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
