"""Files and folders as tensors; what is broken, foreign or dangerous is told apart and refused."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from segma.checkpoints.read import read_checkpoint
from segma.errors import InputError, ModelError, SegmaError

State = dict[str, Tensor]


@pytest.fixture
def state() -> State:
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.bfloat16)}


def same(found: object, state: State) -> bool:
    assert isinstance(found, dict)
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def write_safetensors(state: State, path: Path) -> None:
    save_file(state, path, {"format": "pt", "by": "test"})


def write_legacy(state: State, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


WRITERS: dict[str, Callable[[State, Path], object]] = {
    "safetensors": write_safetensors,
    "zip": torch.save,
    "legacy": write_legacy,
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin", ".ckpt", ".strange", ""])
def test_the_content_decides_and_not_the_suffix(kind: str, suffix: str, state: State, tmp_path: Path) -> None:
    path = tmp_path / f"file{suffix}"
    WRITERS[kind](state, path)
    found = read_checkpoint(path)
    assert same(found.tensors, state)
    assert found.origin == path and found.files == (path,)
    assert found.shapes == {"a.weight": (2, 3), "a.bias": (2,)}


def test_metadata_of_safetensors_is_kept(state: State, tmp_path: Path) -> None:
    write_safetensors(state, tmp_path / "a.safetensors")
    assert read_checkpoint(tmp_path / "a.safetensors").metadata == {"format": "pt", "by": "test"}


@pytest.mark.parametrize("kind", ["zip", "safetensors"])
def test_numbers_stay_on_the_disk_until_used(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    WRITERS[kind]({"a": torch.zeros(64 << 20, dtype=torch.uint8)}, path)
    before = resident_bytes()
    checkpoint = read_checkpoint(path)
    assert resident_bytes() - before < 16 << 20
    assert checkpoint.tensors["a"].numel() == 64 << 20


def resident_bytes() -> int:
    pages = Path("/proc/self/statm")
    if not pages.exists():
        pytest.skip("this system does not tell the memory of a process in /proc")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("keys", [("state_dict",), ("model",), ("ema",), ("model", "state_dict")])
def test_weights_inside_of_what_a_training_program_saves_are_found(
    keys: tuple[str, ...], state: State, tmp_path: Path
) -> None:
    saved: dict[str, object] = dict(state)
    for key in keys:
        saved = {"epoch": 3, key: saved, "optimizer": {"lr": 0.1, "state": {0: torch.zeros(2)}}}
    torch.save(saved, tmp_path / "run.ckpt")
    assert same(read_checkpoint(tmp_path / "run.ckpt").tensors, state)


def test_parameters_come_without_their_gradients(tmp_path: Path) -> None:
    torch.save({"a": torch.nn.Parameter(torch.ones(2))}, tmp_path / "a.pt")
    assert not read_checkpoint(tmp_path / "a.pt").tensors["a"].requires_grad


class Bomb:
    """Creates a file when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_plain_pickle_with_code_is_refused_by_the_name_of_the_code(protocol: int, tmp_path: Path) -> None:
    path, mark = tmp_path / "file.pt", tmp_path / "mark"
    path.write_bytes(pickle.dumps({"a": Bomb(mark)}, protocol=protocol))
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    assert not mark.exists()
    if protocol >= 2:  # older protocols begin like text, and are refused as such
        assert caught.value.code == "model.pickle"
        assert str(caught.value) == (
            "file.pt holds code besides tensors (os.system); refused. "
            "Convert it in a sandbox or use safetensors."
        )


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_with_code_is_refused_even_if_torch_was_told_to_trust_it(
    zipped: bool, state: State, tmp_path: Path
) -> None:
    path, mark = tmp_path / "file.pt", tmp_path / "mark"
    torch.save({**state, "b": Bomb(mark)}, path, _use_new_zipfile_serialization=zipped)
    with torch.serialization.safe_globals([os.system]), pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    assert caught.value.code == "model.pickle"
    assert "(os.system)" in caught.value.message
    assert not mark.exists()


def test_a_whole_module_is_refused_by_its_class(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(ModelError, match=r"torch\.nn\.modules\.linear\.Linear") as caught:
        read_checkpoint(tmp_path / "module.pt")
    assert caught.value.code == "model.pickle"


def test_code_behind_a_name_from_the_memo_is_found(tmp_path: Path) -> None:
    opcodes = b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94" + b"00" + b"h\x01h\x00\x93" + b"\x8c\x04true\x85R."
    (tmp_path / "memo.pt").write_bytes(opcodes)
    with pytest.raises(ModelError, match=r"\(os\.system\)"):
        read_checkpoint(tmp_path / "memo.pt")


def test_a_program_of_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("script/data.pkl", "script/constants.pkl", "script/code/__torch__.py"):
            archive.writestr(name, b"\x80\x02}.")
    with pytest.raises(ModelError, match="TorchScript") as caught:
        read_checkpoint(path)
    assert caught.value.code == "model.pickle"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        (b'\n<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 375042383\n", "git lfs pull"),
        (b"just some notes about weights\n", "is text, not weights"),
        ("Gewichte für später\n".encode(), "is text, not weights"),
        (b"\x1f\x8b\x08\x00rest", "is an archive or another program's file"),
        (b"\x00\x01\x02\x03\x04", "is no checkpoint"),
        (b"PK\x03\x04 and nothing else", "cut short, or no checkpoint"),
        (b"\x80\x02}q\x00.", "cut short, or no checkpoint"),
        (b"\x80\x04\x95", "cut short, or no checkpoint"),
        (struct.pack("<Q", 1 << 40) + b'{"a":', "cut short or damaged safetensors"),
    ],
)
def test_what_is_no_checkpoint_is_named_for_what_it_is(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said) as caught:
        read_checkpoint(path)
    assert caught.value.code == "model.unreadable"
    assert "file.pth" in caught.value.message and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_a_file_cut_short_is_unreadable(kind: str, part: float, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    WRITERS[kind]({"a": torch.ones(5000), "b": torch.ones(300)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    assert caught.value.code == "model.unreadable"


def test_other_zip_archives_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match="a zip archive, but no checkpoint"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file/data.pkl", b"\x80\x02}.")
    with pytest.raises(ModelError, match="a compressed archive, but no checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ([1, 2], "holds no named tensors"),
        ({"epoch": 3}, "holds no named tensors"),
        (torch.ones(2), "holds no named tensors"),
        ({"a": torch.zeros(1).expand(10**6)}, 'says that "a" is larger than'),
        ({"a": torch.eye(3).to_sparse()}, "(sparse|besides tensors|plain tensor)"),
    ],
)
def test_what_is_no_table_of_plain_tensors_is_refused(saved: object, said: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "file.pt")
    with pytest.raises(ModelError, match=said):
        read_checkpoint(tmp_path / "file.pt")


def test_a_path_that_is_not_there_is_told_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_checkpoint(tmp_path / "none.pt")
    assert caught.value.code == "input.not_found"
    assert str(caught.value) == f"none.pt: no such file. Looked in {tmp_path.resolve()}."


def shard(folder: Path, state: State, names: dict[str, str]) -> None:
    """A folder with an index and one safetensors file for each distinct name."""
    for file_name in set(names.values()):
        some = {name: state[name] for name, place in names.items() if place == file_name}
        write_safetensors(some, folder / file_name)
    text = json.dumps({"metadata": {}, "weight_map": names})
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def test_a_folder_of_shards_is_one_checkpoint(state: State, tmp_path: Path) -> None:
    shard(tmp_path, state, {"a.weight": "m-1.safetensors", "a.bias": "m-2.safetensors"})
    (tmp_path / "config.json").write_text('{"model_type": "sam"}', encoding="utf-8")
    found = read_checkpoint(tmp_path)
    assert same(found.tensors, state)
    assert [path.name for path in found.files] == ["m-1.safetensors", "m-2.safetensors"]
    assert json.loads(found.metadata["config.json"]) == {"model_type": "sam"}


def test_a_shard_that_is_not_there_is_named(state: State, tmp_path: Path) -> None:
    shard(tmp_path, state, {"a.weight": "m-1.safetensors", "a.bias": "m-2.safetensors"})
    (tmp_path / "m-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks m-2\.safetensors"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", "a/../../b", "C:\\x", "..\\x", "\\x"])
def test_a_shard_outside_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    text = json.dumps({"weight_map": {"a": name}})
    (tmp_path / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_checkpoint(tmp_path)
    assert caught.value.code == "input.outside"


def test_a_folder_of_links_as_the_hub_keeps_it_is_read(state: State, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    torch.save(state, tmp_path / "blobs" / "0123")
    (tmp_path / "snapshot" / "pytorch_model.bin").symlink_to(tmp_path / "blobs" / "0123")
    assert same(read_checkpoint(tmp_path / "snapshot").tensors, state)


def test_a_folder_with_one_weight_file_of_any_name_is_that_file(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "best.pth")
    assert read_checkpoint(tmp_path).files == (tmp_path / "best.pth",)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no weight file"),
        ({"a.pt": "", "b.pt": ""}, "holds 2 weight files"),
        ({"model.safetensors.index.json": "{"}, "is broken JSON"),
        ({"model.safetensors.index.json": "[]"}, "is JSON, but no object"),
        ({"model.safetensors.index.json": "{}"}, "it has no weight_map"),
        ({"model.safetensors": ""}, "is empty"),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(files: dict[str, str], said: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SegmaError, match=said) as caught:
        read_checkpoint(tmp_path)
    assert caught.value.code == "model.unreadable"
