"""The metrics by name. Imports nothing; a metric is imported when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from segma.errors import InputError

_HERE = "segma.evaluation.metrics"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric: where its function stands, what it takes, and its best value."""

    module: str
    function: str
    takes: str
    """"masks" or "pictures" (prediction, truth), or what else."""
    best: float
    help: str


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "iou": Metric(
            module=f"{_HERE}.iou",
            function="iou",
            takes="masks",
            best=1.0,
            help="pixels in both masks over pixels in either",
        ),
        "boundary_f": Metric(
            module=f"{_HERE}.boundary",
            function="boundary_f",
            takes="masks",
            best=1.0,
            help="F measure of contours, within 0.8 % of the diagonal unless said otherwise",
        ),
        "calibration": Metric(
            module=f"{_HERE}.calibration",
            function="expected_calibration_error",
            takes="qualities",
            best=0.0,
            help="mean distance between predicted and measured quality, over ten bins",
        ),
        "psnr": Metric(
            module=f"{_HERE}.psnr_ssim",
            function="psnr",
            takes="pictures",
            best=float("inf"),
            help="decibels between two pictures, from their mean squared difference",
        ),
        "ssim": Metric(
            module=f"{_HERE}.psnr_ssim",
            function="ssim",
            takes="pictures",
            best=1.0,
            help="structural similarity of two pictures, in Gaussian windows of 11 pixels",
        ),
    }
)


def metric(name: str) -> Callable[..., float]:  # what it takes differs by metric
    """The function of a metric. Raises InputError `input.value`."""
    row = METRICS.get(name)
    if row is None:
        raise InputError("input.value", f'There is no metric "{name}".', f"Metrics: {', '.join(METRICS)}.")
    function: Any = getattr(import_module(row.module), row.function)  # see above
    return function
