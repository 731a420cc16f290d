"""Principal components: the directions in which vectors differ most."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def principal_components(
    rows: Float[Tensor, "n numbers"],
) -> tuple[Float[Tensor, " numbers"], Float[Tensor, " numbers"], Float[Tensor, "numbers numbers"]]:
    """The mean of vectors, their variance along each component, and the components, one a column.

    The main component comes first. Variances may be below 0 by what rounding does.
    """
    mean = rows.mean(0)
    centred = rows - mean
    products = (centred.T @ centred).double()
    values, directions = cast(tuple[Tensor, Tensor], torch.linalg.eigh(products))  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
    return mean, values.flip(0).to(rows.dtype) / len(rows), directions.flip(1).to(rows.dtype)
