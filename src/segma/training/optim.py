"""The optimizer, its schedule, and the running mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.training.config import OptimConfig
from segma.training.distributed import parts_like, whole

KINDS = ("muon", "adamw")
"""muon for matrices of many channels and AdamW for the rest; AdamW for all."""

# Matrices with a side smaller than this are tokens and stems, which are scaled entry by entry.
_SMALLEST = 16
# Steps of the iteration, and its odd polynomial of degree five (Jordan 2024).
_ROUNDS, _POLYNOMIAL = 5, (3.4445, -4.775, 2.0315)


def optimizer(
    module: nn.Module, config: OptimConfig, beside: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """The kind that the config names, over what needs gradients.

    Vectors (norms, biases, single tokens) do not decay. `beside` are beginnings of the names of weights that
    learn by AdamW at a share of the rate, which stands in their group as `share`.
    """
    named = [(name, each) for name, each in module.named_parameters() if each.requires_grad]
    apart = tuple(beside or ())
    wanted = [each for name, each in named if not apart or not name.startswith(apart)]
    is_matrix = [_is_matrix(parameter) and config.kind == "muon" for parameter in wanted]
    others = [parameter for parameter, is_one in zip(wanted, is_matrix, strict=True) if not is_one]
    groups = [
        {"params": [p for p, is_one in zip(wanted, is_matrix, strict=True) if is_one], "is_matrix": True},
        {"params": [p for p in others if p.ndim >= 2 and min(p.shape[:2]) > 1]},
        {"params": [p for p in others if p.ndim < 2 or min(p.shape[:2]) <= 1], "weight_decay": 0.0},
    ]
    for start, share in (beside or {}).items():
        groups.append({"params": [each for name, each in named if name.startswith(start)], "share": share})
    kind = Muon if any(is_matrix) else torch.optim.AdamW
    return kind(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=config.betas,
        weight_decay=config.weight_decay,
    )


def _is_matrix(weight: Tensor) -> bool:
    """Whether a weight mixes many channels into many: linear layers and convolutions, not depthwise ones."""
    return weight.ndim in (2, 4) and min(weight.shape[0], weight.shape[1:].numel()) >= _SMALLEST


class Muon(torch.optim.AdamW):
    """AdamW, but in groups with `is_matrix` the step is the nearest orthogonal matrix to the mean gradient.

    All directions of such a matrix then learn equally fast (Jordan 2024; Liu et al. 2025, arXiv 2502.16982,
    for its length, that of AdamW's late steps, so that both share a rate and a decay). Kernels of
    convolutions count as rows. torch has one for linear layers only.
    """

    momentum = 0.95

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take a step."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group.get("is_matrix")]
        try:
            super().step(closure)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        finally:
            self.param_groups = groups
        for group in groups:
            if group.get("is_matrix"):
                for weight in group["params"]:
                    self._turn(weight, group["lr"], group["weight_decay"])

    def _turn(self, weight: Tensor, lr: float, decay: float) -> None:
        gradient = weight.grad
        if gradient is None:
            return
        state = self.state[weight]
        if not state:  # in AdamW's words, which it checks when a state is loaded
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(weight))
        mean: Tensor = state["exp_avg"]
        state["step"] += 1
        mean.lerp_(gradient, 1 - self.momentum)
        ahead: Tensor = whole(gradient.lerp(mean, self.momentum)).flatten(1)
        update = orthogonal(ahead).view(weight.shape) * (0.2 * max(ahead.shape) ** 0.5)
        weight.mul_(1 - lr * decay).add_(parts_like(update, weight), alpha=-lr)


def orthogonal(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """About the nearest matrix whose singular values are all 1: they end between 0.7 and 1.2.

    Those below a thousandth of the largest may stay smaller. The iteration runs on the products of the
    shorter side's vectors, so that a kernel of 256 x 2304 costs two long products and not ten.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.mT).mT
    matrix = F.normalize(matrix.flatten(), dim=0).view(matrix.shape)
    products = matrix @ matrix.mT
    eye = torch.eye(len(matrix), device=matrix.device, dtype=matrix.dtype)
    total = eye
    first, third, fifth = _POLYNOMIAL
    for _ in range(_ROUNDS):
        factor = first * eye + third * products + fifth * (products @ products)
        total = factor @ total
        products = factor @ products @ factor
    return total @ matrix


def learning_rate(config: OptimConfig, step: int, progress: float) -> float:
    """Linear warm-up by steps, then a cosine by `progress` (0..1) down to `final_lr`."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))
    planned = config.final_lr + (config.lr - config.final_lr) * cosine
    return planned * min(1.0, (step + 1) / max(1, config.warmup))


class WeightMean:
    """An exponential mean of a module's weights, float32; buffers are copied.

    In the beginning it forgets faster: after n updates the share of the old is at most (1 + n) / (10 + n).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {name: value.detach().clone().float() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take the weights of a step in."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value.detach().float(), 1 - keep)
            else:
                self.state[name].copy_(value)

    def copy_to(self, module: nn.Module) -> None:
        """Put the mean into a module."""
        module.load_state_dict({name: value.clone() for name, value in self.state.items()})
