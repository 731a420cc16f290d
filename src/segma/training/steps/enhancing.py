"""A step of an enhancer: pictures that were made smaller, with the latents of that, and how far off it is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segma.models.interfaces import VisualTokenizer
from segma.models.omnitokenizer.enhancer import Enhancer
from segma.training.config import EnhanceConfig
from segma.training.enhance_loader import EnhanceBatch
from segma.training.steps.result import StepResult

Pixels = Float[Tensor, "batch 3 h w"]


class EnhanceStudent(nn.Module):
    """An enhancer in training; the tokenizer, of which nothing is learned, is not saved with the run."""

    def __init__(self, network: Enhancer, tokenizer: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.unsaved = (tokenizer,)  # in a tuple, so that it is none of the module's own

    def tokenizer(self, device: torch.device) -> VisualTokenizer:
        """The tokenizer, on a device."""
        (module,) = self.unsaved
        module.to(device)
        assert isinstance(module, VisualTokenizer)
        return module


def enhance_step(
    student: EnhanceStudent, batch: EnhanceBatch, config: EnhanceConfig, chance: torch.Generator
) -> StepResult:
    """The mean Charbonnier distance over all values; its number is the PSNR of the batch in dB."""
    tokenizer, network = student.tokenizer(batch.pixels.device), student.network
    is_coded = torch.rand(len(batch.pixels), generator=chance) < config.coded
    with torch.no_grad(), torch.autocast(batch.pixels.device.type, enabled=False):
        small = with_codes(tokenizer, batch.pixels.float() / 255 - 0.5, is_coded)
        latents = latents_of(tokenizer, small) if network.config.channels else None
    wanted = batch.wanted.float() / 255 - 0.5
    small = small.to(memory_format=torch.channels_last)
    error = network(small, latents, batch.scale).float() - wanted
    loss = (error.square() + config.softness**2).sqrt().mean()
    psnr = -10 * error.detach().square().mean().log10()
    return StepResult(loss, {f"psnr_{batch.scale}x": float(psnr)})


def latents_of(tokenizer: VisualTokenizer, pixels: Pixels) -> Float[Tensor, "batch rows columns channels"]:
    """The latents of pictures whose sides are whole windows."""
    return tokenizer.encode_latent(pixels[:, :, None])[:, 0]


def with_codes(tokenizer: VisualTokenizer, pixels: Pixels, is_coded: Tensor) -> Pixels:
    """The pictures, some of them as codes keep them, in whole steps of 255."""
    if not is_coded.any() or not tokenizer.code_spec.num_codes:
        return pixels
    rows = is_coded.to(pixels.device)
    kept = tokenizer.decode_codes(tokenizer.encode_codes(pixels[rows][:, :, None]))[:, :, 0]
    pixels = pixels.clone()
    pixels[rows] = ((kept.clamp(-0.5, 0.5) + 0.5) * 255).round() / 255 - 0.5
    return pixels
