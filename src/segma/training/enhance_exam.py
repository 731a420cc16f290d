"""How good an enhancer is on pictures that are kept aside: reduced, enlarged again, compared."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from torch import nn

from segma.errors import InputError
from segma.evaluation.metrics.psnr_ssim import psnr
from segma.evaluation.protocols.asking import evenly
from segma.media.image import read_picture
from segma.media.resample import enlarged, reduced
from segma.models.interfaces import VisualTokenizer
from segma.models.omnitokenizer.enhancer import Enhancer
from segma.runtime import Runtime
from segma.samples import PictureFile
from segma.tasks.enhance import Enhancement, Picture
from segma.training.data import Samples

# What equal pictures count as, in dB.
_MOST = 100.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EnhanceExam:
    """Pictures whose middle square, at most `size` pixels, is reduced by bicubic and made large again."""

    pictures: tuple[PictureFile, ...]
    size: int
    tokenizer: VisualTokenizer

    @classmethod
    def of(cls, samples: Samples, tokenizer: VisualTokenizer, *, pictures: int, size: int) -> EnhanceExam:
        """So many of the samples, drawn evenly."""
        shown = [each.picture for each in samples.pictures if each.picture is not None]
        return cls(tuple(evenly(shown, pictures) if pictures else ()), size, tokenizer)

    def __bool__(self) -> bool:
        return bool(self.pictures)

    def scores(self, module: nn.Module, runtime: Runtime) -> dict[str, float]:
        """Mean PSNR in dB by scale, as `psnr_2x`, and of Pillow's bicubic, as `bicubic_2x`."""
        assert isinstance(module, Enhancer)
        was_training = module.training
        module.eval()
        found: dict[str, list[float]] = {}
        for picture in self.pictures:
            try:
                image = read_picture(picture)
            except (InputError, OSError) as error:
                _log.warning("%s is not measured (%s)", picture.path.name, error)
                continue
            for scale in module.config.scales:
                for name, value in self._one(module, image, scale, runtime).items():
                    found.setdefault(name, []).append(value)
        module.train(was_training)
        return {name: round(float(np.mean(values)), 3) for name, values in found.items()}

    def _one(self, module: Enhancer, image: Picture, scale: int, runtime: Runtime) -> dict[str, float]:
        """The scores of a picture; none of one that is too small."""
        side = min(self.size, *image.shape[:2]) // scale * scale
        if not side:
            return {}
        top, left = ((each - side) // 2 for each in image.shape[:2])
        truth = image[top : top + side, left : left + side]
        small = reduced(truth, scale)
        ours = Enhancement(network=module, tokenizer=self.tokenizer, scale=scale, runtime=runtime)
        pairs = {"psnr": ours.picture(small), "bicubic": enlarged(small, scale)}
        return {f"{name}_{scale}x": min(_MOST, psnr(made, truth)) for name, made in pairs.items()}
