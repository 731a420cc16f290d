"""Principal components of vectors that are made of known ones."""

from __future__ import annotations

import pytest
import torch

from segma.nn.components import principal_components


def test_components_are_the_directions_that_vectors_were_made_of() -> None:
    generator = torch.Generator().manual_seed(0)
    turned = torch.linalg.qr(torch.randn(5, 5, generator=generator))[0]
    spread = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.0])
    rows = torch.randn(4000, 5, generator=generator) * spread @ turned.T + 7
    mean, variances, directions = principal_components(rows)
    torch.testing.assert_close(mean, rows.mean(0))
    assert variances.sqrt()[:4].tolist() == pytest.approx(spread[:4].tolist(), rel=0.05)
    assert abs(float(variances[4])) < 1e-4
    assert float((directions.T @ turned).abs().diagonal().min()) > 0.98
    torch.testing.assert_close((rows - mean) @ directions @ directions.T + mean, rows, atol=1e-4, rtol=1e-4)
