"""Feed-forward layers."""

from __future__ import annotations

import torch
from torch import nn

from segma.nn.mlp import Mlp, MlpStack


def test_an_mlp_activates_between_its_layers() -> None:
    x = torch.tensor([[-1.0, 2.0]])
    for kind, inner in ((nn.GELU, nn.functional.gelu), (nn.ReLU, torch.relu)):
        mlp = Mlp(2, 2, kind)
        for layer in (mlp.lin1, mlp.lin2):
            layer.weight.data, layer.bias.data = torch.eye(2), torch.zeros(2)
        torch.testing.assert_close(mlp(x), inner(x))


def test_a_stack_does_not_activate_its_last_layer() -> None:
    stack = MlpStack(2, 4, 2, 3)
    assert [tuple(p.shape) for p in stack.parameters() if p.ndim == 2] == [(4, 2), (4, 4), (2, 4)]
    for parameter in stack.parameters():
        parameter.data = torch.full_like(parameter, -1.0 if parameter.shape == (2,) else 0.0)
    assert stack(torch.ones(1, 2)).tolist() == [[-1.0, -1.0]]
