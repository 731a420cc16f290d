"""The mask head on rows of cells against the convolutions it stands for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segma.nn import mask_head


@pytest.mark.parametrize("grid", [1, 3, 4])
def test_cells_are_upscaled_as_by_transposed_convolutions(grid: int) -> None:
    generator = torch.Generator().manual_seed(2)
    stack = mask_head.upscaling(16)
    image = torch.randn(2, grid * grid, 16, generator=generator)
    weights = torch.randn(2, 3, 2, generator=generator)
    with torch.no_grad():
        channels = stack(image.transpose(1, 2).view(2, 16, grid, grid))
        expected = torch.einsum("bmc,bcyx->bmyx", weights, channels)
        drawn = mask_head.draw(mask_head.upscale(stack, image), weights)
    assert channels.shape == (2, 2, 4 * grid, 4 * grid)
    torch.testing.assert_close(drawn, expected, atol=1e-6, rtol=1e-5)


def test_logits_are_float32_also_of_a_bfloat16_image() -> None:
    stack = mask_head.upscaling(16)
    image = torch.randn(1, 9, 16, generator=torch.Generator().manual_seed(2))
    weights = torch.ones(1, 1, 2)
    with torch.no_grad():
        exact = mask_head.draw(mask_head.upscale(stack, image), weights)
        low = mask_head.draw(mask_head.upscale(stack, image.bfloat16()), weights)
    assert low.dtype == torch.float32
    assert (low - exact).std() < 0.05 * exact.std()


@pytest.mark.parametrize("own", [False, True])
def test_fine_maps_are_added_as_between_transposed_convolutions(own: bool) -> None:
    """Before the norm and before the last activation; of one image, or of one for each prompt."""
    generator = torch.Generator().manual_seed(3)
    stack = mask_head.upscaling(16)
    first, norm, activation, second, last = stack
    image = torch.randn(2, 9, 16, generator=generator)
    finest = torch.randn(1 + own, 2, 12, 12, generator=generator)
    fine = torch.randn(1 + own, 4, 6, 6, generator=generator)
    makers = nn.ModuleList(nn.Linear(16, 2) for _ in range(3))
    tokens = torch.randn(2, 3, 16, generator=generator)
    with torch.no_grad():
        channels = first(image.transpose(1, 2).view(2, 16, 3, 3)) + fine
        channels = last(second(activation(norm(channels))) + finest)
        weights = torch.stack([maker(tokens[:, index]) for index, maker in enumerate(makers)], 1)
        expected = torch.einsum("bmc,bcyx->bmyx", weights, channels)
        skips = mask_head.Skips.of(finest, fine)
        drawn = mask_head.draw(mask_head.upscale(stack, image, skips), weights)
        rows, columns = torch.tensor([1, 1]), torch.tensor([2, 0])
        some = mask_head.draw_pairs(stack, makers, tokens, image, (rows, columns), skips)
    torch.testing.assert_close(drawn, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(some, expected[rows, columns], atol=1e-6, rtol=1e-5)
