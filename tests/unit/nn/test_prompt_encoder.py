"""Prompts to tokens: which token stands where, and what it is made of."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from segma.nn.prompt_encoder import PromptEncoder

DIM, SIDE, GRID = 16, 64, 4


@pytest.fixture
def encoder() -> PromptEncoder:
    torch.manual_seed(0)
    return PromptEncoder(dim=DIM, image_size=SIDE, grid=GRID, mask_channels=8).requires_grad_(False)


def code(encoder: PromptEncoder, x: float, y: float) -> Tensor:
    """The code of a place in pixels, by its formula."""
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix
    place = 2 * torch.tensor([(x + 0.5) / SIDE, (y + 0.5) / SIDE]) - 1
    phase = 2 * math.pi * (place[0] * matrix[0] + place[1] * matrix[1])
    return torch.cat([torch.sin(phase), torch.cos(phase)])


def vector(encoder: PromptEncoder, label: int) -> Tensor:
    return encoder.get_parameter(f"point_embeddings.{label}.weight")[0]


def test_points_are_followed_by_one_padding_point(encoder: PromptEncoder) -> None:
    coords = torch.tensor([[[3.0, 40.0], [10.5, 0.0]]])
    tokens = encoder.sparse(coords, torch.tensor([[1, 0]]), None)
    assert tokens is not None and tokens.shape == (1, 3, DIM)
    include, exclude = vector(encoder, 1), vector(encoder, 0)
    torch.testing.assert_close(tokens[0, 0], code(encoder, 3, 40) + include, atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens[0, 1], code(encoder, 10.5, 0) + exclude, atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens[0, 2], encoder.not_a_point_embed.weight[0])


def test_beside_a_box_there_is_no_padding_point(encoder: PromptEncoder) -> None:
    tokens = encoder.sparse(
        torch.tensor([[[3.0, 40.0]]]), torch.tensor([[1]]), torch.tensor([[1.0, 2.0, 30.0, 60.0]])
    )
    assert tokens is not None and tokens.shape == (1, 3, DIM)
    first, second = vector(encoder, 2), vector(encoder, 3)
    torch.testing.assert_close(tokens[0, 1], code(encoder, 1, 2) + first, atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens[0, 2], code(encoder, 30, 60) + second, atol=1e-5, rtol=0)


def test_padding_points_of_a_caller_lose_their_place(encoder: PromptEncoder) -> None:
    coords = torch.tensor([[[3.0, 40.0]], [[60.0, 1.0]]])
    tokens = encoder.encode_points(coords, torch.full((2, 1), -1))
    expected = encoder.not_a_point_embed.weight.expand(2, 1, DIM)
    torch.testing.assert_close(tokens, expected)


def test_embeddings_come_last_and_as_they_are(encoder: PromptEncoder) -> None:
    vectors = torch.randn(2, 3, DIM)
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [1.0, 1.0, 5.0, 5.0]])
    tokens = encoder.sparse(None, None, boxes, vectors)
    assert tokens is not None and torch.equal(tokens[:, 2:], vectors)
    alone = encoder.sparse(None, None, None, vectors)
    assert alone is not None and torch.equal(alone, vectors)


def test_without_anything_sparse_there_is_nothing(encoder: PromptEncoder) -> None:
    assert encoder.sparse(None, None, None) is None


def test_the_grid_holds_the_codes_of_the_centres_of_its_cells(encoder: PromptEncoder) -> None:
    grid = encoder.grid_code().view(GRID, GRID, DIM)
    cell = SIDE / GRID
    for row, column in ((0, 0), (1, 3), (3, 0)):
        expected = code(encoder, (column + 0.5) * cell - 0.5, (row + 0.5) * cell - 0.5)
        torch.testing.assert_close(grid[row, column], expected, atol=1e-5, rtol=0)


def test_masks_become_a_map_over_the_cells(encoder: PromptEncoder) -> None:
    logits = torch.randn(2, 1, 4 * GRID, 4 * GRID)
    rows = encoder.encode_masks(logits)
    assert rows.shape == (2, GRID * GRID, DIM)
    maps = encoder.mask_downscaling(logits)
    torch.testing.assert_close(rows[1, 2 * GRID + 3], maps[1, :, 2, 3])


def test_codes_are_float32_whatever_the_weights_are(encoder: PromptEncoder) -> None:
    places = torch.tensor([[0.25, 0.75]])
    exact = encoder.pe_layer(places)
    assert encoder.pe_layer(places.bfloat16()).dtype == torch.float32
    torch.testing.assert_close(encoder.pe_layer(places.bfloat16()), exact)
