from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segma.training.config import LossConfig
from segma.training.losses.masks import (
    at_places,
    dice_loss,
    focal_loss,
    iou_of,
    mask_costs,
    matched_loss,
    overlap_loss,
)

# The smoothing of the dice ratio.
_SMOOTH = 16.0


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3), -math.log(3)]])
    truth = torch.tensor([[1.0, 1.0, 1.0]])
    # chances 1/2, 3/4, 1/4; alpha 1/4: 0.25 * (1 - p)^2 * -log p
    by_hand = sum(0.25 * (1 - p) ** 2 * -math.log(p) for p in (0.5, 0.75, 0.25)) / 3
    assert float(focal_loss(logits, truth, 0.25, 2.0)) == pytest.approx(by_hand, rel=1e-5)
    assert float(focal_loss(-logits, 1 - truth, 0.75, 2.0)) == pytest.approx(by_hand, rel=1e-5)


def test_dice_loss_by_hand() -> None:
    weights = torch.tensor([[10.0, 20.0, 30.0]])
    sure, truth = torch.tensor([[50.0, 50.0, -50.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    # both 10; chance 30 and truth 40 together 70
    by_hand = 1 - (2 * 10 + _SMOOTH) / (70 + _SMOOTH)
    assert float(dice_loss(sure, truth, weights)) == pytest.approx(by_hand, rel=1e-5)
    assert float(dice_loss(50 * (2 * truth - 1), truth, weights)) == pytest.approx(0.0, abs=1e-6)


def test_overlap_loss_by_hand() -> None:
    weights = torch.tensor([[10.0, 20.0, 30.0]])
    sure, truth = torch.tensor([[50.0, 50.0, -50.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    by_hand = 1 - (10 + _SMOOTH) / (60 + _SMOOTH)
    assert float(overlap_loss(sure, truth, weights)) == pytest.approx(by_hand, rel=1e-5)
    assert float(overlap_loss(50 * (2 * truth - 1), truth, weights)) == pytest.approx(0.0, abs=1e-6)


def test_the_overlap_loss_ends_between_what_a_click_may_mean() -> None:
    """A part of 40 pixels, half of a whole: neither alone, but the whole, has the best mean IoU."""
    weights = torch.full((2, 1, 100), 100.0)
    whole, part = (torch.arange(100) < 80).float(), (torch.arange(100) < 40).float()
    truths = torch.stack([whole, part])[:, None]
    logits = torch.zeros(100, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = overlap_loss(logits.expand(2, 1, -1), truths, weights).mean()
        loss.backward()
        optimizer.step()
    found = (logits > 0).float()
    answers = [(2 * mask - 1).expand(2, -1) for mask in (whole, part, found)]
    means = [float(iou_of(answer, truths[:, 0], weights[:, 0]).mean()) for answer in answers]
    assert means[2] == pytest.approx(max(means))
    assert not found[80:].any()


def test_iou_by_hand() -> None:
    weights = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    logits, truth = torch.tensor([[1.0, 1.0, -1.0, -1.0]]), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    assert float(iou_of(logits, truth, weights)) == pytest.approx(1 / 6)
    assert float(iou_of(-torch.ones(1, 4), torch.zeros(1, 4), weights)) == 0.0


def test_costs_are_focal_and_dice_with_their_weights() -> None:
    torch.manual_seed(0)
    logits, weights = torch.randn(2, 3, 3, 5), torch.rand(2, 3, 5) + 0.1
    truth = (torch.rand(2, 3, 5) > 0.5).float()
    config = LossConfig()
    costs = mask_costs(logits, truth, weights, config)
    row, mask, which = 1, 2, 0
    one = (logits[row, mask, which], truth[row, which])
    expected = config.focal * focal_loss(*one, config.focal_alpha, config.focal_gamma)
    expected = expected + config.dice * dice_loss(*one, weights[row, which])
    assert float(costs[row, mask, which]) == pytest.approx(float(expected), rel=1e-5)


def test_candidates_are_matched_so_that_the_sum_is_least() -> None:
    # candidate 0 fits truth 2, candidate 1 truth 0, candidate 2 truth 1
    costs = torch.tensor([[[9.0, 9.0, 1.0], [2.0, 9.0, 9.0], [9.0, 3.0, 9.0]]])
    known = torch.ones(1, 3, dtype=torch.bool)
    assert float(matched_loss(costs, known, 0.1)[0]) == pytest.approx(2 + 0.5 * 3 + 0.5 * 1)


def test_greedy_matching_would_be_dearer() -> None:
    costs = torch.tensor([[[1.0, 2.0, 50.0], [1.5, 80.0, 50.0], [50.0, 50.0, 4.0]]])
    known = torch.ones(1, 3, dtype=torch.bool)
    assert float(matched_loss(costs, known, 0.0)[0]) == pytest.approx(1.5 + 0.5 * 2 + 0.5 * 4)


def test_with_one_truth_the_best_learns_and_the_others_a_little() -> None:
    costs = torch.tensor([[[5.0] * 3, [1.0] * 3, [3.0] * 3]])
    known = torch.tensor([[True, False, False]])
    assert float(matched_loss(costs, known, 0.05)[0]) == pytest.approx(1 + 0.05 * (5 + 3))


def test_with_two_truths_the_candidate_left_over_learns_the_asked_one() -> None:
    costs = torch.tensor([[[1.0, 9.0, 9.0], [9.0, 2.0, 9.0], [7.0, 9.0, 9.0]]])
    known = torch.tensor([[True, True, False]])
    assert float(matched_loss(costs, known, 0.1)[0]) == pytest.approx(1 + 0.5 * 2 + 0.1 * 7)


@given(st.integers(0, 2**31 - 1), st.integers(1, 3))
def test_the_order_of_candidates_does_not_matter(seed: int, truths: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    costs = torch.rand(2, 3, 3, generator=generator)
    known = (torch.arange(3) < truths).expand(2, 3)
    order = torch.randperm(3, generator=generator)
    assert torch.allclose(matched_loss(costs, known, 0.05), matched_loss(costs[:, order], known, 0.05))


def test_logits_are_read_where_the_places_are() -> None:
    # a map of 4 x 4 for a picture of 8 x 8: cell (1, 2) has its middle at pixel (4.5, 2.5)
    drawn = torch.arange(16.0).view(1, 1, 4, 4)
    places = torch.tensor([[[[4.5, 2.5], [0.5, 0.5], [3.5, 0.5]]]])
    assert at_places(drawn, places, 8)[0, 0, 0].tolist() == pytest.approx([6.0, 0.0, 1.5])
