"""A step of a tokenizer: there and back, by codes, Gaussians or both (OmniTokenizer, section 3).

Discriminators learn in the same step: what is made is judged once with fixed weights, for the tokenizer, and
once cut off from it, for the judge; so one loss serves both, and one optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from segma.models.omnitokenizer.model import OmniTokenizer, Shortcut, with_shortcut
from segma.nn.vq import Gaussian
from segma.training.batch import PixelBatch
from segma.training.config import CodesConfig
from segma.training.losses.adversarial import (
    Judged,
    PatchDiscriminator,
    fooling_loss,
    hinge_loss,
    matching_loss,
)
from segma.training.losses.perceptual import Lpips
from segma.training.losses.spectra import spectral_loss
from segma.training.steps.result import StepResult

# A judge that is this good already is left alone (as in the official scripts).
_GOOD_ENOUGH = 1e-3


class Apprentice(nn.Module):
    """A tokenizer and who judges it in training. `lpips` is the user's, and is not saved with the run."""

    steps: Tensor

    def __init__(self, network: OmniTokenizer, codes: CodesConfig, lpips: Lpips | None = None) -> None:
        super().__init__()
        self.network = network
        self.image_judge = PatchDiscriminator(2) if codes.image_judge else None
        self.video_judge = PatchDiscriminator(3) if codes.video_judge else None
        self.unsaved = (lpips,)  # in a tuple, so that it is none of the module's own
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    @property
    def lpips(self) -> Lpips | None:
        """The perceptual distance, where its weights are at hand."""
        return self.unsaved[0]


@dataclass(frozen=True, slots=True)
class Pass:
    """What one way through the bottleneck made of a clip, and what the bottleneck costs."""

    name: str
    pixels: Float[Tensor, "batch 3 t h w"]
    price: Float[Tensor, ""]


def codes_step(
    apprentice: Apprentice, batch: PixelBatch, codes: CodesConfig, generator: torch.Generator
) -> StepResult:
    """The loss of a batch, the mean over the ways through the bottleneck."""
    real = batch.scaled()
    numbers: dict[str, float] = {}
    losses: list[Tensor] = []
    begins = int(apprentice.steps)
    apprentice.steps += int(apprentice.training)
    for each in _passes(apprentice, real, codes, generator, numbers):
        made = each.pixels.float()
        error = made - real
        squares = error.square().mean()
        loss = codes.absolute * error.abs().mean() + codes.squares * squares + each.price
        loss = loss + _looks(apprentice, made, real, codes, generator)
        if begins >= codes.judge_start:
            loss = loss + _judged(apprentice, made, real, codes, numbers)
        losses.append(loss)
        numbers[f"psnr/{each.name}"] = float(-10 * squares.detach().clamp(min=1e-10).log10())
    return StepResult(torch.stack(losses).mean(), numbers)


def _passes(
    apprentice: Apprentice,
    real: Float[Tensor, "batch 3 t h w"],
    codes: CodesConfig,
    generator: torch.Generator,
    numbers: dict[str, float],
) -> list[Pass]:
    """Every way through the bottleneck, decoded together."""
    network = apprentice.network
    config = network.config
    tokens = network.encoder(real)
    inputs: list[Tensor] = []
    prices: list[Tensor] = []
    straight: list[tuple[Shortcut | None, Tensor]] = []
    if config.num_codes:
        z = F.normalize(network.vectors_of(tokens, real).float(), dim=-1)
        chosen = _learned(apprentice, z, codes, generator, numbers)
        snapped = network.codebook.snap(z, chosen)
        inputs.append(network.post_vq_conv["1"](snapped.vectors))
        prices.append(snapped.commitment)
        straight.append((network.code_shortcut, snapped.vectors))
    if config.has_gaussians:
        found = network.gaussian_of(tokens, real)
        latent = _drawn(found, generator)
        convert = network.post_kl_conv if config.joint else network.post_vq_conv
        inputs.append(convert["1"](latent))
        prices.append(codes.divergence * found.divergence())
        straight.append((network.shortcut, latent))
    decoded = network.decoder(torch.cat(inputs)).chunk(len(inputs))
    made = [with_shortcut(way, each, of) for (way, of), each in zip(straight, decoded, strict=True)]
    names = ["codes"] * bool(config.num_codes) + ["latent"] * config.has_gaussians
    return [Pass(*each) for each in zip(names, made, prices, strict=True)]


def _drawn(found: Gaussian, generator: torch.Generator) -> Tensor:
    """A draw; the noise is made on the CPU, where its generator is."""
    noise = torch.randn(found.mean.shape, generator=generator).to(found.mean)
    return found.mean + (found.logvar / 2).exp() * noise


def _learned(
    apprentice: Apprentice,
    z: Float[Tensor, "*shape dim"],
    codes: CodesConfig,
    generator: torch.Generator,
    numbers: dict[str, float],
) -> Tensor:
    """The codes of vectors; in training the codebook moves, and unused codes are put on some of them.

    Each process of a team moves its own, and the first one's is the one that all go on with.
    """
    book = apprentice.network.codebook
    learns = apprentice.training and not codes.same_book
    if learns and int(apprentice.steps) % codes.revive_every == 1:
        mean_count = z[..., 0].numel() / len(book.N)
        numbers["revived"] = float(book.revive(z, generator, least=codes.revive_below * mean_count))
    chosen = book.nearest(z)
    if learns:
        book.learn(z, chosen)
    if apprentice.training:
        numbers["used"] = int((torch.bincount(chosen.flatten()) > 0).sum()) / len(book.N)
    return chosen


def _looks(
    apprentice: Apprentice,
    made: Float[Tensor, "batch 3 t h w"],
    real: Float[Tensor, "batch 3 t h w"],
    codes: CodesConfig,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """How different one random frame of each clip looks: by LPIPS, by frequencies, or both."""
    lpips, total = apprentice.lpips, made.new_zeros(())
    if not codes.spectra and lpips is None:
        return total
    frame = int(torch.randint(real.shape[2], (1,), generator=generator))
    one, other = made[:, :, frame], real[:, :, frame]
    if codes.spectra:
        total = total + codes.spectra * spectral_loss(one, other)
    if lpips is not None:
        total = total + codes.perceptual * lpips(2 * one, 2 * other).mean()
    return total


def _judged(
    apprentice: Apprentice,
    made: Float[Tensor, "batch 3 t h w"],
    real: Float[Tensor, "batch 3 t h w"],
    codes: CodesConfig,
    numbers: dict[str, float],
) -> Float[Tensor, ""]:
    """The losses of discriminators and of what they say: a frame of each clip, and clips as a whole."""
    total = made.new_zeros(())
    if apprentice.image_judge is not None:
        frame = int(apprentice.steps) % real.shape[2]
        pair = made[:, :, frame], real[:, :, frame]
        total = total + _one_judge(apprentice.image_judge, *pair, codes.image_judge, codes, numbers)
    if apprentice.video_judge is not None and real.shape[2] > 1:
        total = total + _one_judge(apprentice.video_judge, made, real, codes.video_judge, codes, numbers)
    return total


def _one_judge(
    judge: PatchDiscriminator,
    made: Tensor,
    real: Tensor,
    weight: float,
    codes: CodesConfig,
    numbers: dict[str, float],
) -> Float[Tensor, ""]:
    fixed: Mapping[str, Tensor] = {name: value.detach() for name, value in judge.named_parameters()}
    said: Judged = functional_call(judge, dict(fixed), (made,))
    with torch.no_grad():
        wanted: Judged = functional_call(judge, dict(fixed), (real,))
    fooling = weight * fooling_loss(said.logits) + codes.matching * matching_loss(wanted, said)
    own = hinge_loss(judge(real).logits, judge(made.detach()).logits)
    numbers["judge"] = float(own.detach())
    return fooling + own * float(own.detach() > _GOOD_ENOUGH)
