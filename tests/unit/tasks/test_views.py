"""One click at several scales: where the views are, what is told of their masks, that the choice is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray
from torch import Tensor
from unit.tasks.test_second_look import LOOK, Shadow

from segma.nn.view_judge import ViewJudge, num_features
from segma.tasks.segment import ImageSession
from segma.tasks.views import View, agreement, best_first, cut_off, describe, overlaps_in, windows

SHARES = (0.5, 0.2)
SIZE = (300, 400)
WHOLE = (0, 0, 400, 300)


@dataclass
class Chooser(Shadow):
    """Takes the masks of one view."""

    wanted: int = 0

    @property
    def views(self) -> tuple[float, ...]:
        return SHARES

    def judge_views(self, features: Tensor) -> Tensor:
        assert features.shape == (1, num_features(3, 4))
        return (torch.arange(12) // 4 == self.wanted).float()[None] * 0.75


@given(x=st.integers(0, 399), y=st.integers(0, 299), share=st.floats(0.05, 0.99))
def test_a_view_is_in_the_picture_and_holds_the_click(x: int, y: int, share: float) -> None:
    (found,) = windows((float(x), float(y)), SIZE, [share])
    assert 0 <= found[0] <= x < found[2] <= 400
    assert 0 <= found[1] <= y < found[3] <= 300
    side = max(48, int(400 * share))
    assert found[2] - found[0] == side
    assert found[3] - found[1] == min(side, 300)


def _logits(mask: ndarray) -> ndarray:
    return np.where(mask, 5.0, -5.0).astype(np.float32)


def test_masks_of_all_views_are_compared_in_the_picture() -> None:
    rows, columns = np.mgrid[:64, :64]
    whole = (columns >= 16) & (columns < 32) & (rows >= 16) & (rows < 32)  # x 100..200, y 75..150
    part = (columns < 32) & (rows < 32)  # of the window from 100, 75 on, twice as close: the same
    other = rows >= 32  # its lower half, from edge to edge
    window = (100, 75, 300, 225)
    features = describe(
        [
            View(WHOLE, _logits(np.stack([whole, ~whole])), np.array([0.1, 0.2], np.float32)),
            View(window, _logits(np.stack([part, other])), np.array([0.3, 0.4], np.float32)),
        ],
        SIZE,
    )
    overlaps = overlaps_in(features, 4)
    assert features.shape == (num_features(2, 2),)
    assert features[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert np.exp(features[4:8]) == pytest.approx([1 / 16, 15 / 16, 1 / 16, 1 / 8], rel=0.05)
    assert overlaps[0, 2] > 0.95
    assert overlaps[0, 1] == 0
    assert overlaps[0, 3] == 0
    assert overlaps[1, 3] == pytest.approx(2 / 15, rel=0.1)
    assert features[8:14] == pytest.approx(overlaps[np.triu_indices(4, 1)], abs=1e-6)
    along = features[14:18]
    assert along[:2].tolist() == [0, 0], "the edges of the whole are the picture's own"
    assert along[2] == pytest.approx(0.5)
    assert along[3] == 1
    assert cut_off(features, 4).tolist() == [False, False, True, True]
    assert features[18] == pytest.approx(np.log(1 / 4))


def test_answers_that_repeat_a_better_one_are_left_out() -> None:
    overlaps = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])
    scores = np.array([0.5, 0.6, 0.4])
    assert best_first(scores, overlaps, 3) == [1, 2]
    assert best_first(scores, overlaps, 1) == [1]


def test_what_the_edge_of_a_view_cuts_comes_last() -> None:
    overlaps = np.eye(3)
    scores = np.array([0.9, 0.3, 0.6])
    assert best_first(scores, overlaps, 3, np.array([True, False, False])) == [2, 1, 0]
    assert best_first(scores, overlaps, 2, np.array([True, True, True])) == [0, 2]


def test_likely_answers_that_agree_win_over_a_likelier_one_alone() -> None:
    overlaps = np.array([[1, 0.7, 0.0], [0.7, 1, 0.0], [0.0, 0.0, 1]])
    scores = np.array([0.5, 0.48, 0.53])
    assert best_first(scores, overlaps, 3) == [0, 1, 2]
    assert best_first(np.array([0.3, 0.3, 0.9]), overlaps, 1) == [2], "not over one that is sure"
    expected = agreement(np.array([0.0, 1.0, 0.0]), overlaps)
    assert expected == pytest.approx(overlaps[1], abs=1e-3)


def test_overlaps_are_found_again_in_what_is_told() -> None:
    masks = np.random.default_rng(0).random((4, 16, 16)) > 0.6
    view = View(WHOLE, _logits(masks), np.full(4, 0.5, np.float32))
    both = (masks[:, None] & masks).sum((2, 3)) / (masks[:, None] | masks).sum((2, 3))
    assert overlaps_in(describe([view], SIZE), 4) == pytest.approx(both, abs=0.08)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_the_chosen_view_answers(wanted: int) -> None:
    truth = np.zeros(SIZE, bool)
    truth[60:82, 180:202] = True
    image = np.where(truth[..., None], 0, 255).repeat(3, 2).astype(np.uint8)
    session = ImageSession(Chooser(wanted=wanted), image, look=LOOK)
    record = session.segment(points=[(190.0, 70.0)]).records[0]
    assert record.predicted_iou == 0.75
    iou = (record.mask & truth).sum() / (record.mask | truth).sum()
    assert iou > (0.6, 0.8, 0.9)[wanted]
    assert (record.crop_box is None) == (wanted == 0)
    assert record.points == ((190.0, 70.0),)
    assert record.low_res_logits is not None


def test_only_single_clicks_are_asked_at_several_scales() -> None:
    image = np.full((*SIZE, 3), 200, np.uint8)
    several = Chooser()
    ImageSession(several, image).segment(points=[(10.0, 10.0), (20.0, 20.0)], labels=[1, 0])
    assert several.encoded == 1
    boxed = Chooser()
    ImageSession(boxed, image, look=LOOK).segment(box=(20.0, 20.0, 350.0, 250.0))
    assert boxed.encoded == 1
    model = Chooser()
    ImageSession(model, image).segment(points=[(10.0, 10.0)])
    assert model.encoded == 1, "no looks, no views"
    ImageSession(model, image, look=LOOK).segment(points=[(10.0, 10.0)], candidates=3)
    assert model.encoded == 4


def test_candidates_come_with_estimates_that_fall() -> None:
    image = np.where(np.mgrid[:300, :400][1][..., None] < 100, 0, 255).repeat(3, 2).astype(np.uint8)
    found = ImageSession(Chooser(wanted=1), image, look=LOOK).segment(points=[(50.0, 50.0)], candidates=3)
    estimates = [record.predicted_iou for record in found.records]
    assert estimates == sorted(estimates, reverse=True)
    assert found.best is found.records[0]


def test_a_judge_is_its_numbers() -> None:
    torch.manual_seed(0)
    judge = ViewJudge(num_features=num_features(3, 4), num_masks=12, width=8).eval()
    judge.mean += 2
    judge.spread *= 3
    plain = judge.layers(torch.zeros(1, num_features(3, 4)))
    assert torch.equal(judge(torch.full((1, num_features(3, 4)), 2.0)), plain)
    assert not int(judge.clicks)
