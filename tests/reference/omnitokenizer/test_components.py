"""Discriminators, LPIPS, the codebook's step and the steps of diffusion against the official code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference.omnitokenizer.conftest import Golden, fill, formula
from torch import Tensor, nn

from segma.checkpoints.fill import made_up
from segma.nn.diffusion import Schedule
from segma.nn.vq import Codebook
from segma.training.losses.adversarial import PatchDiscriminator
from segma.training.losses.perceptual import Lpips
from segma.training.losses.reconstruction import laplace_loss


def pictures() -> tuple[Tensor, Tensor]:
    return formula(1, 64, 0)[:, :, 0], formula(1, 64, 1)[:, :, 0]


@pytest.fixture(scope="module")
def manifest() -> dict[str, tuple[int, ...]]:
    path = Path(__file__).with_name("omnitokenizer_vqgan.json.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {name: tuple(shape) for name, shape in json.load(file).items()}


@pytest.mark.parametrize(
    ("prefix", "make"),
    [
        ("image_discriminator.", lambda: PatchDiscriminator(2)),
        ("video_discriminator.", lambda: PatchDiscriminator(3)),
        ("perceptual_model.", Lpips),
    ],
)
def test_names_and_shapes_are_the_official_ones(
    prefix: str, make: Callable[[], nn.Module], manifest: dict[str, tuple[int, ...]]
) -> None:
    ours = {prefix + name: tuple(value.shape) for name, value in make().state_dict().items()}
    assert ours == {name: shape for name, shape in manifest.items() if name.startswith(prefix)}


@torch.inference_mode()
def test_lpips_is_the_official_one(golden: Callable[[str], Golden]) -> None:
    model = Lpips()
    fill(model, "perceptual_model.")
    np.testing.assert_allclose(model(*pictures()).numpy(), golden("components")["lpips_a_b"], atol=1e-5)


@pytest.mark.parametrize(("axes", "prefix", "key"), [(2, "image", "d2"), (3, "video", "d3")])
@torch.inference_mode()
def test_discriminators_are_the_official_ones(
    axes: int, prefix: str, key: str, golden: Callable[[str], Golden]
) -> None:
    stored, model = golden("components"), PatchDiscriminator(axes)
    fill(model, f"{prefix}_discriminator.")
    model.train().noise.weight.zero_()
    clips = torch.cat([formula(17, 64, 0), formula(17, 64, 2)])
    found = model(torch.cat(pictures()) if axes == 2 else clips)
    np.testing.assert_allclose(found.logits.numpy(), stored[f"{key}_logits"], atol=5e-4, rtol=1e-4)
    maps = (*found.maps, found.logits)
    np.testing.assert_allclose([float(each.mean()) for each in maps], stored[f"{key}_feat_means"], atol=1e-5)
    np.testing.assert_allclose([float(each.std()) for each in maps], stored[f"{key}_feat_stds"], atol=1e-4)


@torch.inference_mode()
def test_a_codebook_learns_as_officially(golden: Callable[[str], Golden]) -> None:
    stored, book = golden("components"), Codebook(64, 8)
    codes = F.normalize(made_up("embeddings", (64, 8)), dim=-1)
    np.testing.assert_allclose(codes.numpy(), stored["cb_embed0"], atol=1e-6)
    book.embeddings.copy_(codes)
    book.z_avg.copy_(codes)
    book.N.fill_(1.0)
    z = F.normalize(torch.from_numpy(stored["cb_z"]).movedim(1, -1), dim=-1)
    found = book.nearest(z)
    assert torch.equal(found, torch.from_numpy(stored["cb_idx"]))
    snapped = book.snap(z, found)
    assert float(snapped.commitment) == pytest.approx(float(stored["cb_commit"]), rel=1e-5)
    assert torch.equal(snapped.vectors, z + (book(found) - z))
    book.learn(z, found)
    for ours, theirs in (("N", "cb_N"), ("z_avg", "cb_zavg"), ("embeddings", "cb_embed1")):
        np.testing.assert_allclose(getattr(book, ours).numpy(), stored[theirs], atol=1e-6)


def test_the_laplace_term_is_a_share_of_the_absolute_error(golden: Callable[[str], Golden]) -> None:
    assert float(laplace_loss(*pictures())) == pytest.approx(float(golden("components")["laplace_a_b"]))


def test_fewer_steps_are_the_official_ones(golden: Callable[[str], Golden]) -> None:
    stored, whole = golden("dit_xl2_latent8"), Schedule.linear()
    fewer = whole.fewer(250)
    assert fewer.trained_step.tolist() == stored["timestep_map_250"].tolist()
    np.testing.assert_allclose(fewer.betas.numpy(), stored["betas_250"], rtol=1e-12)
    np.testing.assert_allclose(whole.kept.numpy()[::50], stored["alphas_cumprod_1000"], rtol=1e-12)


def test_steps_back_are_the_official_ones(golden: Callable[[str], Golden]) -> None:
    """From the stored answer of DiT at every fourth place; the steps back look at no neighbours."""
    stored, fewer = golden("dit_xl2_latent8"), Schedule.linear().fewer(250)
    x = torch.from_numpy(stored["x"])[..., ::4, ::4]
    answer = torch.from_numpy(stored["out_strided"])
    found = fewer.believed(x, torch.from_numpy(stored["pmv_t"]), answer[:, :8], answer[:, 8:])
    np.testing.assert_allclose(found.mean.numpy(), stored["pmv_mean_strided"], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(found.log_variance.numpy(), stored["pmv_logvar_strided"], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(found.clean.numpy(), stored["pmv_xstart_strided"], atol=1e-4, rtol=1e-4)
