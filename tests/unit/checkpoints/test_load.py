"""The one door: names, files and folders become networks."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segma.checkpoints import load as loading
from segma.checkpoints.load import inspect, load
from segma.checkpoints.save import save
from segma.errors import InputError, MisfitError, ModelError
from segma.models.catalog import MODELS, EmbeddedFile, Entry
from segma.models.omnitokenizer.dit_config import DitConfig
from segma.models.sam.config import SamConfig
from segma.models.sam.model import Sam
from segma.models.sam2.config import VARIANTS
from segma.runtime import Runtime
from segma.training.records import embedded_folder, read_record


@pytest.fixture
def toy_file(toy_model: Sam, toy_config: SamConfig, tmp_path: Path) -> Path:
    return save(toy_model, toy_config, tmp_path / "toy.safetensors", origin="a test", licence="CC0-1.0")


@pytest.mark.parametrize(
    ("name", "most_mebibytes"), [("default", 14), ("tokenizer", 8), ("generator", 6), ("enhancer", 1)]
)
def test_what_is_in_the_package_is_small_and_has_its_record(name: str, most_mebibytes: int) -> None:
    loaded, path = load(name), embedded_folder() / f"{name}.safetensors"
    assert loaded.files == (path,) and path.stat().st_size <= most_mebibytes * 2**20
    record, row = read_record(embedded_folder() / f"{name}.json"), MODELS[name]
    assert loaded.weights_hash == record.sha256
    assert (loaded.variant, loaded.licence) == (row.variant, row.licence) == (record.variant, row.licence)
    assert sum(each.numel() for each in loaded.module.parameters()) == row.parameters
    assert all(bool(value.isfinite().all()) for value in loaded.module.state_dict().values())


def test_the_default_has_the_sizes_of_its_row() -> None:
    assert load("default").config == VARIANTS["sam2.1_conv_small"]


def test_the_generator_knows_whose_latents_it_makes() -> None:
    config = load("generator").config
    assert isinstance(config, DitConfig) and config.tokenizer == load("tokenizer").weights_hash


def test_a_loaded_network_is_for_use_and_not_for_training() -> None:
    module = load("default").module
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not any(buffer.is_meta for buffer in module.buffers())


@pytest.mark.parametrize("as_text", [True, False])
def test_a_file_becomes_a_network(
    as_text: bool, toy_file: Path, toy_config: SamConfig, toy_state: dict[str, Tensor]
) -> None:
    loaded = load(str(toy_file) if as_text else toy_file)
    assert (loaded.name, loaded.system, loaded.variant) == ("toy", "sam", None)
    assert loaded.config == toy_config
    assert loaded.licence == "CC0-1.0"
    assert loaded.weights_hash == hashlib.sha256(toy_file.read_bytes()).hexdigest()
    state = loaded.module.state_dict()
    assert all(torch.equal(state[name], toy_state[name]) for name in toy_state)


def test_half_precision_files_are_computed_in_float32(toy_state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({name: value.half() for name, value in toy_state.items()}, tmp_path / "half.pth")
    module = load(tmp_path / "half.pth").module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


@pytest.mark.parametrize("wrap", ["module.", "model.sam."])
def test_wrapped_and_nested_files_load(wrap: str, toy_state: dict[str, Tensor], tmp_path: Path) -> None:
    wrapped: dict[str, object] = {wrap + name: value for name, value in toy_state.items()}
    wrapped["pixel_mean"] = torch.zeros(3, 1, 1)
    torch.save({"state_dict": wrapped, "epoch": 1}, tmp_path / "run.ckpt")
    state = load(tmp_path / "run.ckpt").module.state_dict()
    assert all(torch.equal(state[name], toy_state[name]) for name in toy_state)


def test_a_runtime_places_the_network(toy_file: Path) -> None:
    module = load(toy_file, Runtime(device="cpu", precision="fp32")).module
    assert module.get_parameter("image_encoder.pos_embed").device.type == "cpu"


def test_a_misfit_says_what_the_file_looks_like(toy_state: dict[str, Tensor], tmp_path: Path) -> None:
    del toy_state["mask_decoder.iou_token.weight"]
    toy_state["mask_decoder.extra.weight"] = torch.ones(1)
    torch.save(toy_state, tmp_path / "odd.pth")
    with pytest.raises(MisfitError) as caught:
        load(tmp_path / "odd.pth")
    assert caught.value.missing == ("mask_decoder.iou_token.weight",)
    assert caught.value.unexpected == ("mask_decoder.extra.weight",)
    assert str(caught.value) == (
        "odd.pth: 1 tensor missing, 1 unexpected; it looks like sam of unusual size. "
        "First missing: mask_decoder.iou_token.weight."
    )


def put_row(monkeypatch: pytest.MonkeyPatch, row: Entry) -> None:
    """Let the catalog have one more row, as a plug-in would."""
    monkeypatch.setattr("segma.models.catalog.MODELS", {**MODELS, row.name: row})


def installed(variant: str, name: str) -> Entry:
    return Entry(
        name="trained_demo",
        system="sam2",
        variant=variant,
        tasks=("segment",),
        licence="CC0-1.0",
        weights=EmbeddedFile(package="segma_test_weights", file_name=name),
        parameters=1,
        note="for a test",
    )


@pytest.fixture
def weights_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "segma_test_weights"
    folder.mkdir()
    (folder / "__init__.py").touch()
    demo = load("default")
    save(demo.module, demo.config, folder / "demo.safetensors", origin="a test", licence="X")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_weights_that_a_package_brings_are_loaded_by_name(
    weights_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_row(monkeypatch, installed("sam2.1_conv_small", "demo.safetensors"))
    loaded = load("trained_demo")
    assert (loaded.name, loaded.licence, loaded.note) == ("trained_demo", "CC0-1.0", "for a test")
    assert loaded.files == (weights_package / "demo.safetensors",)


def test_a_name_whose_file_is_another_variant_is_refused_with_advice(
    weights_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_row(monkeypatch, installed("sam2.1_hiera_tiny", "demo.safetensors"))
    with pytest.raises(MisfitError, match=r"it looks like sam2\.1_conv_small"):
        load("trained_demo")


def test_an_official_name_is_loaded_from_the_cache(
    toy_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMA_CACHE", str(tmp_path))
    monkeypatch.setenv("SEGMA_OFFLINE", "1")
    torch.save(toy_state, tmp_path / "sam_vit_b_01ec64.pth")
    with pytest.raises(
        MisfitError, match=r"sam_vit_b_01ec64\.pth: .* missing.*; it looks like sam of unusual"
    ):
        load("vit_b")
    (tmp_path / "sam_vit_b_01ec64.pth").unlink()
    with pytest.raises(ModelError) as caught:
        load("sam_vit_b")
    assert caught.value.code == "model.download"


def test_names_and_paths_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_file: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    shutil.copy(toy_file, tmp_path / "weights")
    assert load("default").files == (embedded_folder() / "default.safetensors",)
    assert load("weights").name == "weights"
    with pytest.raises(ModelError, match="holds no weight file"):
        load("./default")
    for missing in ("none.safetensors", "folder/none", Path("none")):
        with pytest.raises(InputError) as caught:
            load(missing)
        assert caught.value.code == "input.not_found"
    with pytest.raises(ModelError) as unknown:
        load("none")
    assert unknown.value.code == "model.unknown"


def test_facts_of_a_file(toy_file: Path, toy_model: Sam) -> None:
    facts = inspect(toy_file)
    assert (facts.system, facts.variant, facts.layout) == ("sam", None, "official")
    assert facts.config["encoder_width"] == 32
    assert facts.num_tensors == len(toy_model.state_dict())
    assert facts.num_parameters == sum(parameter.numel() for parameter in toy_model.parameters())
    assert facts.dtypes == ("float32",)
    assert facts.size_bytes == toy_file.stat().st_size
    assert facts.sha256 == hashlib.sha256(toy_file.read_bytes()).hexdigest()
    assert (facts.licence, facts.origin) == ("CC0-1.0", "a test")
    assert not facts.misfit


def test_facts_of_a_folder_in_the_other_layout(toy_model: Sam, toy_config: SamConfig, tmp_path: Path) -> None:
    save(toy_model.half(), toy_config, tmp_path / "hub", layout="transformers", origin="", licence="X")
    facts = inspect(tmp_path / "hub")
    assert facts.layout == "transformers"
    assert facts.num_tensors == len(toy_model.state_dict()) + 1
    assert facts.num_parameters == sum(parameter.numel() for parameter in toy_model.parameters())
    assert facts.dtypes == ("float16",)


def test_facts_tell_a_misfit_instead_of_raising(toy_state: dict[str, Tensor], tmp_path: Path) -> None:
    del toy_state["mask_decoder.iou_token.weight"]
    torch.save(toy_state, tmp_path / "odd.pth")
    facts = inspect(tmp_path / "odd.pth")
    assert str(facts.misfit) == "1 tensor missing"
    assert facts.licence == "unknown"


def test_several_files_have_one_hash(tmp_path: Path) -> None:
    files = tuple(tmp_path / name for name in ("a", "b"))
    for file in files:
        file.write_bytes(file.name.encode())
    lines = "".join(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files)
    model = loading.LoadedModel(
        module=torch.nn.Identity(),
        config=None,
        name="x",
        system="sam",
        variant=None,
        files=files,
        licence="X",
    )
    assert model.weights_hash == hashlib.sha256(lines.encode()).hexdigest()
