"""Checkpoints out: they come back as they were, and other programs read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from segma.checkpoints import save as saving
from segma.checkpoints.detect import CONFIG_KEY, SYSTEM_KEY
from segma.checkpoints.read import read_checkpoint
from segma.checkpoints.save import LICENCE_KEY, ORIGIN_KEY, save
from segma.errors import InputError, StoreError
from segma.models.interfaces import PromptTensors
from segma.models.sam.config import SamConfig, from_json_dict
from segma.models.sam.model import Sam


def save_toy(module: Sam, path: Path, **options: Any) -> Path:
    return save(module, module.config, path, origin="made up", licence="CC0-1.0", **options)


@pytest.mark.parametrize("name", ["toy.safetensors", "toy.pth", "toy.pt"])
def test_what_was_saved_is_read_again(
    name: str, toy_model: Sam, toy_state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = save_toy(toy_model, tmp_path / name)
    found = read_checkpoint(path).tensors
    assert found.keys() == toy_state.keys()
    assert all(torch.equal(found[name], toy_state[name]) for name in toy_state)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_safetensors_hold_config_origin_and_licence(
    toy_model: Sam, toy_config: SamConfig, tmp_path: Path
) -> None:
    path = save_toy(toy_model, tmp_path / "toy.safetensors")
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert metadata[SYSTEM_KEY] == "sam"
    assert (metadata[ORIGIN_KEY], metadata[LICENCE_KEY]) == ("made up", "CC0-1.0")
    assert from_json_dict(json.loads(metadata[CONFIG_KEY])) == toy_config


def test_a_file_that_is_in_use_can_be_replaced(toy_model: Sam, tmp_path: Path) -> None:
    path = save_toy(toy_model, tmp_path / "toy.safetensors")
    mapped = read_checkpoint(path).tensors["mask_decoder.mask_tokens.weight"]
    before = mapped.clone()
    with torch.no_grad():
        toy_model.mask_decoder.mask_tokens.weight.add_(1)
    save_toy(toy_model, path)
    assert torch.equal(mapped, before)
    assert torch.equal(read_checkpoint(path).tensors["mask_decoder.mask_tokens.weight"], before + 1)


def test_transformers_loads_the_folder_and_agrees(
    toy_model: Sam, toy_config: SamConfig, tmp_path: Path
) -> None:
    from transformers import SamModel

    folder = save_toy(toy_model, tmp_path / "hub", layout="transformers")
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors"}
    loaded: Any = SamModel.from_pretrained(folder, output_loading_info=True)  # a pair, then
    theirs, report = loaded
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))

    generator = torch.Generator().manual_seed(5)
    pixels = torch.randn(1, 3, 64, 64, generator=generator)
    click = torch.tensor([[20.0, 31.0]])
    with torch.no_grad():
        out = theirs.eval()(
            pixel_values=pixels,
            input_points=click[None, None],
            input_labels=torch.ones(1, 1, 1, dtype=torch.long),
        )
        prompts = PromptTensors(coords=click[None], labels=torch.tensor([[1]]))
        features = toy_model.encode_image(pixels)
        decoded = toy_model.decode(features, prompts)
        masks = toy_model.render_masks(decoded, torch.zeros(3, dtype=torch.long), torch.arange(1, 4))
    torch.testing.assert_close(theirs.get_image_embeddings(pixels), features.embedding, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.pred_masks[0, 0], masks, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.iou_scores[0, 0], decoded.predicted_iou[0, 1:], atol=1e-5, rtol=1e-5)


def test_a_folder_of_transformers_is_read_again(
    toy_model: Sam, toy_config: SamConfig, toy_state: dict[str, Tensor], tmp_path: Path
) -> None:
    from transformers import SamModel

    save_toy(toy_model, tmp_path / "ours", layout="transformers")
    SamModel.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")

    from segma.checkpoints.load import load

    for folder in ("ours", "theirs"):
        loaded = load(tmp_path / folder)
        assert loaded.config == toy_config
        state = loaded.module.state_dict()
        assert state.keys() == toy_state.keys()
        assert all(torch.equal(state[name], toy_state[name]) for name in toy_state), folder


def test_another_suffix_is_refused(toy_model: Sam, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"toy\.onnx: weights are written to \.safetensors") as caught:
        save_toy(toy_model, tmp_path / "toy.onnx")
    assert caught.value.code == "input.value"


def test_a_config_of_nothing_is_refused(toy_model: Sam, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dict is no configuration"):
        save(toy_model, {}, tmp_path / "toy.pth", origin="", licence="")


@pytest.mark.parametrize("name", ["toy.safetensors", "toy.pth"])
def test_a_folder_that_is_not_there_is_told(name: str, toy_model: Sam, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written") as caught:
        save_toy(toy_model, tmp_path / "nowhere" / name)
    assert caught.value.code == "disk.unwritable"


def test_a_place_taken_by_a_file_is_told(toy_model: Sam, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        save_toy(toy_model, tmp_path / "hub", layout="transformers")


@pytest.mark.parametrize("name", ["toy.safetensors", "toy.pth"])
def test_a_place_taken_by_a_folder_leaves_no_draft(name: str, toy_model: Sam, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        save_toy(toy_model, tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_full_disk_is_told_before_anything_is_written(
    toy_model: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = saving.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreError, match=r"Only 1 kB left in .*; toy\.pth needs about \d+ kB") as caught:
        save_toy(toy_model, tmp_path / "toy.pth")
    assert caught.value.code == "disk.full"
    assert list(tmp_path.iterdir()) == []
