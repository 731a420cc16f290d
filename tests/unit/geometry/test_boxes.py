from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segma.geometry.boxes import box_area, box_iou, nms


def random_boxes(seed: int, count: int, side: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, side, (count, 2, 2))
    return np.concatenate([corners.min(1), corners.max(1)], 1).astype(np.float32)


def greedy_by_hand(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    with np.errstate(invalid="ignore", divide="ignore"):
        overlap = box_iou(boxes, boxes)
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if not any(overlap[index, other] > threshold for other in kept):
            kept.append(index)
    return kept


def test_area_adds_nothing_for_the_last_pixel():
    assert box_area(np.array([[1, 2, 4, 4], [5, 5, 5, 9]])).tolist() == [6, 0]


def test_iou_by_hand():
    boxes = np.array([[0, 0, 2, 2], [0, 0, 4, 4]], np.float32)
    others = np.array([[0, 0, 2, 2], [2, 2, 6, 6], [9, 9, 10, 10]], np.float32)
    expected = [[1, 0, 0], [0.25, 4 / 28, 0]]
    assert np.allclose(box_iou(boxes, others), expected)


def test_no_boxes():
    none = np.zeros((0, 4), np.float32)
    assert nms(none, np.zeros(0), 0.5).tolist() == []
    assert box_iou(none, np.ones((3, 4))).shape == (0, 3)
    assert box_area(none).shape == (0,)


def test_suppression_is_strictly_above_the_threshold():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 2]], np.float64)  # IoU exactly 0.5
    assert nms(boxes, np.array([0.9, 0.8]), 0.5).tolist() == [0, 1]
    assert nms(boxes, np.array([0.9, 0.8]), 0.49).tolist() == [0]


def test_ties_go_to_the_lower_index():
    boxes = np.array([[0, 0, 4, 4]] * 3 + [[20, 20, 24, 24]])
    assert nms(boxes, np.array([1, 1, 1, 1]), 0.5).tolist() == [0, 3]


def test_boxes_without_area_stay():
    boxes = np.array([[3, 3, 3, 3]] * 2 + [[0, 0, 9, 9]])
    assert nms(boxes, np.array([0.5, 0.4, 0.3]), 0.1).tolist() == [0, 1, 2]


@given(st.integers(0, 10_000), st.integers(0, 40), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_equals_the_greedy_rule_and_is_idempotent(seed: int, count: int, threshold: float):
    boxes = random_boxes(seed, count)
    scores = np.random.default_rng(seed).integers(0, 8, count) / 8
    kept = nms(boxes, scores, threshold)
    assert kept.tolist() == greedy_by_hand(boxes, scores, threshold)
    assert nms(boxes[kept], scores[kept], threshold).tolist() == list(range(len(kept)))


def test_thousands_of_boxes():
    boxes = random_boxes(1, 3000, side=2000)
    kept = nms(boxes, np.random.default_rng(1).random(3000), 0.7)
    assert 1000 < len(kept) < 3000


def test_float32_stays_float32():
    boxes = random_boxes(0, 3)
    assert box_iou(boxes, boxes).dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 5), (4,)])
def test_wrong_shapes_are_caught_by_the_annotations(shape: tuple[int, ...]):
    from jaxtyping import TypeCheckError

    with pytest.raises(TypeCheckError):
        box_area(np.zeros(shape))
