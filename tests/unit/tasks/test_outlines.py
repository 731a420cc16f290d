"""Masks as outlines of what is to be made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stubs.generators import CLIPS, COVERED, DIT, toy_dit, toy_maker

from segma.errors import InputError, ModelError
from segma.tasks.generate import generate, generate_images
from segma.tasks.outlines import outline_of
from segma.tasks.sample_latents import DiffusionConfig

QUICK = DiffusionConfig(steps=2, sampler="ddim")


def test_a_mask_of_any_size_lies_in_the_middle_of_its_square() -> None:
    spec = toy_dit(COVERED).generator_spec  # 4 x 4 latents of 2 x 2 parts
    mask = np.zeros((20, 40), bool)
    mask[:, :10] = True
    found = outline_of(mask, spec)
    assert found.shape == (1, 4, 4, 4)
    parts = found[0].view(2, 2, 4, 4).permute(2, 0, 3, 1).reshape(8, 8)  # rows and columns of parts
    wanted = torch.full((8, 8), -1.0)
    wanted[2:6, :2] = 1
    torch.testing.assert_close(parts, wanted)
    assert torch.equal(outline_of(mask.repeat(3, 0).repeat(3, 1), spec), found)


def test_pictures_follow_the_mask_that_is_given() -> None:
    maker, heard = toy_maker(COVERED), []
    one, other = np.zeros((2, 32, 32), bool)
    one[:16], other[16:] = True, True
    pictures = list(
        generate_images(
            maker, [1, 1], QUICK, mask=one, on_progress=lambda done, total: heard.append((done, total))
        )
    )
    assert heard[-1] == (4, 4)  # outlines are not made
    again = generate(maker, 1, mask=one, config=QUICK)[0]
    assert np.array_equal(pictures[0], again)
    assert not np.array_equal(generate(maker, 1, mask=other, config=QUICK)[0], again)


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (np.zeros((4, 4), bool), "empty"),
        (np.ones((4, 4), np.uint8), "uint8"),
        (np.ones((4, 4, 3), bool), "2-D"),
    ],
)
def test_what_is_no_mask_is_refused(mask: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        generate(toy_maker(COVERED), 1, mask=mask, config=QUICK)


def test_generators_without_outlines_take_no_mask() -> None:
    mask = np.ones((4, 4), bool)
    with pytest.raises(ModelError, match="takes no mask"):
        generate(toy_maker(DIT), 1, mask=mask, config=QUICK)
    with pytest.raises(ModelError, match="not for clips"):
        generate(toy_maker(CLIPS), 1, mask=mask)
