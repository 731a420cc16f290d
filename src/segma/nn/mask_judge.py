"""How good a mask is, told from what it covers (ours; official weights guess before a mask is drawn).

A token that has seen little training answers the same for every picture. Here the means of the features
inside, beside and outside a finished mask, of the drawn prompt there, and how large and how sure it is, go
through a small network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.nn.sliding import widest

# Channels that the image embedding is narrowed to before it is averaged.
_NARROW = 32
_NUM_SCALARS = 4
# Width of the surroundings of a mask, in cells: what is just outside a whole thing is unlike it.
_REACH = 3
# Cells that a mask has at least, where it is divided by.
_LEAST = 1e-2
# How much more a better mask says of presence.
_SHARPNESS = 2.0


class MaskJudge(nn.Module):
    """Guesses of the IoU of each mask, and of presence, as logits that are added to the tokens' own."""

    def __init__(self, *, channels: int, dim: int, num_maps: int, num_masks: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(dim, _NARROW, 1)
        seen = 4 * (channels + num_maps) + 2 * _NARROW + _NUM_SCALARS + num_masks
        self.layers = nn.Sequential(
            nn.LayerNorm(seen), nn.Linear(seen, width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
            nn.Linear(width, 2),
        )  # fmt: skip

    def forward(
        self,
        logits: Float[Tensor, "batch masks side side"],
        fine: Float[Tensor, "batch c side side"],
        prompt: Float[Tensor, "batch maps side side"],
        image: Float[Tensor, "batch dim grid grid"],
        guess: Float[Tensor, "batch masks"],
        object_score: Float[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch masks"], Float[Tensor, " batch"]]:
        """The logits of the IoUs and of presence; `guess` and `object_score` are those of the tokens.

        Masks, maps and prompts are judged as they are, without gradients to them (which took a seventh of a
        training step). What the best of them is like says most of presence.
        """
        chance = logits.detach().sigmoid()
        narrow = self.narrow(image.to(self.narrow.weight.dtype)).float()
        coarse = F.adaptive_avg_pool2d(chance, narrow.shape[-1])
        weights = torch.cat([chance, widest(chance, _REACH) - chance], 1)
        of_maps = (_means(each.detach().float(), weights) for each in (fine, prompt))
        inside, beside, outside = (torch.cat(pair, 2) for pair in zip(*of_maps, strict=True))
        parts = [
            inside,
            beside,
            (inside - beside).abs(),
            outside,
            _mean(narrow, coarse),
            _mean(narrow, 1 - coarse),
        ]
        area = chance.mean((2, 3))
        sure = chance.square().sum((2, 3)) / chance.sum((2, 3)).clamp(min=1e-3)
        soft = (chance * (1 - chance)).mean((2, 3)).sqrt()
        scalars = torch.stack([(area + 1e-4).log(), sure, soft, guess.detach()], 2)
        number = torch.eye(guess.shape[1], device=guess.device).expand(len(guess), -1, -1)
        found = self.layers(torch.cat([*parts, scalars, number], 2))
        judged = guess + found[..., 0]
        importance = judged.detach().mul(_SHARPNESS).softmax(1)
        return judged, object_score + (importance * found[..., 1]).sum(1)


def _means(
    maps: Float[Tensor, "batch c h w"], weights: Float[Tensor, "batch two_masks h w"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Means of maps inside and beside each mask, whose weights come one after the other, and outside it."""
    num_masks = weights.shape[1] // 2
    sums = weights.flatten(2) @ maps.flatten(2).transpose(1, 2)
    totals = weights.sum((2, 3))[..., None]
    means = sums / totals.clamp(min=_LEAST)
    rest = maps.sum((2, 3))[:, None] - sums[:, :num_masks]
    cells = maps.shape[2] * maps.shape[3]
    return (
        means[:, :num_masks],
        means[:, num_masks:],
        rest / (cells - totals[:, :num_masks]).clamp(min=_LEAST),
    )


def _mean(
    maps: Float[Tensor, "batch c h w"], weights: Float[Tensor, "batch masks h w"]
) -> Float[Tensor, "batch masks c"]:
    """Means of maps, weighted by each mask."""
    total = weights.sum((2, 3)).clamp(min=_LEAST)
    return torch.einsum("bcyx,bmyx->bmc", maps, weights) / total[..., None]
