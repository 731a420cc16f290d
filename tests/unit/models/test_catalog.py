"""The table of models: rows agree with the networks, names are found, plug-ins add rows."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from segma.errors import ModelError
from segma.models import catalog
from segma.models.catalog import ALIASES, MODELS, SYSTEMS, Entry, OfficialFile, lookup


@pytest.mark.parametrize("name", MODELS)
def test_a_row_names_an_existing_variant_with_that_many_parameters(name: str) -> None:
    row = MODELS[name]
    system = SYSTEMS[row.system]
    config = import_module(system.config_module).VARIANTS[row.variant]
    with torch.device("meta"):
        module = getattr(import_module(system.model_module), system.model_class)(config)
    assert row.name == name
    assert row.licence and row.tasks
    assert sum(parameter.numel() for parameter in module.parameters()) == row.parameters


def test_official_rows_say_where_their_file_is() -> None:
    official = [row for row in MODELS.values() if isinstance(row.weights, OfficialFile)]
    assert {row.name for row in official if row.system == "sam"} == {"sam_vit_b", "sam_vit_l", "sam_vit_h"}
    sam2 = [row.name for row in official if row.system == "sam2"]
    assert sam2 == [f"{v}_hiera_{size}" for v in ("sam2.1", "sam2") for size in ("t", "s", "b+", "l")]
    for row in official:
        assert isinstance(row.weights, OfficialFile)
        assert row.weights.url.startswith("https://")
        if row.system.startswith("omnitokenizer"):
            continue
        assert row.weights.file_name.startswith(row.variant)
        assert row.weights.file_name.endswith(".pth" if row.system == "sam" else ".pt")
        assert row.weights.hub_repo.startswith("facebook/")


def test_every_released_file_of_omnitokenizer_has_a_row() -> None:
    rows = [row for row in MODELS.values() if row.name.startswith("omnitokenizer_")]
    kinds = [(row.system, row.tasks) for row in rows]
    assert kinds.count(("omnitokenizer", ("tokens",))) == 13
    assert kinds.count(("omnitokenizer_gpt", ("generate",))) == 3
    assert kinds.count(("omnitokenizer_dit", ("generate",))) == 2
    for row in rows:
        assert isinstance(row.weights, OfficialFile) and row.licence == "MIT"
        assert row.name == f"omnitokenizer_{row.weights.file_name.rsplit('.', 1)[0]}"
        folder = f"https://huggingface.co/{row.weights.hub_repo}/resolve/main/"
        assert row.weights.url == folder + row.weights.file_name
    assert [row.name for row in rows if row.variant.endswith("_biased")] == ["omnitokenizer_imagenet_only"]


def test_a_name_for_another_task_is_told_before_anything_is_fetched() -> None:
    with pytest.raises(ModelError) as caught:
        catalog.check_task("omnitokenizer_ffhq", "segment")
    assert caught.value.code == "model.task"
    assert str(caught.value) == (
        'omnitokenizer_ffhq is not for the task "segment". Choose another, for example --model default.'
    )
    with pytest.raises(ModelError, match='sam_vit_b is not for the task "tokens"'):
        catalog.check_task("vit_b", "tokens")
    catalog.check_task("vit_b", "segment")
    catalog.check_task("a/file.pt", "segment")


def test_an_alias_is_its_row() -> None:
    for alias, name in ALIASES.items():
        assert lookup(alias) is MODELS[name]


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(ModelError) as caught:
        lookup("sam_vit_bb")
    assert caught.value.code == "model.unknown"
    assert str(caught.value) == 'No model "sam_vit_bb". Nearest: sam_vit_b. See: segma model list'


def test_sam_2_is_found_by_its_file_and_by_what_people_call_it() -> None:
    assert lookup("sam2_hiera_base_plus").name == "sam2_hiera_b+"
    assert lookup("sam2.1_hiera_large").name == "sam2.1_hiera_l"
    with pytest.raises(ModelError, match=r'No model "sam2_large"\. Nearest: sam2\.1_hiera_l\.'):
        lookup("sam2_large")


def test_even_a_name_like_nothing_gets_an_answer() -> None:
    with pytest.raises(ModelError, match=r'No model "\?\?"\. Nearest: \w+\.'):
        lookup("??")


def test_an_unknown_system_is_told_with_what_there_is() -> None:
    with pytest.raises(
        ModelError, match=r'No system "other" in this build\. It has: sam, sam2, omnitokenizer, '
    ):
        catalog.find_system("other")


def test_the_catalog_needs_no_torch() -> None:
    code = "import sys, segma.models.catalog; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    folder = Path(catalog.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(folder)})


def install_plugin(folder: Path, name: str, code: str) -> None:
    """Put a module and the metadata of a distribution with one entry point into a folder."""
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[segma.models]\n{name} = {name}:ROWS\n", encoding="utf-8")


PLUGIN = """
from segma.models.catalog import EmbeddedFile, Entry, System
OURS = EmbeddedFile(package="tiny", file_name="tiny.safetensors")
ROWS = [
    Entry(name="tiny_net", system="tiny", variant="v1", tasks=("segment",), licence="MIT", weights=OURS,
          parameters=1),
    Entry(name="default", system="tiny", variant="v1", tasks=(), licence="X", weights=OURS, parameters=1),
    System(name="tiny", config_module="a", model_module="b", model_class="C", layout_module="d"),
]
"""


def test_a_plugin_adds_rows_and_cannot_replace_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install_plugin(tmp_path, "segma_tiny_plugin", PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    assert lookup("tiny_net").licence == "MIT"
    assert catalog.find_system("tiny").model_class == "C"
    with caplog.at_level(logging.WARNING):
        assert catalog.all_models()["default"] is MODELS["default"]
    assert 'plug-in row "default" left out' in caplog.text


@pytest.mark.parametrize(
    ("code", "said"),
    [("raise RuntimeError('broken on purpose')", "broken on purpose"), ("ROWS = [3]", "besides Entry")],
)
def test_a_broken_plugin_is_logged_and_nothing_else(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"segma_broken_plugin_{len(code)}"
    install_plugin(tmp_path, name, code)
    monkeypatch.syspath_prepend(tmp_path)
    with caplog.at_level(logging.WARNING):
        rows = catalog.all_models()
    assert rows == dict(MODELS)
    assert said in caplog.text and name in caplog.text


def test_a_plugin_may_give_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_plugin(tmp_path, "segma_single_plugin", PLUGIN.replace("ROWS = [", "ROWS, *_ = ["))
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(catalog.all_models()["tiny_net"], Entry)
