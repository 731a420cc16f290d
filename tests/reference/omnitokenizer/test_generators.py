"""Language model and diffusion transformers against the official code, at full size (2.7 GB each)."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from reference.omnitokenizer.conftest import Golden, fill

from segma.models.omnitokenizer.dit import Dit
from segma.models.omnitokenizer.dit_config import DitConfig
from segma.models.omnitokenizer.gpt import Cache, Gpt
from segma.models.omnitokenizer.gpt_config import VARIANTS
from segma.tasks.sample_codes import SamplingConfig, sample_codes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
STRENGTH = 1.5


@pytest.fixture(autouse=True)
def free() -> Iterator[None]:
    yield
    gc.collect()


@torch.inference_mode()
def test_the_language_model_and_its_cache_give_the_official_logits(golden: Callable[[str], Golden]) -> None:
    stored, model = golden("lm_imagenet_prefix"), Gpt(VARIANTS["omnitokenizer_gpt_imagenet"])
    fill(model, "transformer.")
    ids = torch.from_numpy(stored["input_ids"])
    logits = model(ids)
    np.testing.assert_allclose(logits[..., ::37].numpy(), stored["logits_strided"], atol=5e-4, rtol=1e-4)
    assert torch.equal(logits.argmax(-1), torch.from_numpy(stored["argmax"]))
    cache = Cache(model.config, 2, 32, logits)
    parts = [model.extend(ids[:, :2], 0, cache)]
    parts += [model.extend(ids[:, place : place + 1], place, cache) for place in range(2, 32)]
    torch.testing.assert_close(torch.cat(parts, 1), logits, atol=1e-4, rtol=1e-4)
    check_guidance(model, ids, stored)
    check_sampler(model, ids, stored)


def check_guidance(model: Gpt, ids: torch.Tensor, stored: Golden) -> None:
    """Without a class there is the start symbol alone at position 0, and a gap at position 1."""
    start = torch.zeros_like(ids[:, :1])
    begun = torch.cat([torch.cat([ids[:, :1], start], 1), torch.cat([start, start], 1)])
    shown = torch.tensor([[True, True]] * 2 + [[True, False]] * 2)
    cache = model.new_cache(4, 12)
    found = model.extend(begun, 0, cache, shown)
    wanted, other = found[:2, 1], found[2:, 0]
    np.testing.assert_allclose(other[:, ::37].numpy(), stored["uncond_step0_strided"], atol=5e-4, rtol=1e-4)
    chosen: list[torch.Tensor] = []
    for place in range(2, 10):
        chosen.append(((1 + STRENGTH) * wanted - STRENGTH * other).argmax(-1))
        found = model.extend(torch.cat([chosen[-1]] * 2)[:, None], place, cache)[:, 0]
        wanted, other = found.chunk(2)
    assert torch.equal(torch.stack(chosen, 1), torch.from_numpy(stored["greedy_guided_ids"]))
    again = model.new_cache(4, 4)
    model.extend(begun, 0, again, shown)
    wanted, other = model.extend(torch.cat([ids[:, 2:3]] * 2), 2, again)[:, 0].chunk(2)
    guided = (1 + STRENGTH) * wanted - STRENGTH * other
    np.testing.assert_allclose(other[:, ::37].numpy(), stored["uncond_step1_strided"], atol=5e-4, rtol=1e-4)
    np.testing.assert_allclose(guided[:, ::37].numpy(), stored["guided_step1_strided"], atol=1e-3, rtol=1e-4)


def check_sampler(model: Gpt, ids: torch.Tensor, stored: Golden) -> None:
    """The same ids by `sample_codes`, which gives them as codes."""
    config = SamplingConfig(temperature=0, guidance=STRENGTH)
    chances = [torch.Generator(), torch.Generator()]
    codes = sample_codes(model, [int(each) - 1 for each in ids[:, 0]], 8, chances, config)
    wanted = np.clip(stored["greedy_guided_ids"] - 1001, 0, 8191)
    np.testing.assert_array_equal(codes.numpy(), wanted)


@torch.inference_mode()
def test_dit_gives_the_official_noise(golden: Callable[[str], Golden]) -> None:
    stored, model = golden("dit_xl2_latent8"), Dit(DitConfig())
    assert len(model.state_dict()) == 292
    fill(model)
    x, t, y = (torch.from_numpy(stored[name]) for name in "xty")
    found = model(x, t, y)
    np.testing.assert_allclose(found[..., ::4, ::4].numpy(), stored["out_strided"], atol=5e-4, rtol=1e-4)
    np.testing.assert_allclose(found.mean((2, 3)).numpy(), stored["out_mean"], atol=5e-4)
    guided = model.guided(x[:1], torch.tensor([500]), torch.tensor([207]), 2.0, channels=3)
    np.testing.assert_allclose(
        guided[..., ::4, ::4].numpy(), stored["cfg_out_strided"][:1], atol=5e-4, rtol=1e-4
    )


@torch.inference_mode()
def test_latte_gives_the_official_noise(golden: Callable[[str], Golden]) -> None:
    stored, model = golden("latte_xl2_latent8"), Dit(DitConfig(groups=5, num_classes=101))
    assert len(model.state_dict()) == 293
    fill(model)
    random = np.random.Generator(np.random.PCG64(int(stored["seed"])))
    x = torch.from_numpy(random.standard_normal((1, 5, 8, 32, 32)).astype(np.float32))
    t, y, cfg_t = (torch.from_numpy(stored[name])[None] for name in ("t", "y", "cfg_t"))
    found = model(x, t, y)
    np.testing.assert_allclose(found[..., ::4, ::4].numpy(), stored["out_strided"], atol=5e-4, rtol=1e-4)
    guided = model.guided(x, cfg_t, y, float(stored["cfg_scale"]), channels=4)
    np.testing.assert_allclose(
        guided[..., ::8, ::8].numpy(), stored["cfg_out_strided"][:1], atol=2e-3, rtol=1e-4
    )
