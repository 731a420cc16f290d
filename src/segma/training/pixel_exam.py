"""How good a tokenizer is on what is kept aside: PSNR there and back, and the share of codes in use."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from torch import Tensor, nn

from segma.errors import InputError
from segma.evaluation.protocols.asking import evenly
from segma.media.image import read_picture
from segma.models.omnitokenizer.model import OmniTokenizer
from segma.runtime import Runtime
from segma.samples import PictureFile, VideoSample
from segma.training.data import Samples
from segma.training.pixel_loader import num_frames, read_frames

_Image = UInt8[ndarray, "height width 3"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PixelExam:
    """Pictures, and the first `frames` of clips, to send there and back: the middle square, `size` pixels."""

    pictures: tuple[PictureFile, ...]
    clips: tuple[VideoSample, ...]
    size: int
    frames: int

    @classmethod
    def of(cls, samples: Samples, *, pictures: int, clips: int, size: int, frames: int) -> PixelExam:
        """So many of the samples, drawn evenly; of clips those that have so many frames."""
        shown = [each.picture for each in samples.pictures if each.picture is not None]
        moving = [each for each in samples.clips if num_frames(each) >= frames]
        return cls(
            tuple(evenly(shown, pictures) if pictures else ()),
            tuple(evenly(moving, clips) if clips else ()),
            size,
            frames,
        )

    def __bool__(self) -> bool:
        return bool(self.pictures or self.clips)

    def scores(self, module: nn.Module, runtime: Runtime) -> dict[str, float]:
        """Mean PSNR in dB: `psnr_codes`, `psnr_latent`, `clip_psnr_...` of clips; `codes_used` in percent."""
        assert isinstance(module, OmniTokenizer)
        was_training = module.training
        module.eval()
        found: dict[str, list[float]] = {}
        used = torch.zeros(module.config.num_codes, dtype=torch.bool)
        for kind, name, read in self._all():
            try:
                pixels = _pixels([middle(image, self.size) for image in read()])
            except (InputError, OSError) as error:
                _log.warning("%s is not measured (%s)", name, error)
                continue
            with torch.inference_mode():
                for name, value in _there_and_back(module, pixels.to(runtime.torch_device), used).items():
                    found.setdefault(kind + name, []).append(value)
        module.train(was_training)
        scores = {name: round(float(np.mean(values)), 3) for name, values in found.items()}
        if scores and module.config.num_codes:
            scores["codes_used"] = round(100 * float(used.float().mean()), 2)
        return scores

    def _all(self) -> Iterator[tuple[str, str, Callable[[], list[_Image]]]]:
        """The kind of score, a name, and what reads the frames."""
        for each in self.pictures:
            yield "", each.path.name, lambda file=each: [read_picture(file)]
        for each in self.clips:
            yield "clip_", each.name, lambda clip=each: read_frames(clip, lambda _: range(self.frames))


def _pixels(frames: Sequence[_Image]) -> Float[Tensor, "1 3 t size size"]:
    array = np.ascontiguousarray(np.stack(frames).transpose(3, 0, 1, 2))
    pixels = torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType]  torch leaves it untyped
    return pixels[None].float() / 255 - 0.5


def middle(image: UInt8[ndarray, "height width 3"], size: int) -> UInt8[ndarray, "size size 3"]:
    """The middle square of a picture, at another size."""
    height, width = image.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    part = image[y : y + side, x : x + side]
    how = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (size, size), interpolation=how), np.uint8)


def _there_and_back(
    module: OmniTokenizer, pixels: Float[Tensor, "1 3 t size size"], used: Bool[Tensor, " codes"]
) -> dict[str, float]:
    found: dict[str, float] = {}
    if module.config.num_codes:
        codes = module.encode_codes(pixels)
        counts = torch.bincount(codes.flatten(), minlength=module.config.num_codes)
        used += (counts > 0).cpu()
        found["psnr_codes"] = _psnr(module.decode_codes(codes), pixels)
    if module.config.has_gaussians:
        found["psnr_latent"] = _psnr(module.decode_latent(module.encode_gaussian(pixels).mean), pixels)
    return found


def _psnr(made: Tensor, real: Tensor) -> float:
    """Of pixels as they would be saved."""
    rounded = ((made.float().clamp(-0.5, 0.5) + 0.5) * 255).round() / 255 - 0.5
    return -10 * math.log10(max(1e-10, float((rounded - real).square().mean())))
