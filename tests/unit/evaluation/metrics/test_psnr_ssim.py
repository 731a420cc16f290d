"""PSNR and SSIM by hand, by their definition in plain loops, and in their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy import ndarray

from segma.errors import InputError
from segma.evaluation.metrics.psnr_ssim import psnr, ssim


def noise(size: tuple[int, int], seed: int = 0) -> ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def plain(size: tuple[int, int], value: int) -> ndarray:
    return np.full((*size, 3), value, np.uint8)


def test_psnr_by_hand() -> None:
    assert psnr(plain((4, 5), 0), plain((4, 5), 255)) == 0
    assert psnr(plain((4, 5), 100), plain((4, 5), 110)) == pytest.approx(20 * math.log10(25.5))
    half = plain((4, 4), 7)
    half[:2] += 16
    assert psnr(half, plain((4, 4), 7)) == pytest.approx(10 * math.log10(255**2 / 128))
    assert psnr(half, half) == math.inf


def test_ssim_of_flat_pictures_is_the_likeness_of_their_means() -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim(plain((20, 30), 100), plain((20, 30), 150)) == pytest.approx(expected, rel=1e-9)
    assert ssim(plain((5, 30), 100), plain((5, 30), 150)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("size", [(11, 11), (14, 17)])
def test_ssim_is_that_of_its_definition(size: tuple[int, int]) -> None:
    x, y = noise(size), noise(size, 1)
    y[::2] = x[::2]  # something in common
    axis = np.arange(-5, 6)
    line = np.exp(-(axis**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    c1, c2 = 6.5025, 58.5225
    found: list[float] = []
    for row in range(size[0] - 10):
        for column in range(size[1] - 10):
            for channel in range(3):
                a, b = (each[row : row + 11, column : column + 11, channel].astype(float) for each in (x, y))
                mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
                spread_a, spread_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
                shared = (weights * (a - mean_a) * (b - mean_b)).sum()
                likeness = (2 * mean_a * mean_b + c1) * (2 * shared + c2)
                found.append(likeness / ((mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2)))
    assert ssim(x, y) == pytest.approx(np.mean(found), rel=1e-9)


def test_ssim_has_bounds_and_falls_with_noise() -> None:
    x = noise((32, 32))
    assert ssim(x, x) == pytest.approx(1)
    assert -1 <= ssim(x, 255 - x) < 0
    smooth = np.repeat(np.repeat(noise((8, 8)), 4, 0), 4, 1)
    rng = np.random.default_rng(0)
    worse = [
        np.clip(smooth + rng.normal(0, sigma, smooth.shape), 0, 255).astype(np.uint8) for sigma in (3, 12, 40)
    ]
    scores = [ssim(each, smooth) for each in worse]
    assert scores == sorted(scores, reverse=True)
    decibels = [psnr(each, smooth) for each in worse]
    assert decibels == sorted(decibels, reverse=True)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_pictures_of_two_sizes_are_refused(metric: Callable[..., float]) -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        metric(black((4, 5)), black((5, 4)))


def black(size: tuple[int, int]) -> ndarray:
    return plain(size, 0)
