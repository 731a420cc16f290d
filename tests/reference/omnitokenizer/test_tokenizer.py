"""The tokenizers against the official code: names and shapes, latents, codes, pixels."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from reference.omnitokenizer.conftest import Golden, fill, formula
from torch import Tensor

from segma.models.omnitokenizer.config import VARIANTS
from segma.models.omnitokenizer.model import OmniTokenizer

VQ, KL = "omnitokenizer_vq", "omnitokenizer_kl"
IMAGE, BIASED = "omnitokenizer_image", "omnitokenizer_image_biased"
UNUSED = ("image_discriminator.", "video_discriminator.", "perceptual_model.")
# Golden file, weights, picture, and how far apart the kept rows and columns of latents and of pixels are.
CASES: dict[str, tuple[str, Callable[[], Tensor] | None, int, int]] = {
    "vqgan_image_photo": (VQ, None, 1, 8),
    "vqgan_image_formula": (VQ, lambda: formula(1, 256, 0), 2, 8),
    "vqgan_image_formula128": (VQ, lambda: formula(1, 128, 2), 1, 4),
    "vqgan_video_clip128": (VQ, None, 2, 8),
    "vqgan_video_formula128_5f": (VQ, lambda: formula(5, 128, 1), 1, 8),
    "vqgan_video_formula64_batch2": (VQ, lambda: torch.cat([formula(9, 64, 0), formula(9, 64, 3)]), 1, 4),
    "vqgan_rope_t4_fused_video64": (VQ, lambda: formula(9, 64, 1), 1, 4),
    "vqgan_rope_t4_explicit_video64": ("vq_biased", lambda: formula(9, 64, 1), 1, 4),
    "vqgan_rel_t2_fused_image128": (IMAGE, lambda: formula(1, 128, 1), 1, 4),
    "vqgan_rel_t2_fused_video64": (IMAGE, lambda: formula(9, 64, 1), 1, 4),
    "vqgan_rel_t2_explicit_image128": (BIASED, lambda: formula(1, 128, 1), 1, 4),
    "vqgan_rel_t2_explicit_video64": (BIASED, lambda: formula(9, 64, 1), 1, 4),
    "vae_image_formula": (KL, lambda: formula(1, 256, 0), 2, 8),
    "vae_video_formula128": (KL, lambda: formula(17, 128, 0), 2, 8),
}
LONG = {"vqgan_video_formula256": (VQ, lambda: formula(17, 256, 0), 4, 16)}


@cache
def network(name: str) -> OmniTokenizer:
    from dataclasses import replace

    config = replace(VARIANTS[VQ], attention_bias=True) if name == "vq_biased" else VARIANTS[name]
    model = OmniTokenizer(config)
    fill(model)
    return model


def pixels_of(picture: ndarray) -> Tensor:
    """(1, 3, frames, side, side) of a picture or a clip of uint8."""
    frames = picture[None] if picture.ndim == 3 else picture
    return (torch.from_numpy(frames).float() / 255 - 0.5).permute(3, 0, 1, 2)[None]


def strided(x: Tensor, step: int) -> ndarray:
    """Channels first, every so-many-th row and column."""
    return x[..., ::step, ::step].numpy()


@pytest.mark.parametrize("name", ["vqgan", "vae"])
def test_names_and_shapes_are_the_official_ones(name: str) -> None:
    with gzip.open(Path(__file__).with_name(f"omnitokenizer_{name}.json.gz"), "rt", encoding="utf-8") as file:
        official = {key: tuple(shape) for key, shape in json.load(file).items()}
    ignored = (*UNUSED, "codebook.") if name == "vae" else UNUSED
    with torch.device("meta"):
        ours = OmniTokenizer(VARIANTS[VQ if name == "vqgan" else KL]).state_dict()
    kept = {key: shape for key, shape in official.items() if not key.startswith(ignored)}
    assert {key: tuple(value.shape) for key, value in ours.items()} == kept
    assert len(official) == 402


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_the_official_ones(case: str, golden: Callable[[str], Golden]) -> None:
    check(golden(case), *CASES[case])


@pytest.mark.slow
@pytest.mark.parametrize("case", LONG)
def test_numbers_of_a_long_clip_are_the_official_ones(case: str, golden: Callable[[str], Golden]) -> None:
    check(golden(case), *LONG[case])


@torch.inference_mode()
def check(
    stored: Golden, weights: str, picture: Callable[[], Tensor] | None, latent_step: int, step: int
) -> None:
    model = network(weights)
    pixels = pixels_of(stored["input_uint8"]) if picture is None else picture()
    if model.config.is_continuous:
        found = model.encode_gaussian(pixels)
        for name, value in (("mean", found.mean), ("logvar", found.logvar)):
            np.testing.assert_allclose(strided(value.movedim(-1, 1), latent_step), stored[name], atol=2e-4)
        loss = 1e-6 * float(found.divergence())
        assert loss == pytest.approx(float(stored["kl_loss_at_weight_1e6"]), rel=1e-3)
        decoded = model.decode_latent(found.mean)
    else:
        latent = model.project(pixels).movedim(-1, 1)
        np.testing.assert_allclose(strided(latent, latent_step), stored["pre_quant_unnormalised"], atol=2e-4)
        indices = torch.from_numpy(stored["indices"].astype(np.int64))
        same = (model.encode_codes(pixels) == indices).numpy()
        assert same.mean() >= 0.995 and same[stored["margin"] > 1e-3].all()
        vectors = model.codebook(indices).movedim(-1, 1)
        np.testing.assert_allclose(strided(vectors, latent_step), stored["quantised"], atol=5e-4)
        decoded = model.decode_codes(indices)
    recon = decoded[:, :, 0] if stored["recon"].ndim == 4 else decoded
    np.testing.assert_allclose(strided(recon, step), stored["recon"], atol=5e-4)
    assert float(decoded.mean()) == pytest.approx(float(stored["recon_mean"]), abs=5e-4)
    assert float(decoded.std()) == pytest.approx(float(stored["recon_std"]), abs=5e-4)
