"""Prompts drawn as maps: where they are, and what is alike to what they point at."""

from __future__ import annotations

import torch

from segma.nn.prompt_maps import NUM_MAPS, directions, likeness_maps, num_channels, prompt_maps, with_mask

SIDE, SIZE = 16, 64
CPU = torch.device("cpu")


def _maps(**given: torch.Tensor) -> torch.Tensor:
    parts = {"coords": None, "labels": None, "boxes": None} | given
    return prompt_maps(**parts, batch=1, side=SIDE, image_size=SIZE, device=CPU)


def test_a_click_is_a_bell_on_its_cell() -> None:
    coords, labels = torch.tensor([[[41.5, 9.5], [5.5, 61.5]]]), torch.tensor([[1, 0]])
    maps = _maps(coords=coords, labels=labels)
    assert maps.shape == (1, NUM_MAPS, SIDE, SIDE)
    for narrow, wide, (x, y) in ((0, 1, (10, 2)), (2, 3, (1, 15))):
        assert int(maps[0, narrow].argmax()) == y * SIDE + x
        assert maps[0, wide].sum() > maps[0, narrow].sum() > 1
        assert maps[0, narrow].max() <= 1
    assert not maps[0, 4].any()


def test_padding_draws_nothing() -> None:
    maps = _maps(coords=torch.zeros(1, 1, 2), labels=torch.full((1, 1), -1))
    assert not maps.any()


def test_a_box_is_filled_and_its_area_right() -> None:
    maps = _maps(boxes=torch.tensor([[7.5, 15.5, 39.5, 31.5]]))  # pixels 8..39, 16..31
    assert torch.isclose(maps[0, 4].sum() * (SIZE / SIDE) ** 2, torch.tensor(32.0 * 16.0), rtol=1e-4)
    assert maps[0, 4, 5, 5] == 1
    assert maps[0, 4, 2, 5] == 0


def test_a_mask_comes_first_and_is_soft() -> None:
    maps = _maps()
    assert not with_mask(maps, None)[:, 0].any()
    drawn = with_mask(maps, torch.full((1, 1, SIDE, SIDE), 100.0))
    assert drawn.shape[1] == NUM_MAPS + 1
    assert torch.allclose(drawn[:, 0], torch.full((1, SIDE, SIDE), 2.0))


def _two_halves() -> torch.Tensor:
    level = torch.zeros(1, 4, 8, 8)
    level[:, 0, :, :4] = 1
    level[:, 1, :, 4:] = 1
    return level


def test_what_is_pointed_at_is_alike_to_itself() -> None:
    drawn = with_mask(_maps(coords=torch.tensor([[[10.0, 30.0]]]), labels=torch.tensor([[1]])), None)
    alike = likeness_maps(directions([_two_halves()]), drawn)
    assert alike.shape == (1, 4, SIDE, SIDE)
    assert alike[0, 0, 8, 2] > 0.99
    assert alike[0, 0, 8, 13] < 0
    assert not alike[0, 1:].any()  # no background click, no region


def test_a_box_and_a_mask_compare_with_inside_and_outside() -> None:
    left = torch.tensor([[-0.5, -0.5, 31.5, 63.5]])
    drawn = with_mask(_maps(boxes=left), None)
    inside, outside = likeness_maps(directions([_two_halves()]), drawn)[0, 2:]
    assert inside[8, 2] > 0.9 > 0 > inside[8, 13]
    assert outside[8, 13] > 0.9
    logits = torch.full((1, 1, SIDE, SIDE), -5.0)
    logits[..., 8:] = 5  # the mask says right, whatever the box said
    again = likeness_maps(directions([_two_halves()]), with_mask(_maps(boxes=left), logits))[0, 2]
    assert again[8, 13] > 0.9


def test_levels_of_one_image_serve_many_prompts() -> None:
    coords = torch.tensor([[[10.0, 30.0]], [[50.0, 30.0]]])
    drawn = prompt_maps(
        coords, torch.ones(2, 1, dtype=torch.long), None, batch=2, side=SIDE, image_size=SIZE, device=CPU
    )
    drawn = with_mask(drawn, None)
    shared = likeness_maps(directions([_two_halves()]), drawn)
    own = likeness_maps(directions([_two_halves().expand(2, -1, -1, -1)]), drawn)
    assert torch.equal(shared, own)
    assert num_channels(1) == drawn.shape[1] + shared.shape[1]
