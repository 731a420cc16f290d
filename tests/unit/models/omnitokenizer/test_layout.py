"""OmniTokenizer's files: sizes from names and shapes, training parts left out, arguments heeded."""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segma.checkpoints.detect import build, detect, identify
from segma.checkpoints.fill import made_up_state
from segma.checkpoints.load import inspect, load, load_inside
from segma.checkpoints.match import shapes_of
from segma.checkpoints.save import save
from segma.errors import MisfitError, ModelError
from segma.models.catalog import find_system
from segma.models.omnitokenizer import layout
from segma.models.omnitokenizer.config import VARIANTS as TOKENIZERS
from segma.models.omnitokenizer.config import OmniTokenizerConfig
from segma.models.omnitokenizer.dit_config import VARIANTS as DITS
from segma.models.omnitokenizer.dit_config import DitConfig
from segma.models.omnitokenizer.enhancer_config import VARIANTS as ENHANCERS
from segma.models.omnitokenizer.enhancer_config import EnhancerConfig
from segma.models.omnitokenizer.gpt_config import VARIANTS as GPTS
from segma.models.omnitokenizer.gpt_config import GptConfig
from segma.models.omnitokenizer.gpt_layout import TOKENIZER_PREFIX

TOY = OmniTokenizerConfig(
    dim=32, heads=2, head_dim=12, mlp_dim=40, patch=4, temporal_patch=2, window=2, encoder_spatial="twt",
    encoder_temporal="tt", decoder_temporal="t", decoder_spatial="tw", code_dim=6, num_codes=64,
)  # fmt: skip
TOYS = {
    "codes": TOY,
    "gaussians": replace(TOY, num_codes=0),
    "relative": replace(TOY, spatial_position="relative"),
    "causal": replace(TOY, temporal_layout="causal"),
    "moving": replace(TOY, encoder_spatial="tct", decoder_spatial="tc", moving=True),
    "no windows": replace(TOY, encoder_spatial="t", decoder_spatial="t", window=8),
}
TOY_GPT = GptConfig(vocabulary=80, block=20, dim=24, layers=2, heads=3)
TOY_DIT = DitConfig(channels=6, side=4, dim=16, layers=2, heads=1, num_classes=3)
TOY_ENHANCER = EnhancerConfig(dim=8, blocks=2, channels=6, scales=(3,))
SYSTEMS = {
    "omnitokenizer": TOKENIZERS,
    "omnitokenizer_gpt": GPTS,
    "omnitokenizer_dit": DITS,
    "omnitokenizer_enhancer": ENHANCERS,
}
OLD = {"casual_in_temporal_transformer": True, "casual_in_peg": True, "l2_code": True, "spatial_pos": "rope"}


def network(system: str, config: Any) -> nn.Module:
    """On the meta device."""
    with torch.device("meta"):
        return build(find_system(system), config)


def weights(system: str, config: Any) -> dict[str, Tensor]:
    """Weights that follow from their names; whole numbers as the network makes them."""
    module = build(find_system(system), config)
    floating = {
        name: tuple(value.shape) for name, value in module.state_dict().items() if value.is_floating_point()
    }
    return {**module.state_dict(), **made_up_state(floating)}


def training_parts() -> dict[str, Tensor]:
    names = ("image_discriminator.main.0.weight", "video_discriminator.noise.weight", "perceptual_model.a")
    return {name: torch.ones(2) for name in names}


def lightning(state: dict[str, Tensor], path: Path, **arguments: object) -> Path:
    """A file as Lightning 1.5 leaves it."""
    saved = {
        "epoch": 1,
        "pytorch-lightning_version": "1.5.4",
        "state_dict": state,
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "hyper_parameters": {"args": argparse.Namespace(**arguments)},
    }
    torch.save(saved, path)
    return path


@pytest.mark.parametrize(
    ("system", "variant"), [(system, variant) for system in SYSTEMS for variant in SYSTEMS[system]]
)
def test_every_variant_is_found_by_its_names_and_shapes(system: str, variant: str) -> None:
    config = SYSTEMS[system][variant]
    found = detect({"module." + name: shape for name, shape in shapes_of(network(system, config)).items()})
    assert (found.system, found.layout) == (system, "official")
    if system == "omnitokenizer":  # no tensor shows biases that are added, nor how far a memory goes
        config = replace(config, attention_bias=False, temporal_memory=0)
    assert found.config == config
    assert found.variant == next((name for name, each in SYSTEMS[system].items() if each == config), None)


@pytest.mark.parametrize(
    ("system", "variant"), [(system, variant) for system in SYSTEMS for variant in SYSTEMS[system]]
)
def test_sizes_go_to_json_and_back(system: str, variant: str) -> None:
    module = import_module(find_system(system).config_module)
    config = SYSTEMS[system][variant]
    assert module.from_json_dict(module.to_json_dict(config)) == config
    with pytest.raises(ModelError, match="it has no field other"):
        module.from_json_dict({"other": 3})


@pytest.mark.parametrize("name", TOYS)
def test_sizes_without_a_name_are_read_from_shapes(name: str) -> None:
    found = detect(shapes_of(network("omnitokenizer", TOYS[name])))
    assert (found.config, found.variant) == (TOYS[name], None)


@pytest.mark.parametrize("name", ["codes", "gaussians"])
def test_a_training_run_is_loaded_without_what_only_training_needs(name: str, tmp_path: Path) -> None:
    config = TOYS[name]
    state = weights("omnitokenizer", config)
    spare = {"codebook.embeddings": torch.ones(64, 6), "codebook.N": torch.ones(64)}
    whole = {**state, **training_parts(), **({} if config.num_codes else spare)}
    path = lightning(whole, tmp_path / "run.ckpt", **OLD)
    loaded = load(path)
    assert (loaded.system, loaded.config, loaded.name) == ("omnitokenizer", config, "run")
    found = loaded.module.state_dict()
    assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)
    facts = inspect(path)
    assert not facts.misfit and facts.num_tensors == len(whole)
    assert facts.config["encoder_spatial"] == "twt" and facts.config["num_codes"] == config.num_codes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"casual_in_peg": False}, "casual_in_peg = False"),
        ({"causal_in_temporal_transformer": False}, "causal_in_temporal_transformer = False"),
        ({"l2_code": False}, "l2_code = False"),
        ({"defer_temporal_pool": True}, "defer_temporal_pool = True"),
        ({"gen_upscale": 2}, "gen_upscale = 2"),
        ({"use_external_codebook": "yes"}, "use_external_codebook = 'yes'"),
    ],
)
def test_arguments_that_ask_for_another_network_are_refused(
    arguments: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = lightning(weights("omnitokenizer", TOY), tmp_path / "run.ckpt", **arguments)
    with pytest.raises(ModelError, match=f"trained with {said}") as caught:
        load(path)
    assert caught.value.code == "model.unreadable" and "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [{}, OLD, {"causal_in_peg": True, "gen_upscale": None, "lr": 1e-3}])
def test_old_names_new_names_and_none_are_all_right(arguments: dict[str, object]) -> None:
    assert layout.with_arguments(TOY, arguments) is TOY
    assert layout.with_arguments(TOYS["gaussians"], {**arguments, "l2_code": False}).is_continuous


@pytest.mark.parametrize(
    ("name", "shape"),
    [("decoder.to_pixels.0.weight", (7, 32)), ("encoder.to_patch_emb.1.weight", (95,))],
)
def test_a_wrong_width_is_told_as_a_misfit(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    state = weights("omnitokenizer", TOY) | {name: torch.ones(shape)}
    with pytest.raises(MisfitError, match=f"1 tensor misshapen; .* First misshapen: {name} is") as caught:
        load(lightning(state, tmp_path / "run.ckpt"))
    assert [entry[0] for entry in caught.value.misshapen] == [name]


def test_a_missing_codebook_is_told_by_name(tmp_path: Path) -> None:
    state = weights("omnitokenizer", TOY)
    del state["codebook.embeddings"]
    with pytest.raises(MisfitError) as caught:
        load(lightning(state, tmp_path / "run.ckpt"))
    assert "codebook.embeddings" in caught.value.missing


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("encoder.to_patch_emb_first_frame.2.weight", (32,)),
        ("encoder.enc_temporal_transformer.layers.0.1.q_scale", (0,)),
        ("encoder.enc_temporal_transformer.layers.7.3.0.weight", (32,)),
    ],
)
def test_shapes_that_contradict_each_other_are_no_model(name: str, shape: tuple[int, ...]) -> None:
    shapes = shapes_of(network("omnitokenizer", TOY))
    with pytest.raises(ModelError, match="belong to no model"):
        detect({**shapes, name: shape})


def language_model(tmp_path: Path, **arguments: object) -> Path:
    """With its tokenizer and its masks, as released."""
    state = {f"transformer.{name}": value for name, value in weights("omnitokenizer_gpt", TOY_GPT).items()}
    masks = {f"transformer.blocks.{index}.attn.mask": torch.ones(1, 1, 20, 20) for index in range(2)}
    tokenizer = {**weights("omnitokenizer", TOY), **training_parts()}
    inside = {TOKENIZER_PREFIX + name: value for name, value in tokenizer.items()}
    return lightning({**inside, **state, **masks}, tmp_path / "lm.ckpt", **arguments)


def test_a_language_model_is_loaded_and_so_is_the_tokenizer_inside(tmp_path: Path) -> None:
    path = language_model(tmp_path, n_head=3, class_first=True)
    loaded = load(path)
    assert (loaded.system, loaded.config) == ("omnitokenizer_gpt", TOY_GPT)
    own = weights("omnitokenizer_gpt", TOY_GPT)
    assert all(torch.equal(value, own[name]) for name, value in loaded.module.state_dict().items())
    inner = load_inside(path, TOKENIZER_PREFIX)
    assert (inner.system, inner.config, inner.name) == ("omnitokenizer", TOY, "lm/first_stage_model")
    codes = inner.module.get_buffer("codebook.embeddings")
    assert torch.equal(codes, weights("omnitokenizer", TOY)["codebook.embeddings"])


def test_nothing_inside_is_told(tmp_path: Path) -> None:
    path = lightning(weights("omnitokenizer", TOY), tmp_path / "run.ckpt")
    with pytest.raises(ModelError, match=r'run\.ckpt holds nothing under "first_stage_model\."'):
        load_inside(path, TOKENIZER_PREFIX)


def test_heads_come_from_arguments_else_from_the_width(tmp_path: Path) -> None:
    shapes = shapes_of(network("omnitokenizer_gpt", TOY_GPT))
    assert identify(shapes, {"arguments": '{"n_head": 6}'}).config.heads == 6
    assert detect(shapes).config.heads == 1
    assert detect(shapes_of(network("omnitokenizer_gpt", replace(TOY_GPT, dim=960)))).config.heads == 10
    for wrong in ('{"n_head": 7}', '{"n_head": 0}', '{"n_head": true}'):
        with pytest.raises(ModelError, match="OmniTokenizer language model configuration makes no sense"):
            identify(shapes, {"arguments": wrong})


@pytest.mark.parametrize("groups", [0, 3])
def test_of_a_diffusion_transformer_the_moving_average_is_loaded(groups: int, tmp_path: Path) -> None:
    config = replace(TOY_DIT, groups=groups)
    state = weights("omnitokenizer_dit", config)
    raw = {name: value + 1 for name, value in state.items()}
    torch.save(
        {"model": raw, "ema": state, "opt": {}, "args": argparse.Namespace(model="DiT-XL/2")},
        tmp_path / "dit.pt",
    )
    loaded = load(tmp_path / "dit.pt")
    assert (loaded.system, loaded.config) == ("omnitokenizer_dit", config)
    assert all(torch.equal(value, state[name]) for name, value in loaded.module.state_dict().items())


@pytest.mark.parametrize(
    ("system", "config"),
    [
        ("omnitokenizer", TOYS["causal"]),
        ("omnitokenizer_gpt", TOY_GPT),
        ("omnitokenizer_dit", TOY_DIT),
        ("omnitokenizer_enhancer", TOY_ENHANCER),
    ],
)
def test_our_own_files_say_what_no_tensor_shows(system: str, config: Any, tmp_path: Path) -> None:
    config = replace(config, temporal_memory=3) if system == "omnitokenizer" else config
    module = build(find_system(system), config)
    path = save(module, config, tmp_path / "ours.safetensors", origin="a test", licence="CC0-1.0")
    assert load(path).config == config
    with pytest.raises(ModelError, match="transformers has no such network") as caught:
        save(module, config, tmp_path / "hub", origin="", licence="X", layout="transformers")
    assert caught.value.code == "model.mismatch"


def test_a_name_is_loaded_with_what_only_the_name_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether biases are added, no file says; and a file of another kind under a name is refused."""
    monkeypatch.setenv("SEGMA_CACHE", str(tmp_path))
    monkeypatch.setenv("SEGMA_OFFLINE", "1")
    wanted = network("omnitokenizer", TOKENIZERS["omnitokenizer_image"]).state_dict()
    empty = {
        name: torch.zeros(value.shape, dtype=torch.float16 if value.is_floating_point() else value.dtype)
        for name, value in wanted.items()
    }
    lightning(empty, tmp_path / "imagenet_only.ckpt", **OLD)
    assert load("omnitokenizer_imagenet_only").config.attention_bias
    assert not load(tmp_path / "imagenet_only.ckpt").config.attention_bias
    lightning(weights("omnitokenizer", TOYS["gaussians"]), tmp_path / "imagenet_k600.ckpt")
    with pytest.raises(MisfitError, match=r"imagenet_k600\.ckpt: .* looks like omnitokenizer of unusual"):
        load("omnitokenizer_imagenet_k600")
    with pytest.raises(ModelError) as caught:
        load("omnitokenizer_dit")
    assert caught.value.code == "model.download"
    assert "https://huggingface.co/Daniel0724/OmniTokenizer/resolve/main/dit.pt" in str(caught.value)
