"""`segma model`: list, info, check, import, export."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from segma.models.catalog import MODELS
from segma.models.omnitokenizer.config import OmniTokenizerConfig
from segma.models.omnitokenizer.model import OmniTokenizer
from segma.models.sam.model import Sam

Segma = Callable[..., Any]  # conftest's Ended


@pytest.fixture
def official(toy_module: Sam, tmp_path: Path) -> Path:
    """The toy as its authors would have published it."""
    path = tmp_path / "sam_toy.pth"
    torch.save(toy_module.state_dict(), path)
    return path


def same_tensors(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_list_names_every_model_with_its_licence(segma: Segma) -> None:
    done = segma("model", "list")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["name", "system", "parameters", "size", "licence", "weights", "note"]
    assert [line.split()[0] for line in lines[1:]] == list(MODELS)
    assert all(MODELS[line.split()[0]].licence in line for line in lines[1:])


def test_list_says_what_is_installed(segma: Segma, cache: Path) -> None:
    before = {row["name"]: row["weights"] for row in segma("model", "list", "--json").objects}
    shipped = ("default", "tokenizer", "generator", "enhancer")
    assert before == {name: "installed" if name in shipped else "not fetched" for name in MODELS}
    cache.mkdir()
    (cache / "sam_vit_b_01ec64.pth").write_bytes(b"x" * 4321)
    after = {row["name"]: row for row in segma("model", "list", "--json").objects}
    assert (after["sam_vit_b"]["weights"], after["sam_vit_b"]["size_bytes"]) == ("installed", 4321)


def test_info_of_a_name(segma: Segma, cache: Path) -> None:
    [data] = segma("model", "info", "vit_b", "--json").objects
    assert (data["name"], data["licence"], data["weights"]) == ("sam_vit_b", "Apache-2.0", "not fetched")
    assert data["path"] == str(cache / "sam_vit_b_01ec64.pth")
    assert "note          small, trained by us" in segma("model", "info", "default").out


def test_info_of_a_file(segma: Segma, toy: Path) -> None:
    [data] = segma("model", "info", toy, "--json").objects
    assert (data["licence"], data["origin"], data["layout"]) == ("CC0-1.0", "made up for tests", "official")
    assert data["config"]["image_size"] == 64
    text = segma("model", "info", toy).out
    assert f"sha256        {data['sha256']}\n" in text
    assert "fit           all tensors fit\n" in text


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A tokenizer of toy size as its authors' training program left it."""
    config = OmniTokenizerConfig(
        dim=16, heads=2, head_dim=8, mlp_dim=20, window=2, encoder_spatial="tw", encoder_temporal="t",
        decoder_temporal="t", decoder_spatial="t", num_codes=32,
    )  # fmt: skip
    state = {**OmniTokenizer(config).state_dict(), "image_discriminator.main.0.bias": torch.ones(3)}
    arguments = argparse.Namespace(casual_in_peg=True, l2_code=True)
    torch.save({"state_dict": state, "hyper_parameters": {"args": arguments}}, tmp_path / "run.ckpt")
    return tmp_path / "run.ckpt"


def test_info_of_a_training_run_tells_what_was_inferred(segma: Segma, tokenizer: Path) -> None:
    [data] = segma("model", "info", tokenizer, "--json").objects
    assert (data["system"], data["variant"], data["fit"]) == ("omnitokenizer", None, "all tensors fit")
    assert data["config"]["encoder_spatial"] == "tw" and data["config"]["num_codes"] == 32
    assert "temporal_layout official" in segma("model", "info", tokenizer).out


@pytest.mark.parametrize("verb", ["segment", "everything"])
def test_a_model_for_another_task_is_refused_by_name_and_as_a_file(
    verb: str, segma: Segma, tokenizer: Path, photo: Path, cache: Path
) -> None:
    point = ("--point", "3,3") if verb == "segment" else ()
    for model in ("omnitokenizer_ffhq", tokenizer):
        done = segma(verb, photo, *point, "--model", model, "-o", photo.parent / "out")
        assert done.code == 4
        assert f'{Path(model).stem} is not for the task "segment". Choose another' in done.err
    assert not cache.exists()


def test_check_of_a_file_that_fits(segma: Segma, official: Path) -> None:
    done = segma("model", "check", official)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("tensors: all tensors fit\n")


def test_check_names_what_does_not_fit(segma: Segma, toy_module: Sam, tmp_path: Path) -> None:
    state = dict(toy_module.state_dict())
    gone = "mask_decoder.iou_token.weight"
    del state[gone]
    state["extra"] = torch.zeros(2)
    path = tmp_path / "bad.pth"
    torch.save(state, path)
    done = segma("model", "check", path)
    assert done.code == 4
    assert (
        f"error: bad.pth: 1 tensor missing, 1 unexpected. First missing: {gone}. [model.mismatch]" in done.err
    )
    assert done.out.splitlines()[1:] == [f"  missing {gone}", "  unexpected extra"]
    [data] = segma("model", "check", path, "--json").objects
    assert (data["fits"], data["missing"], data["unexpected"]) == (False, [gone], ["extra"])


def test_there_and_back(segma: Segma, toy_module: Sam, official: Path, tmp_path: Path) -> None:
    ours, folder, back = tmp_path / "ours.safetensors", tmp_path / "hub", tmp_path / "back.safetensors"
    done = segma("model", "import", official, "-o", ours)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{ours}  ")
    with safe_open(ours, "pt") as file:
        metadata = file.metadata()
    assert metadata["segma_licence"] == "unknown"
    assert metadata["segma_origin"].startswith("sam_toy.pth, sha256 ")
    assert segma("model", "export", ours, "--layout", "transformers", "-o", folder).code == 0
    assert json.loads((folder / "config.json").read_text())["model_type"] == "sam"
    assert segma("model", "import", folder, "-o", back).code == 0
    assert same_tensors(load_file(back), dict(toy_module.state_dict()))
    with safe_open(back, "pt") as file:
        assert file.metadata()["segma_origin"] == metadata["segma_origin"], "an origin is handed on"
    done = segma("model", "export", back, "-o", tmp_path / "out.pth", "--json")
    assert done.objects[0]["output"] == str(tmp_path / "out.pth")
    published = torch.load(tmp_path / "out.pth", weights_only=True)
    assert same_tensors(published, dict(toy_module.state_dict()))


def test_nothing_is_replaced_unasked(segma: Segma, toy: Path, tmp_path: Path) -> None:
    target, folder = tmp_path / "x.pth", tmp_path / "hub"
    target.write_text("mine")
    folder.mkdir()
    (folder / "config.json").write_text("mine")
    for command in (("-o", target), ("-o", folder, "--layout", "transformers")):
        done = segma("model", "export", toy, *command)
        assert (done.code, "[input.exists]" in done.err) == (2, True)
        assert segma("model", "export", toy, *command, "--overwrite").code == 0
    assert target.stat().st_size > 1000
    assert segma("model", "import", toy, "-o", tmp_path / "x.bin").code == 2


@pytest.mark.parametrize("verb", ["info", "check", "export"])
def test_what_is_not_there(segma: Segma, tmp_path: Path, verb: str) -> None:
    rest = ("-o", tmp_path / "x.pth") if verb == "export" else ()
    done = segma("model", verb, tmp_path / "none.pth", *rest)
    assert done.code == 3
    assert "none.pth: no such file." in done.err


def test_an_unknown_name(segma: Segma) -> None:
    done = segma("model", "info", "sam_vit_bb")
    assert done.code == 4
    assert 'No model "sam_vit_bb". Nearest: sam_vit_b. See: segma model list [model.unknown]' in done.err
