"""Codes that are k-means of vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from segma.nn.vq import Codebook


def heaps(count: int, each: int) -> tuple[Tensor, Tensor]:
    """Vectors around so many places far from one another, and the places."""
    generator = torch.Generator().manual_seed(4)
    places = 10 * torch.eye(count, 6) - 3
    around = places[:, None] + 0.1 * torch.randn(count, each, 6, generator=generator)
    return around.flatten(0, 1), places


def test_k_means_finds_heaps_and_its_averages_are_at_rest() -> None:
    z, places = heaps(5, 40)
    book = Codebook(12, 6)  # more than heaps, so that each gets one from the start
    book.cluster(z, 8, torch.Generator().manual_seed(0))
    assert float((book(book.nearest(places)) - places).abs().max()) < 0.3
    chosen = torch.bincount(book.nearest(z), minlength=12)
    assert int(chosen.sum()) == 200 and torch.equal(book.N >= 1, torch.ones(12, dtype=torch.bool))
    assert torch.equal(book.z_avg, book.embeddings * book.N[:, None])


def test_k_means_draws_codes_anew_that_nobody_chose() -> None:
    z = torch.tensor([[0.0, 0.0]] * 4 + [[9.0, 9.0]])
    found: list[list[int]] = []
    for rounds in (0, 60):
        found.append([])
        for seed in range(8):
            book = Codebook(2, 2)
            book.cluster(z, rounds, torch.Generator().manual_seed(seed))
            found[-1].append(len(set(book.nearest(z).tolist())))
    assert 1 in found[0] and set(found[1]) == {2}, "begun with equal codes, ended with both"


def test_k_means_has_as_many_codes_as_wanted_of_fewer_vectors() -> None:
    z = torch.arange(12.0).view(3, 4)
    book = Codebook(7, 4)
    book.cluster(z, 0, torch.Generator().manual_seed(0))
    assert {tuple(code) for code in book.embeddings.tolist()} == {tuple(row) for row in z.tolist()}
    again = Codebook(7, 4)
    again.cluster(z, 0, torch.Generator().manual_seed(0))
    assert torch.equal(again.embeddings, book.embeddings), "the same numbers, the same codes"
