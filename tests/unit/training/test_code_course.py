"""Training of tokenizers: what they start from, what a step asks for, and a run on plain shapes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.load import load
from segma.checkpoints.save import save
from segma.errors import InputError, ModelError
from segma.models.omnitokenizer.config import VARIANTS, OmniTokenizerConfig
from segma.models.omnitokenizer.model import OmniTokenizer, to_patches
from segma.runtime import Runtime
from segma.training.batch import PixelBatch
from segma.training.catalog import RECIPES, recipe
from segma.training.code_course import course
from segma.training.config import CodesConfig, OptimConfig, TrainConfig
from segma.training.data import read_parts
from segma.training.distributed import Team
from segma.training.losses.perceptual import Lpips
from segma.training.losses.spectra import spectral_loss
from segma.training.optim import optimizer
from segma.training.pixel_loader import PixelBatches, PixelPool, cropped
from segma.training.shortcut import fit_shortcuts
from segma.training.start import start
from segma.training.steps.codes import Apprentice, codes_step

CPU = Runtime(device="cpu", precision="fp32")
SMALL = VARIANTS["omnitokenizer_smaller"]
TINY = replace(SMALL, dim=32, heads=2, head_dim=16, mlp_dim=40, window=2, num_codes=64, decoder_spatial="cc")
CODES = CodesConfig(sizes=(64,), frames=5, clips=1)


@pytest.fixture
def run(shapes: Path) -> TrainConfig:
    """Eight steps on pictures of shapes, and on the same under a moving camera."""
    return TrainConfig(
        name="tiny_codes",
        system="omnitokenizer",
        variant="omnitokenizer_smaller",
        data=(str(shapes),),
        batch=4,
        steps=8,
        workers=0,
        held_out=0.2,
        video_share=0.3,
        validate_objects=2,
        codes=CODES,
        optim=OptimConfig(lr=3e-3, warmup=2, ema=0.5),
    )


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 0.5


def batch(*shape: int) -> PixelBatch:
    return PixelBatch(pixels=((noise(*shape) + 0.5) * 255).to(torch.uint8))


def test_a_blur_costs_more_than_other_noise_of_the_same_kind() -> None:
    real = noise(2, 3, 64, 64)
    blurred = F.avg_pool2d(real, 5, 1, 2)
    assert float(spectral_loss(real, real)) == 0
    assert float(spectral_loss(blurred, real)) > 1.3 * float(spectral_loss(noise(2, 3, 64, 64, seed=1), real))
    assert float(spectral_loss(real[..., :4, :4], real[..., :4, :4])) == 0  # smaller than any block


def test_a_new_network_begins_with_principal_components(run: TrainConfig) -> None:
    samples = read_parts([Path(run.data[0])], "train", 0.2, labelled=False).train
    network = course().build(run)
    module = course().student(network, samples, run)
    assert isinstance(module, Apprentice)
    tokenizer = module.network.eval()
    pixels = next(iter(course().batches(samples, run, Team.alone())(0))).pixels[:, :1]
    real = pixels.float().transpose(1, 2) / 255 - 0.5
    with torch.inference_mode():
        made = tokenizer.decode_latent(tokenizer.encode_gaussian(real).mean)
    rows = to_patches(real, 8, 1).flatten(0, 3)
    spread = torch.linalg.eigvalsh((rows - rows.mean(0)).T @ (rows - rows.mean(0)) / len(rows))
    best = float(spread[: -SMALL.code_dim].sum()) / 192  # of components fitted to these very pictures
    assert best <= float((made - real).square().mean()) < 2 * best


def _alone():
    from segma.training.distributed import Team

    return Team.alone()


def test_groups_of_frames_have_components_of_their_own() -> None:
    network = OmniTokenizer(TINY)
    assert network.shortcut is not None
    still = noise(8, 3, 1, 16, 16).expand(-1, -1, 5, -1, -1)
    fit_shortcuts(network, [still[:, :, :1]])
    numbers = network.shortcut.numbers(still, begins=True)
    assert torch.allclose(numbers[:, 0].abs(), numbers[:, 1].abs(), atol=1e-2)
    assert torch.allclose(numbers.flatten(0, 3).var(0), torch.ones(8), atol=0.1)


def test_codes_of_a_new_network_are_those_of_k_means_on_components() -> None:
    network = OmniTokenizer(replace(TINY, num_codes=256))
    for name, parameter in network.named_parameters():
        if name.endswith(("pre_vq_conv.1.weight", "pre_vq_conv.1.bias")) or ".to_pixels" in name:
            torch.nn.init.zeros_(parameter)
    # pictures of patches that have two numbers each: a brightness and a slope
    amounts = noise(16, 2, 8, 8) / 3
    slope = torch.linspace(-1, 1, 8).expand(8, 8)
    patches = amounts[:, :1, :, None, :, None] + amounts[:, 1:, :, None, :, None] * slope[:, None]
    real = patches.reshape(16, 1, 64, 64).expand(-1, 3, -1, -1)[:, :, None].contiguous()
    fit_shortcuts(network, [real])
    with torch.inference_mode():
        codes = network.encode_codes(real)
        made = network.decode_codes(codes)
    assert len(codes.unique()) > 200
    # 256 codes on a plane: the error is a small share of the variance
    assert float((made - real).square().mean()) < 0.02 * float(real.var())
    assert torch.equal(network.codebook.N.clamp(min=1), network.codebook.N)


def test_a_step_learns_codes_and_gaussians_and_brings_dead_codes_back() -> None:
    network = OmniTokenizer(TINY)
    network.codebook.N.zero_()
    apprentice = Apprentice(network, CODES).train()
    result = codes_step(apprentice, batch(2, 5, 3, 32, 32), CODES, torch.Generator())
    result.loss.backward()
    assert result.numbers["revived"] == 64 and 0 < result.numbers["used"] <= 1
    assert {"psnr/codes", "psnr/latent"} <= result.numbers.keys()
    without = [name for name, each in network.named_parameters() if each.grad is None]
    # one group attends to one memory of itself: nothing else is left out
    assert all("context_norm" in name for name in without)
    apprentice.eval()
    before = network.codebook.embeddings.clone()
    again = codes_step(apprentice, batch(2, 1, 3, 32, 32), CODES, torch.Generator())
    assert torch.equal(network.codebook.embeddings, before) and "used" not in again.numbers


def test_steps_on_one_batch_make_its_loss_smaller() -> None:
    apprentice = Apprentice(OmniTokenizer(replace(TINY, shortcut=False)), CODES).train()
    steps = optimizer(apprentice, OptimConfig(kind="adamw", lr=3e-3))
    losses: list[float] = []
    for _ in range(8):
        result = codes_step(apprentice, batch(2, 1, 3, 32, 32), CODES, torch.Generator().manual_seed(0))
        steps.zero_grad()
        result.loss.backward()
        steps.step()
        losses.append(float(result.loss.detach()))
    assert losses[-1] < losses[2] < losses[0]


def test_codes_stay_what_they_are_where_that_is_asked_for(run: TrainConfig, tmp_path: Path) -> None:
    path = save(OmniTokenizer(TINY), TINY, tmp_path / "a.safetensors", origin="made up", licence="CC0-1.0")
    config = replace(run, start=str(path), codes=replace(CODES, same_codes=True))
    network = course().build(config)
    assert isinstance(network.module, OmniTokenizer)
    apprentice = Apprentice(network.module, config.codes).train()
    pixels = noise(1, 3, 5, 64, 64)
    before = network.module.encode_codes(pixels), network.module.decode_codes(torch.zeros(1, 1, 4, 4).long())
    steps = optimizer(apprentice, OptimConfig(kind="adamw", lr=3e-3))
    for _ in range(2):
        steps.zero_grad()
        codes_step(apprentice, batch(2, 5, 3, 64, 64), config.codes, torch.Generator()).loss.backward()
        steps.step()
    after = network.module.encode_codes(pixels), network.module.decode_codes(torch.zeros(1, 1, 4, 4).long())
    assert torch.equal(before[0], after[0]) and not torch.equal(before[1], after[1])
    assert course().finish(network, read_parts([], "train", 0.0, labelled=False).train, config, CPU) == {}


def test_pictures_stay_what_they_are_where_later_frames_are_learned(run: TrainConfig, tmp_path: Path) -> None:
    path = save(OmniTokenizer(TINY), TINY, tmp_path / "a.safetensors", origin="made up", licence="CC0-1.0")
    config = replace(run, start=str(path), codes=replace(CODES, same_pictures=True, moving=True))
    network = course().build(config)
    module = network.module
    assert isinstance(module, OmniTokenizer) and module.config.moving
    pixels = noise(1, 3, 5, 64, 64)
    as_it_was = load(path).module
    assert isinstance(as_it_was, OmniTokenizer)
    # new layers have nothing to say
    torch.testing.assert_close(module.encode_latent(pixels), as_it_was.encode_latent(pixels))
    before = module.encode_latent(pixels), module.project(pixels), module.codebook.embeddings.clone()
    apprentice = Apprentice(module, config.codes).train()
    steps = optimizer(apprentice, OptimConfig(kind="adamw", lr=3e-3))
    for _ in range(3):
        steps.zero_grad()
        codes_step(apprentice, batch(2, 5, 3, 64, 64), config.codes, torch.Generator()).loss.backward()
        steps.step()
    after = module.encode_latent(pixels), module.project(pixels), module.codebook.embeddings
    for one, other in zip(before[:2], after[:2], strict=True):
        assert torch.equal(one[:, 0], other[:, 0]) and not torch.equal(one[:, 1:], other[:, 1:])
    assert torch.equal(before[2], after[2])
    assert course().finish(network, read_parts([], "train", 0.0, labelled=False).train, config, CPU) == {}


def test_a_share_of_what_is_learned_from_is_shown_whole() -> None:
    import numpy as np

    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (120, 200, 3))
    for seed in range(5):
        whole = cropped([ramp], 32, np.random.default_rng(seed), whole=True)[0]
        assert int(whole[0, -1, 0]) - int(whole[0, 0, 0]) == pytest.approx(120 - 120 / 32, abs=2)


def test_judges_learn_from_their_own_loss_alone() -> None:
    codes = replace(CODES, image_judge=0.5, video_judge=0.5, matching=1.0)
    torch.manual_seed(0)
    apprentice = Apprentice(OmniTokenizer(TINY), codes).train()
    result = codes_step(apprentice, batch(2, 5, 3, 32, 32), codes, torch.Generator())
    result.loss.backward()
    judge = apprentice.image_judge
    assert judge is not None and apprentice.video_judge is not None
    assert judge.get_parameter("model4.0.weight").grad is not None
    # real pictures push the last bias up as much as made ones push it down while both are within the margin;
    # what the tokenizer wants of it, half of one, must not be in there
    bias = judge.get_parameter("model4.0.bias").grad
    assert bias is not None and abs(float(bias)) < 0.2
    late = replace(codes, judge_start=10)
    apprentice.zero_grad()
    codes_step(apprentice, batch(2, 1, 3, 32, 32), late, torch.Generator()).loss.backward()
    assert judge.get_parameter("model4.0.bias").grad is None


def test_judges_have_a_rate_of_their_own() -> None:
    apprentice = Apprentice(OmniTokenizer(TINY), replace(CODES, image_judge=0.1))
    made = optimizer(apprentice, OptimConfig(), {"image_judge.": 0.1, "video_judge.": 0.1})
    shares = [(len(group["params"]), group.get("share", 1.0)) for group in made.param_groups]
    assert shares[-1] == (len(list(apprentice.image_judge.parameters())), 0.1)  # type: ignore[union-attr]
    assert sum(count for count, _ in shares) == len(list(apprentice.parameters()))


def test_a_run_makes_a_tokenizer_that_loads(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segma.training.code_course._SETTLING", 3)
    monkeypatch.setattr("segma.training.loop._LOG_SECONDS", 0.0)
    outcome = start(run, tmp_path, CPU, check=[Path(run.data[0])])
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    losses = [row["loss"] for row in map(json.loads, lines) if "loss" in row]
    assert len(losses) == 8
    scores = outcome.report["held_out"]["after"]
    assert {"psnr_codes", "psnr_latent", "codes_used"} <= scores.keys()
    assert (
        scores["psnr_latent"] > 15
        and scores["psnr_codes"] > 15
        and 0 < outcome.report["fitted"]["codes_used"] <= 1
    )
    found = load(outcome.weights)
    assert isinstance(found.module, OmniTokenizer) and found.variant == "omnitokenizer_smaller"
    pixels = noise(1, 3, 5, 64, 64)
    assert found.module.float().decode_codes(found.module.encode_codes(pixels)).shape == pixels.shape


def test_codes_become_gaussians_with_a_new_last_layer(run: TrainConfig, tmp_path: Path) -> None:
    sizes = replace(TINY, joint=False, shortcut=False)
    network = OmniTokenizer(sizes)
    path = save(network, sizes, tmp_path / "codes.safetensors", origin="made up", licence="CC0-1.0")
    config = replace(run, start=str(path), codes=replace(CODES, to_gaussians=True))
    made = course().build(config)
    assert made.config == replace(sizes, num_codes=0) and made.licence == "CC0-1.0"
    assert isinstance(made.module, OmniTokenizer)
    assert made.module.pre_vq_conv["1"].weight.shape == (16, 32)
    assert torch.equal(*(each.get_parameter("post_vq_conv.1.weight") for each in (made.module, network)))
    with pytest.raises(InputError, match="to_gaussians needs weights"):
        course().build(replace(config, start=""))


def test_a_tokenizer_with_gaussians_is_not_given_new_ones(run: TrainConfig, tmp_path: Path) -> None:
    path = save(OmniTokenizer(TINY), TINY, tmp_path / "both.safetensors", origin="made up", licence="CC0-1.0")
    config = replace(run, start=str(path), codes=replace(CODES, to_gaussians=True))
    with pytest.raises(InputError, match="has Gaussians already"):
        course().build(config)


def test_perceptual_weights_are_the_users(run: TrainConfig, tmp_path: Path) -> None:
    shapes = {name: tuple(value.shape) for name, value in Lpips().state_dict().items()}
    state = {f"perceptual_model.{name}": value for name, value in made_up_state(shapes).items()}
    torch.save({"state_dict": state}, tmp_path / "official.ckpt")
    samples = read_parts([Path(run.data[0])], "train", 0.0, labelled=False).train
    codes = replace(CODES, lpips=str(tmp_path / "official.ckpt"), spectra=1.0)
    apprentice = course().student(course().build(run), samples, replace(run, codes=codes))
    assert isinstance(apprentice, Apprentice) and apprentice.lpips is not None
    assert not any("lpips" in name or "net." in name for name in apprentice.state_dict())
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(ModelError, match="no LPIPS"):
        course().student(
            course().build(run),
            samples,
            replace(run, codes=replace(codes, lpips=str(tmp_path / "other.ckpt"))),
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sizes": (100,)}, "multiples of 64"),
        ({"sizes": ()}, "multiples of 64"),
        ({"frames": 6}, r"1 \+ a multiple of 4"),
    ],
)
def test_sizes_that_do_not_fit_are_told(run: TrainConfig, change: dict[str, object], said: str) -> None:
    config = replace(run, codes=replace(CODES, **change))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        course().settled(config, course().build(run))


def test_batches_have_as_many_pixels_at_every_size(run: TrainConfig) -> None:
    samples = read_parts([Path(run.data[0])], "train", 0.0, labelled=False).train
    config = replace(run, steps=40, codes=replace(CODES, sizes=(64, 32), frames=9))
    batches = PixelBatches(PixelPool.of(samples.pictures, samples.clips), config)
    shapes = {tuple(batches[number].pixels.shape) for number in range(24)}
    assert shapes == {(4, 1, 3, 64, 64), (16, 1, 3, 32, 32), (1, 9, 3, 64, 64), (4, 9, 3, 32, 32)}
    assert torch.equal(batches[3].pixels, batches[3].pixels)


def test_frames_of_other_sizes_are_refused() -> None:
    import numpy as np

    frames = [np.zeros((40, 50, 3), np.uint8), np.zeros((40, 51, 3), np.uint8)]
    with pytest.raises(InputError, match="different sizes"):
        cropped(frames, 32, np.random.default_rng(0))


@pytest.mark.parametrize("name", [name for name in RECIPES if recipe(name).system == "omnitokenizer"])
def test_recipes_name_sizes_that_there_are(name: str) -> None:
    config = recipe(name)
    assert config.name == name and config.variant in VARIANTS
    sizes = VARIANTS[config.variant]
    assert isinstance(sizes, OmniTokenizerConfig)
    assert all(side % sizes.side_multiple == 0 for side in config.codes.sizes)
