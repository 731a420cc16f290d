from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segma.training.losses.likeness import likeness_loss


def plainly(levels: list[Tensor], picture: Tensor, places: Tensor, inside: Tensor, size: int) -> Tensor:
    """The loss by its definition: features are read at every place, then compared."""
    grid = ((places + 0.5) * (2 / size) - 1)[:, None]
    truth = inside.float()
    share = truth.mean(1, keepdim=True).clamp(0.05, 0.95)
    balance = truth * (0.5 / share) + (1 - truth) * (0.5 / (1 - share))
    losses: list[Tensor] = []
    for level in levels:
        centred = F.normalize(level - level.mean(1, keepdim=True), dim=1)
        seen = F.grid_sample(centred[picture], grid, align_corners=False)[:, :, 0]
        mean = F.normalize((seen * truth[:, None]).sum(2), dim=1, eps=1e-4)
        logits = 5.5 * (torch.einsum("tc,tcp->tp", mean, seen) - 0.3)
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        losses.append((balance * entropy).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("size", [32, 96])
def test_cells_give_the_loss_and_gradients_of_places(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    levels = [torch.randn(2, width, side, side, generator=generator) for width, side in ((12, 4), (6, 16))]
    picture = torch.tensor([0, 1, 1])
    places = torch.randint(0, size, (3, 40, 2), generator=generator).float()
    inside = torch.rand(3, 40, generator=generator) < torch.tensor([[0.3], [0.0], [1.0]])
    gradients: list[list[Tensor]] = []
    losses: list[float] = []
    for loss_of in (likeness_loss, plainly):
        own = [level.clone().requires_grad_() for level in levels]
        loss = loss_of(own, picture, places, inside, size)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append([level.grad for level in own if level.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-7)


def test_features_that_tell_the_object_cost_less() -> None:
    side = 16
    mask = torch.zeros(side, side, dtype=torch.bool)
    mask[4:10, 4:10] = True
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    places = torch.stack([columns, rows], 2).reshape(1, -1, 2).float()
    inside = mask.reshape(1, -1)
    told = torch.stack([mask.float(), 1 - mask.float(), torch.zeros(side, side)])[None]
    picture = torch.tensor([0])
    costs = [
        float(likeness_loss([level], picture, places, inside, side))
        for level in (told, torch.randn(told.shape, generator=torch.Generator().manual_seed(0)))
    ]
    assert costs[0] < 0.4 * costs[1]
