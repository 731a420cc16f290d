"""Logits at image size, stability, boxes, and which mask answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segma.geometry.transforms import Transform
from segma.prompts.types import Box, Embedding, MaskPrompt, Points, PromptSet
from segma.tasks import postprocess

QUALITIES = np.array([0.9, 0.3, 0.8, 0.5], np.float32)


@pytest.mark.parametrize("size", [(700, 500), (64, 48), (1, 1), (3, 900), (1024, 1024)])
@pytest.mark.parametrize("stretched", [False, True])
def test_logits_are_resized_as_torch_does(size: tuple[int, int], stretched: bool) -> None:
    logits = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    transform = (Transform.stretch if stretched else Transform.pad)(size, 256)
    expected = torch.from_numpy(logits)[None, None]
    if not stretched:
        expected = F.interpolate(expected, (256, 256), mode="bilinear", align_corners=False)
        expected = expected[..., : transform.input_size[0], : transform.input_size[1]]
    expected = F.interpolate(expected, size, mode="bilinear", align_corners=False)[0, 0].numpy()
    ours = postprocess.to_image_size(logits, transform)
    assert ours.shape == size and ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=5e-5)


def test_stability_is_the_overlap_of_a_stricter_and_a_wider_mask() -> None:
    logits = np.array([[-2.0, -0.5, 0.5, 2.0], [3.0, 1.0, -1.0, 0.0]], np.float32)
    assert postprocess.stability_score(logits, 0.0, 1.0) == 2 / 6  # above 1: 2 and 3
    assert postprocess.stability_score(logits, 0.0, 0.0) == 1.0
    assert postprocess.stability_score(logits, 1.0, 0.25) == 2 / 3
    assert math.isnan(postprocess.stability_score(logits, 5.0, 1.0))


def test_boxes_hold_their_last_pixels() -> None:
    mask = np.zeros((5, 7), bool)
    assert postprocess.box_of(mask) == (0, 0, 0, 0)
    mask[1, 2] = mask[3, 6] = True
    assert postprocess.box_of(mask) == (2, 1, 6, 3)


POINT, BOX = Points([[1.0, 1.0]]), Box(0.0, 0.0, 2.0, 2.0)
MASK = MaskPrompt(np.zeros((4, 4), np.float32))
EMBEDDING = Embedding(np.zeros((1, 4), np.float32))


@pytest.mark.parametrize(
    ("prompt", "best"),
    [
        (PromptSet(points=POINT), 2),
        (PromptSet(points=Points([[1.0, 1.0], [2.0, 2.0]])), 0),
        (PromptSet(box=BOX), 0),
        (PromptSet(points=POINT, box=BOX), 0),
        (PromptSet(points=POINT, mask=MASK), 0),
        (PromptSet(mask=MASK), 0),
        (PromptSet(embedding=EMBEDDING), 0),
        (PromptSet(points=POINT, embedding=EMBEDDING), 0),
    ],
)
def test_one_click_is_ambiguous_and_all_else_is_not(prompt: PromptSet, best: int) -> None:
    assert postprocess.candidate_order(QUALITIES, prompt, 1) == [best]
    assert postprocess.candidate_order(QUALITIES, prompt, 2) == [2, 3]
    assert postprocess.candidate_order(QUALITIES, prompt, 3) == [2, 3, 1]


def test_the_single_mask_may_answer_one_click_where_it_hedges() -> None:
    sure = np.array([0.95, 0.2, 0.9, 0.4], np.float32)
    assert postprocess.candidate_order(sure, PromptSet(points=POINT), 1, first=0) == [0]
    assert postprocess.candidate_order(sure, PromptSet(points=POINT), 3, first=0) == [0, 2, 3]
    assert postprocess.candidate_order(sure, PromptSet(points=POINT), 1) == [2]


def test_equal_candidates_keep_the_models_order() -> None:
    equal = np.array([0.9, 0.5, 0.5, 0.5], np.float32)
    assert postprocess.candidate_order(equal, PromptSet(points=POINT), 3) == [1, 2, 3]


def test_pieces_that_were_not_clicked_go() -> None:
    logits = np.full((16, 16), -2.0, np.float32)
    logits[2:5, 2:5] = 3
    logits[5:7, 5:7] = 1  # touches the first at a corner
    logits[10:14, 9:15] = 4
    kept = postprocess.only_clicked(logits, [(3.5, 3.5)])
    assert (kept[2:5, 2:5] == 3).all()
    assert (kept[5:7, 5:7] == 1).all()
    assert (kept[10:14, 9:15] == -4).all()
    both = postprocess.only_clicked(logits, [(3.5, 3.5), (15.5, 12.0)])  # next to the edge of the piece
    assert np.array_equal(both, logits)
    assert np.array_equal(postprocess.only_clicked(logits, [(1.0, 14.0)]), logits), "none was clicked"
