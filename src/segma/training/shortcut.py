"""The linear shortcuts of a new tokenizer, fitted to data: components of patches, and codes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segma.models.omnitokenizer.config import OmniTokenizerConfig
from segma.models.omnitokenizer.model import OmniTokenizer, Shortcut, cut
from segma.nn.components import principal_components
from segma.nn.vq import Codebook

# How far from the pole of the sphere the components of a patch spread: near it, distances on the sphere are
# nearly those between patches.
_SPREAD = 0.5
_ROUNDS = 12


@torch.no_grad()
def fit_shortcuts(network: OmniTokenizer, clips: Sequence[Float[Tensor, "_ 3 _ _ _"]], seed: int = 0) -> None:
    """Put what is linear about the patches of clips into the shortcuts that a network has.

    Gaussians get the principal components, as numbers of variance 1: no linear way has a smaller mean squared
    error. Codes get all components but one beside a constant, brought to the sphere, a codebook of k-means on
    them, and the pixels that fit the codes best. Groups of frames have components of their own; without clips
    they are those of a frame that stands still.
    """
    kinds = _patches(clips, network.config)
    if network.shortcut is not None:
        for place, rows in enumerate(kinds):
            _fit_components(network.shortcut, place, rows)
    if network.code_shortcut is not None:
        _fit_codes(network.code_shortcut, network.codebook, kinds, seed)


def _patches(clips: Sequence[Tensor], config: OmniTokenizerConfig) -> tuple[Tensor, Tensor]:
    """The patches of first frames, and of groups of frames, (n, numbers)."""
    parts = [cut(clip, config, begins=True) for clip in clips]
    firsts = torch.cat([first.flatten(0, 3) for first, _ in parts if first is not None])
    rests = [rest.flatten(0, 3) for _, rest in parts if rest is not None]
    still = firsts.view(len(firsts), 3, 1, -1).expand(-1, -1, config.temporal_patch, -1).flatten(1)
    return firsts, torch.cat(rests) if rests else still


def _fit_components(shortcut: Shortcut, place: int, rows: Float[Tensor, "n numbers"]) -> None:
    into, back = _ways(shortcut, place)
    mean, values, vectors = _main_components(rows, into.out_features)
    scale = values.sqrt()
    into.weight.copy_((vectors / scale).T)
    into.bias.copy_(-(into.weight @ mean))
    back.weight.copy_(vectors * scale)
    back.bias.copy_(mean)


def _fit_codes(
    shortcut: Shortcut, codebook: Codebook, kinds: Sequence[Float[Tensor, "_ _"]], seed: int
) -> None:
    found: list[Tensor] = []
    for place, rows in enumerate(kinds):
        into, _ = _ways(shortcut, place)
        mean, values, vectors = _main_components(rows, into.out_features - 1)
        into.weight[:-1] = vectors.T * (_SPREAD / values.sum().sqrt())
        into.weight[-1] = 0
        into.bias.copy_(-(into.weight @ mean))
        into.bias[-1] = 1
        found.append(F.normalize(into(rows), dim=-1))
    codebook.cluster(torch.cat(found), _ROUNDS, torch.Generator().manual_seed(seed))
    for place, (rows, z) in enumerate(zip(kinds, found, strict=True)):
        _, back = _ways(shortcut, place)
        codes = codebook(codebook.nearest(z))
        known = torch.cat((codes, torch.ones_like(codes[:, :1])), 1).double()
        fitted = cast(Tensor, torch.linalg.lstsq(known, rows.double())[0]).float()  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
        back.weight.copy_(fitted[:-1].T)
        back.bias.copy_(fitted[-1])


def _ways(shortcut: Shortcut, place: int) -> tuple[nn.Linear, nn.Linear]:
    into, back = shortcut.to_numbers[place], shortcut.to_pixels[place]
    assert isinstance(into, nn.Linear) and isinstance(back, nn.Linear)
    return into, back


def _main_components(rows: Float[Tensor, "n numbers"], count: int) -> tuple[Tensor, Tensor, Tensor]:
    mean, values, vectors = principal_components(rows)
    return mean, values[:count].clamp(min=1e-8), vectors[:, :count]
