"""Muon: its update, who gets it, and what a run keeps of it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from segma.training.config import OptimConfig
from segma.training.optim import Muon, optimizer, orthogonal


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    depthwise = nn.Conv2d(24, 24, 3, groups=24)
    return nn.Sequential(
        nn.Conv2d(16, 24, 3), depthwise, nn.GroupNorm(4, 24), nn.Flatten(), nn.Linear(384, 4)
    )


def _train(network: nn.Module, optim: torch.optim.Optimizer, steps: int) -> list[float]:
    inputs, wanted = torch.randn(8, 16, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 4
    losses: list[float] = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(network(inputs), wanted)
        optim.zero_grad()
        loss.backward()
        optim.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("shape", [(24, 144), (144, 24), (32, 32)])
def test_all_directions_become_equally_long(shape: tuple[int, int]) -> None:
    left, _, right = torch.linalg.svd(torch.randn(*shape), full_matrices=False)
    found = orthogonal(left @ torch.diag(torch.logspace(0, -2, min(shape))) @ right)
    lengths = torch.linalg.svdvals(found)
    assert lengths.min() > 0.5 and lengths.max() < 1.25
    # The directions themselves stay.
    assert torch.allclose(
        left.mT @ found @ right.mT, torch.diag((left.mT @ found @ right.mT).diag()), atol=1e-3
    )


def test_nothing_stays_nothing() -> None:
    assert not orthogonal(torch.zeros(16, 20)).any()


def test_a_linear_layer_moves_as_with_torch() -> None:
    """Torch's own, which is for linear layers and computes in bfloat16."""
    ours, theirs = nn.Linear(48, 32, bias=False), nn.Linear(48, 32, bias=False)
    theirs.load_state_dict(ours.state_dict())
    config = OptimConfig(lr=1e-2, weight_decay=0.1)
    one = optimizer(ours, config)
    other = torch.optim.Muon(
        theirs.parameters(), lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw", nesterov=True
    )
    start = ours.weight.detach().clone()
    for seed in range(3):
        gradient = torch.randn(32, 48, generator=torch.Generator().manual_seed(seed))
        ours.weight.grad, theirs.weight.grad = gradient.clone(), gradient.clone()
        one.step()
        other.step()
    moved = (theirs.weight - start).norm()
    assert (ours.weight - theirs.weight).norm() < 0.03 * moved


def test_only_what_mixes_channels_is_a_matrix() -> None:
    network = _network()
    optim = optimizer(network, OptimConfig())
    assert isinstance(optim, Muon)
    matrices = [p for group in optim.param_groups if group.get("is_matrix") for p in group["params"]]
    assert [tuple(each.shape) for each in matrices] == [(24, 16, 3, 3)]  # not depthwise, not 4 rows
    plain = {
        tuple(p.shape) for group in optim.param_groups if not group["weight_decay"] for p in group["params"]
    }
    assert plain == {(24,), (4,), (24, 1, 3, 3)}


def test_adamw_where_it_is_wanted() -> None:
    network = _network()
    optim = optimizer(network, OptimConfig(kind="adamw"))
    assert type(optim) is torch.optim.AdamW
    known = sum(len(group["params"]) for group in optim.param_groups)
    assert known == len(list(network.parameters()))


def test_it_learns_and_goes_on_from_its_state() -> None:
    network = _network()
    optim = optimizer(network, OptimConfig(lr=1e-2))
    losses = _train(network, optim, 6)
    assert losses[-1] < 0.5 * losses[0]
    twin = copy.deepcopy(network)
    again = optimizer(twin, OptimConfig(lr=1e-2))
    again.load_state_dict(copy.deepcopy(optim.state_dict()))
    assert _train(network, optim, 3) == _train(twin, again, 3)
    first: Tensor = next(network.parameters())
    assert torch.equal(first, next(twin.parameters()))


def test_weights_without_gradients_stay() -> None:
    network = _network()
    before = copy.deepcopy(network.state_dict())
    optimizer(network, OptimConfig()).step()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
