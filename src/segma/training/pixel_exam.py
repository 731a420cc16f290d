"""How good a tokenizer is on what is kept aside: PSNR there and back, and the share of codes in use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import nn

from segma.errors import InputError
from segma.evaluation.metrics.psnr_ssim import psnr
from segma.evaluation.protocols.asking import evenly
from segma.media.footage import middle_of
from segma.media.image import read_picture
from segma.models.omnitokenizer.model import OmniTokenizer
from segma.runtime import Runtime
from segma.samples import PictureFile, VideoSample
from segma.tasks import tokenize
from segma.training.data import Samples
from segma.training.pixel_loader import num_frames, read_frames

_Image = UInt8[ndarray, "height width 3"]

# What equal pictures count as, in dB.
_MOST = 100.0

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
        used = np.zeros(module.config.num_codes, bool)
        for kind, name, read in self._all():
            try:
                frames = [middle_of(image, (self.size, self.size)) for image in read()]
            except (InputError, OSError) as error:
                _log.warning("%s is not measured (%s)", name, error)
                continue
            for way, value in _there_and_back(module, frames, runtime, used).items():
                found.setdefault(kind + way, []).append(value)
        module.train(was_training)
        scores = {name: round(float(np.mean(values)), 3) for name, values in found.items()}
        if scores and module.config.num_codes:
            scores["codes_used"] = round(100 * float(used.mean()), 2)
        return scores

    def _all(self) -> Iterator[tuple[str, str, Callable[[], list[_Image]]]]:
        """The kind of score, a name, and what reads the frames."""
        for each in self.pictures:
            yield "", each.path.name, lambda file=each: [read_picture(file)]
        for each in self.clips:
            yield "clip_", each.name, lambda clip=each: read_frames(clip, lambda _: range(self.frames))


def _there_and_back(
    module: OmniTokenizer, frames: Sequence[_Image], runtime: Runtime, used: Bool[ndarray, " codes"]
) -> dict[str, float]:
    """Mean PSNR over the frames by codes, by latents, or by both; the codes are counted in `used`."""
    config, found = module.config, dict[str, float]()
    for name, latents in (("psnr_codes", False), ("psnr_latent", True)):
        if not (config.has_gaussians if latents else config.num_codes):
            continue
        header = tokenize.header_for(module, frames[0].shape[:2], fps=1.0, latents=latents)
        grid = tokenize.encode(module, frames, header, runtime=runtime)
        made = tokenize.decode(module, grid, runtime=runtime)
        found[name] = float(np.mean([min(_MOST, psnr(*pair)) for pair in zip(made, frames, strict=True)]))
        if grid.codes is not None:
            used[grid.codes.ravel()] = True
    return found
