"""How far reconstructed pixels are off (specification of OmniTokenizer, section 6)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_LAPLACE_MARGIN = 0.1


def laplace_loss(made: Tensor, real: Tensor) -> Float[Tensor, ""]:
    """The mean absolute error of pixels of -0.5..0.5 that are squeezed into 0.1..0.9.

    parity: the scripts name it and never add it, as their reconstruction loss is absolute anyway.
    """
    return (1 - 2 * _LAPLACE_MARGIN) * F.l1_loss(made, real)
