from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segma.prompts.simulate import next_click
from segma.training.clicks import depths, next_clicks

_SIDE, _CELL = 16, 4


def blobs(seed: int, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Truths (pixels) and answers (cells), both of random boxes."""
    random = np.random.default_rng(seed)
    masks = np.zeros((count, _SIDE * _CELL, _SIDE * _CELL), np.uint8)
    logits = np.full((count, _SIDE, _SIDE), -1.0, np.float32)
    for row in range(count):
        x, y, w, h = random.integers(0, 11), random.integers(0, 11), *random.integers(2, 6, 2)
        masks[row, y * _CELL : (y + h) * _CELL, x * _CELL : (x + w) * _CELL] = 1
        x, y, w, h = random.integers(0, 11), random.integers(0, 11), *random.integers(2, 6, 2)
        logits[row, y : y + h, x : x + w] = 1.0
    return torch.from_numpy(masks), torch.from_numpy(logits)


def wrong_cells(masks: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return (masks[:, ::_CELL, ::_CELL] > 0) != (logits > 0)


@settings(max_examples=40)
@given(st.integers(0, 2**31 - 1), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_click_falls_on_an_error_and_says_what_is_true_there(seed: int, inner: float) -> None:
    masks, logits = blobs(seed)
    xy, labels = next_clicks(masks, logits, inner=inner, generator=torch.Generator().manual_seed(seed))
    wrong = wrong_cells(masks, logits)
    for row, (x, y) in enumerate(xy.long().tolist()):
        assert int(labels[row]) == int(masks[row, y, x])
        if wrong[row].any():
            assert wrong[row, y // _CELL, x // _CELL]
        else:
            assert masks[row, y, x]


@settings(max_examples=40)
@given(st.integers(0, 2**31 - 1))
def test_the_click_of_the_judge_lies_where_inner_clicks_may_fall(seed: int) -> None:
    """The deepest pixel of what is wrong (`prompts.simulate`) is in the inner half that is drawn from."""
    masks, logits = blobs(seed, count=1)
    answer = logits[0].repeat_interleave(_CELL, 0).repeat_interleave(_CELL, 1) > 0
    click = next_click(answer.numpy(), masks[0].numpy() > 0, rule="depth")
    if click is None:
        assert not wrong_cells(masks, logits).any()
        return
    depth = depths(wrong_cells(masks, logits))[0]
    assert depth[click.y // _CELL, click.x // _CELL] >= 0.5 * depth.max()


def test_inner_clicks_are_from_the_inner_half() -> None:
    masks = torch.zeros(64, 64, 64, dtype=torch.uint8)
    masks[:, 8:56, 8:56] = 1  # 12 cells wide: depths 1 to 6
    nothing = torch.full((64, _SIDE, _SIDE), -1.0)
    xy, _ = next_clicks(masks, nothing, inner=1.0, generator=torch.Generator().manual_seed(0))
    assert bool(((xy >= 16) & (xy < 48)).all())
    xy, _ = next_clicks(masks, nothing, inner=0.0, generator=torch.Generator().manual_seed(0))
    assert bool(((xy < 16) | (xy >= 48)).any())


def test_depth_counts_cells_to_the_edge_of_region_and_map() -> None:
    region = torch.zeros(1, 8, 8, dtype=torch.bool)
    region[0, :5, 2:7] = True
    assert depths(region)[0, :, 4].tolist() == [1, 2, 3, 2, 1, 0, 0, 0]


def test_a_seed_gives_the_same_clicks() -> None:
    masks, logits = blobs(3)
    first, second = (
        next_clicks(masks, logits, inner=0.5, generator=torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
