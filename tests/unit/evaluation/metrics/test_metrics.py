"""Metrics by hand, in their bounds, and equal to the judge's."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray
from stubs.promptbench import disc, load_judge

from segma.errors import InputError
from segma.evaluation.metrics.bootstrap import bootstrap_mean
from segma.evaluation.metrics.boundary import boundary_f, contour
from segma.evaluation.metrics.calibration import expected_calibration_error
from segma.evaluation.metrics.catalog import METRICS, metric
from segma.evaluation.metrics.clicks import clicks_to
from segma.evaluation.metrics.iou import iou
from segma.evaluation.metrics.jf import FrameScore, frame_score, mean_j_and_f

EMPTY, FULL = np.zeros((6, 8), bool), np.ones((6, 8), bool)


@pytest.fixture(scope="module")
def judge(shared: Path) -> ModuleType:
    return load_judge(shared)


def square(x: int, y: int, side: int = 10, size: tuple[int, int] = (40, 50)) -> ndarray:
    mask = np.zeros(size, bool)
    mask[y : y + side, x : x + side] = True
    return mask


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_best_where_nothing_is_wrong(name: str) -> None:
    row, function = METRICS[name], metric(name)
    picture = np.repeat(square(3, 4)[:, :, None], 3, 2) * np.uint8(200)
    same = {"masks": square(3, 4), "pictures": picture}.get(row.takes, [0.1, 0.9])
    assert function(same, same) == pytest.approx(row.best)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(InputError, match="iou"):
        metric("beauty")


def test_iou_by_hand() -> None:
    assert iou(square(0, 0), square(5, 0)) == 50 / 150
    assert iou(EMPTY, EMPTY) == 1 and iou(EMPTY, FULL) == 0


def test_a_contour_lies_on_one_side_and_not_on_the_frame() -> None:
    mask = np.zeros((4, 4), bool)
    mask[2, 2] = True
    assert np.argwhere(contour(mask)).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert not contour(FULL).any() and not contour(EMPTY).any()


def test_boundary_f_by_hand() -> None:
    assert boundary_f(EMPTY, FULL) == 1.0, "neither has a contour inside the frame"
    assert boundary_f(square(3, 3), square(3, 3) & False) == 0.0
    moved = boundary_f(square(10, 10), square(13, 10), 1)
    # 40 pixels each; near are the two long sides but for 2 of 11 at their ends: counted on the grid.
    ours, theirs = contour(square(10, 10)), contour(square(13, 10))
    y, x = np.nonzero(theirs)
    near = [bool((abs(y - a) + abs(x - b)).min() <= 1) for a, b in np.argwhere(ours)]
    assert moved == pytest.approx(np.mean(near))
    assert boundary_f(square(10, 10), square(13, 10), 3) == 1.0
    assert boundary_f(square(10, 10), square(11, 10)) == 1.0, "0.8 % of the diagonal is 1 pixel, rounded up"


@given(seed=st.integers(0, 1000), tolerance=st.sampled_from([0.008, 0.02, 1, 2, 5]))
@settings(max_examples=40, deadline=None)
def test_masks_metrics_are_the_judges(judge: ModuleType, seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(2, 70)), int(rng.integers(2, 70)))
    a, b = (
        disc(rng.uniform(0, 70), rng.uniform(0, 70), rng.uniform(0, 40), size) ^ (rng.random(size) < 0.02)
        for _ in range(2)
    )
    assert iou(a, b) == judge.iou(a, b)
    found = boundary_f(a, b, tolerance)
    assert found == judge.boundary_f(a, b, tolerance) and 0 <= found <= 1
    assert np.array_equal(contour(a), judge.contour_map(a))


def test_j_and_f_leave_frames_out() -> None:
    scores = [FrameScore(frame=frame, j=j, f=j / 2) for frame, j in ((1, 0.2), (2, 0.6), (3, 1.0))]
    assert mean_j_and_f(scores) == pytest.approx((0.6, 0.3))
    assert mean_j_and_f(scores, without=(3,)) == pytest.approx((0.4, 0.2))
    assert mean_j_and_f(scores[2:], without=(3,)) == (1.0, 0.5), "all there is, where nothing would be left"
    assert all(map(math.isnan, mean_j_and_f([])))
    assert frame_score(4, EMPTY, EMPTY).jf == 1.0
    assert scores[1].jf == pytest.approx(0.45)


def test_calibration_by_hand() -> None:
    assert expected_calibration_error([0.9, 0.9], [0.5, 0.7]) == pytest.approx(0.3)
    assert expected_calibration_error([0.05, 0.95], [0.15, 0.85]) == pytest.approx(0.1), "bins do not mix"
    assert expected_calibration_error([0.95, 0.95], [0.85, 1.05]) == pytest.approx(0), "errors within one do"
    assert expected_calibration_error([1.4, -0.2], [1, 0]) == pytest.approx(0.3), "what is outside counts"
    assert math.isnan(expected_calibration_error([], []))
    with pytest.raises(ValueError, match="pairs"):
        expected_calibration_error([0.5], [0.5, 0.6])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_calibration_is_between_the_bias_and_the_mean_error(pairs: list[tuple[float, float]]) -> None:
    said, true = map(np.array, zip(*pairs, strict=True))
    found = expected_calibration_error(said, true)
    assert abs((said - true).mean()) - 1e-9 <= found <= abs(said - true).mean() + 1e-9


def test_an_interval_holds_its_mean_and_follows_from_the_seed() -> None:
    values = np.random.default_rng(0).random(200).tolist()
    found = bootstrap_mean(values, np.random.default_rng(1))
    assert found.low < found.mean < found.high and found.n == 200
    assert found.mean == pytest.approx(np.mean(values))
    # The standard error of uniform numbers is sqrt(1 / 12 / n); 95 % are 3.92 of them.
    assert found.high - found.low == pytest.approx(3.92 * math.sqrt(1 / 12 / 200), rel=0.2)
    assert bootstrap_mean(values, np.random.default_rng(1)) == found


def test_values_of_one_group_are_drawn_together() -> None:
    values = [0.0] * 50 + [1.0] * 50
    alone = bootstrap_mean(values, np.random.default_rng(0))
    together = bootstrap_mean(values, np.random.default_rng(0), groups=[v > 0 for v in values])
    assert (together.mean, together.low, together.high) == (0.5, 0.0, 1.0)
    assert alone.high - alone.low < 0.25
    with pytest.raises(ValueError, match="groups"):
        bootstrap_mean(values, np.random.default_rng(0), groups=[1])


def test_no_value_has_no_mean_and_one_group_no_interval() -> None:
    found = bootstrap_mean([], np.random.default_rng(0))
    assert found.n == 0 and math.isnan(found.mean)
    one = bootstrap_mean([0.25], np.random.default_rng(0))
    assert one.mean == 0.25 and math.isnan(one.low) and math.isnan(one.high)
    pair = bootstrap_mean([0.25, 0.75], np.random.default_rng(0), groups=["a", "a"])
    assert (pair.mean, pair.n) == (0.5, 2) and math.isnan(pair.low)


def test_clicks_are_counted_to_the_first_that_reaches() -> None:
    assert clicks_to([0.2, 0.85, 0.1], 0.85, 20) == (2, True)
    assert clicks_to([0.2, 0.8], 0.85, 20) == (20, False)
