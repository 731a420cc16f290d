"""The convolutional trunk: shapes, what reaches what, and skipped blocks."""

from __future__ import annotations

import torch

from segma.nn.backbones.conv_pyramid import ConvBlock, ConvPyramid

WIDTHS = (8, 12, 16, 24)


def _trunk() -> ConvPyramid:
    torch.manual_seed(0)
    return ConvPyramid(depths=(1, 1, 2, 1), widths=WIDTHS).eval()


def test_maps_of_four_strides() -> None:
    maps = _trunk()(torch.randn(2, 3, 64, 64))
    for level, (found, width) in enumerate(zip(maps, WIDTHS, strict=True)):
        side = 16 >> level
        assert found.whole().shape == (2, side, side, width)
        assert found.size == side


def test_fine_maps_know_what_is_far_away() -> None:
    trunk, pixels = _trunk(), torch.randn(1, 3, 128, 128)
    other = pixels.clone()
    other[..., -16:, -16:] += 3  # the other corner
    first, second = (trunk(each)[0].whole()[0, 2, 2] for each in (pixels, other))
    assert not torch.allclose(first, second, atol=1e-6)


def test_pictures_of_a_batch_do_not_know_each_other() -> None:
    trunk, pixels = _trunk(), torch.randn(3, 3, 64, 64)
    together, alone = trunk(pixels)[2].whole()[1], trunk(pixels[1:2])[2].whole()[0]
    assert torch.allclose(together, alone, atol=1e-5)


def test_skipped_blocks_keep_the_mean() -> None:
    torch.manual_seed(0)
    block, x = ConvBlock(8), torch.randn(4000, 8, 4, 4)
    full = block(x) - x
    block.drop_path = 0.25
    block.train()
    with torch.no_grad():
        added = block(x) - x
    skipped = added.flatten(1).abs().amax(1) == 0
    assert 0.2 < skipped.float().mean() < 0.3
    assert torch.allclose(added[~skipped], full[~skipped] / 0.75, atol=1e-5)
    assert torch.equal(block.eval()(x), x + full)
