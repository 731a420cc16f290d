"""What a tokenizer has to beat at its own rate: k-means of patches, and their principal components.

Both know nothing but patches of pixels: a frame's are `patch` x `patch`, those of the groups after the first
frame `temporal_patch` frames deep, each kind with a book and a basis of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from segma.models.interfaces import CodeSpec
from segma.models.omnitokenizer.model import from_patches, to_patches
from segma.nn.components import principal_components
from segma.nn.vq import Codebook

Frames = UInt8[ndarray, "frames height width 3"]

# Numbers of a patch that k-means looks at while it learns: the first principal components, with nearly all of
# what patches differ in (99.9 % of 8 x 8, 99 % of 4 x 8 x 8 in photos and clips).
_LEARNED_FROM = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class FitConfig:
    """How k-means learns: from so many patches of each kind, drawn at random, in so many rounds."""

    patches: int = 200_000
    rounds: int = 12


@dataclass(frozen=True, slots=True, eq=False)
class FittedPatches:
    """What is known of one kind of patch, flattened: their mean, main directions, and a book of codes."""

    mean: Float[Tensor, " numbers"]
    basis: Float[Tensor, "numbers components"]
    book: Codebook | None

    def snapped(
        self, patches: Float[Tensor, "*grid numbers"]
    ) -> tuple[Float[Tensor, "*grid numbers"], Int[Tensor, "*grid"]]:
        """The nearest codes' patches, and the codes."""
        assert self.book is not None, "fitted without codes"
        codes = self.book.nearest(patches)
        return self.book(codes), codes

    def projected(self, patches: Float[Tensor, "*grid numbers"]) -> Float[Tensor, "*grid numbers"]:
        """What the components keep."""
        return ((patches - self.mean) @ self.basis) @ self.basis.T + self.mean


@dataclass(frozen=True, slots=True, eq=False)
class PatchPeers:
    """Both peers, of frames and (where there were clips) of groups."""

    spec: CodeSpec
    frame: FittedPatches
    group: FittedPatches | None

    def by_codes(self, frames: Frames) -> tuple[Frames, Int[ndarray, " tokens"]]:
        """What k-means keeps of a picture or clip, and the codes of it."""
        made: list[Tensor] = []
        codes: list[Tensor] = []
        for fitted, patches in self._parts(frames):
            shown, chosen = fitted.snapped(patches)
            made.append(shown)
            codes.append(chosen.flatten())
        return self._frames(made), torch.cat(codes).numpy()

    def by_numbers(self, frames: Frames) -> Frames:
        """What as many components as the tokenizer has channels keep of a picture or clip."""
        return self._frames([fitted.projected(patches) for fitted, patches in self._parts(frames)])

    def _parts(self, frames: Frames) -> list[tuple[FittedPatches, Tensor]]:
        first, rest = patches_of(frames, self.spec)
        if rest is None:
            return [(self.frame, first)]
        assert self.group is not None, "fitted without clips"
        return [(self.frame, first), (self.group, rest)]

    def _frames(self, parts: Sequence[Tensor]) -> Frames:
        depths = (1, self.spec.temporal_patch)
        pixels = torch.cat(
            [
                from_patches(each, self.spec.patch, depth)
                for each, depth in zip(parts, depths, strict=False)  # a picture has the first part alone
            ],
            2,
        )
        shown = (pixels[0] + 0.5).clamp(0, 1) * 255
        return shown.round().to(torch.uint8).permute(1, 2, 3, 0).numpy()


def patches_of(frames: Frames, spec: CodeSpec) -> tuple[Tensor, Tensor | None]:
    """Patches (1, groups, rows, columns, numbers) of the first frame, and of the groups after it, if any."""
    pixels = torch.as_tensor(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))[None].float() / 255 - 0.5
    first = to_patches(pixels[:, :, :1], spec.patch, 1)
    return first, to_patches(pixels[:, :, 1:], spec.patch, spec.temporal_patch) if len(frames) > 1 else None


def fit_peers(
    clips: Iterable[Frames], count: int, spec: CodeSpec, config: FitConfig, generator: torch.Generator
) -> PatchPeers | None:
    """Both peers, fitted to patches of `count` clips, or of pictures (clips of one frame), of one size.

    Without codes (`spec.num_codes` is 0) there is no book, without channels no component. None where there is
    no clip at all.
    """
    frames: list[Tensor] = []
    groups: list[Tensor] = []
    share = -(-config.patches // max(1, count))
    for clip in clips:
        rest = patches_of(clip, spec)[1]
        # a frame is a frame, wherever it stands
        alone = [patches_of(frame[None], spec)[0] for frame in clip]
        frames.append(_drawn(torch.cat(alone).flatten(0, 3), share, generator))
        if rest is not None:
            groups.append(_drawn(rest.flatten(0, 3), share, generator))
    if not frames:
        return None
    kinds = [torch.cat(each) if each else None for each in (frames, groups)]
    first, later = (None if each is None else _fitted(each, spec, config, generator) for each in kinds)
    assert first is not None
    return PatchPeers(spec, first, later)


def _drawn(patches: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return patches[torch.randperm(len(patches), generator=generator)[:count]]


def _fitted(
    patches: Float[Tensor, "patches numbers"],
    spec: CodeSpec,
    config: FitConfig,
    generator: torch.Generator,
) -> FittedPatches:
    mean, _, directions = principal_components(patches)
    book = None
    if spec.num_codes:
        seen = (patches - mean) @ directions[:, :_LEARNED_FROM]
        book = Codebook(spec.num_codes, patches.shape[1])
        book.embeddings.copy_(_k_means(patches, seen, spec.num_codes, config.rounds, generator))
    return FittedPatches(mean, directions[:, : spec.channels], book)


def _k_means(
    patches: Float[Tensor, "patches numbers"],
    seen: Float[Tensor, "patches few"],
    num_codes: int,
    rounds: int,
    generator: torch.Generator,
) -> Float[Tensor, "codes numbers"]:
    """The means of patches that k-means puts together by `seen`; that of all for a code without any."""
    few = Codebook(num_codes, seen.shape[1])
    few.cluster(seen, rounds - 1, generator)
    whole = Codebook(num_codes, patches.shape[1])
    counts, sums = whole.sums_of(patches, few.nearest(seen))
    return torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], patches.mean(0))
