"""Preprocessing and image encoder against the official numbers."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image
from torch import Tensor

PIXELS_APART = slice(None, None, 37)


def test_the_picture_has_the_official_bytes(each: Any) -> None:
    assert list(each.image.shape) == each.golden["image_shape"].tolist()
    assert zlib.crc32(each.image.tobytes()) == each.golden["image_crc32"]


def test_the_resized_picture_has_the_official_bytes(each: Any) -> None:
    height, width = each.transform.input_size
    resized = np.array(Image.fromarray(each.image).resize((width, height), Image.Resampling.BILINEAR))
    assert list(resized.shape) == each.golden["resized_shape"].tolist()
    assert zlib.crc32(resized.tobytes()) == each.golden["resized_crc32"]
    np.testing.assert_array_equal(resized[PIXELS_APART, PIXELS_APART], each.golden["resized_sub"])


def test_the_input_is_normalised_and_then_padded(each: Any, tolerance: Any) -> None:
    sub = each.pixels[0, :, PIXELS_APART, PIXELS_APART]
    assert furthest(sub, each.golden["input_sub"]) <= tolerance.tokens


@pytest.mark.parametrize("tap", ["patch", "0", "1", "2", "5", "8", "11"])
def test_the_blocks_of_the_encoder(each: Any, tolerance: Any, tap: str) -> None:
    output = each.taps[tap]
    std = each.golden[f"tap_{tap}_stats"][1]
    sub = output[0, ::9, ::9, ::32]
    assert furthest(sub, each.golden[f"tap_{tap}_sub"]) <= tolerance.blocks * std
    stats = torch.stack([output.mean(), output.std()])
    assert furthest(stats, each.golden[f"tap_{tap}_stats"]) <= tolerance.blocks * std


def test_the_image_embedding(each: Any, tolerance: Any) -> None:
    embedding = each.encoded.features.embedding[0]
    assert embedding.shape == (256, 64, 64)
    assert furthest(embedding[::4, ::7, ::7], each.golden["embed_sub"]) <= tolerance.embedding
    assert furthest(embedding.mean((1, 2)), each.golden["embed_ch_mean"]) <= tolerance.embedding
    assert furthest(embedding.std((1, 2)), each.golden["embed_ch_std"]) <= tolerance.embedding


def test_the_position_grid(each: Any, tolerance: Any, compat_vit_b: Any) -> None:
    grid = compat_vit_b.prompt_encoder.get_dense_pe()[0, ::4, ::7, ::7]
    assert furthest(grid, each.golden["dense_pe_sub"]) <= tolerance.tokens


def furthest(ours: Tensor, theirs: ndarray) -> float:
    """The largest difference."""
    assert tuple(ours.shape) == theirs.shape
    return float(np.abs(ours.numpy() - theirs).max(initial=0))
