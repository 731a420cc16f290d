"""The optimizer, its schedule, and the running mean of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from segma.training.config import OptimConfig


def adamw(module: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over what needs gradients; vectors (norms, biases, single tokens) do not decay."""
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in wanted if p.ndim >= 2 and min(p.shape[:2]) > 1]},
        {"params": [p for p in wanted if p.ndim < 2 or min(p.shape[:2]) <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=config.betas,
        weight_decay=config.weight_decay,
    )


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
