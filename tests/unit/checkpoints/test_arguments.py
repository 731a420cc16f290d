"""Files of training programs: their arguments are read, and nothing in them is run."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segma.checkpoints.detect import ARGUMENTS_KEY
from segma.checkpoints.read import read_checkpoint
from segma.errors import ModelError

STATE = {"a.weight": torch.arange(6.0)}


class Bomb:
    """Creates a file when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.mark}",)


def lightning(arguments: object, **more: object) -> dict[str, object]:
    """What Lightning saves, in the main."""
    return {
        "epoch": 3,
        "state_dict": STATE,
        "loops": {"fit_loop": {"state_dict": {}, "progress": {"total": {"ready": 1}}}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(6)}}, "param_groups": [{"lr": 1e-3}]}],
        "hyper_parameters": {"args": arguments},
        **more,
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_arguments_become_metadata_and_the_others_are_left_out(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    arguments = argparse.Namespace(
        heads=8, lr=1e-3, l2_code=True, spatial_pos="rope", gen_upscale=None, scales=[0.5, 1.0],
        size=torch.Size([2]),
    )  # fmt: skip
    torch.save(lightning(arguments), path, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    assert torch.equal(found.tensors["a.weight"], STATE["a.weight"]) and len(found.tensors) == 1
    assert json.loads(found.metadata[ARGUMENTS_KEY]) == {
        "heads": 8,
        "lr": 1e-3,
        "l2_code": True,
        "spatial_pos": "rope",
        "gen_upscale": None,
    }


@pytest.mark.parametrize(
    "saved",
    [
        {"state_dict": STATE, "hyper_parameters": argparse.Namespace(heads=4)},
        {"model": STATE, "args": argparse.Namespace(heads=4)},
    ],
)
def test_arguments_may_stand_elsewhere(saved: dict[str, object], tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "run.pt")
    assert read_checkpoint(tmp_path / "run.pt").metadata == {ARGUMENTS_KEY: '{"heads": 4}'}


@pytest.mark.parametrize("arguments", [{"heads": 4}, 3, None, "text"])
def test_what_is_no_namespace_is_no_argument(arguments: object, tmp_path: Path) -> None:
    torch.save(lightning(arguments), tmp_path / "run.ckpt")
    assert read_checkpoint(tmp_path / "run.ckpt").metadata == {}


@pytest.mark.parametrize("zipped", [True, False])
def test_a_namespace_with_code_inside_is_refused(zipped: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "run.ckpt", tmp_path / "mark"
    torch.save(lightning(argparse.Namespace(heads=Bomb(mark))), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"\(os\.system\)") as caught:
        read_checkpoint(path)
    assert caught.value.code == "model.pickle" and not mark.exists()


@pytest.mark.parametrize("name", ["ArgumentParser", "FileType", "_sys.modules"])
def test_nothing_else_of_argparse_is_allowed(name: str, tmp_path: Path) -> None:
    body = b"\x80\x02cargparse\n" + name.encode() + b"\n)\x81."
    (tmp_path / "run.pt").write_bytes(body)
    with pytest.raises(ModelError, match=rf"argparse\.{name}") as caught:
        read_checkpoint(tmp_path / "run.pt")
    assert caught.value.code == "model.pickle"


def test_a_namespace_cannot_be_made_to_call_or_to_become_something_else(tmp_path: Path) -> None:
    """What is set on it is its own, even under names that mean something; calling it gives values at most."""
    make = b"cargparse\nNamespace\n)\x81"
    for number, state in enumerate(
        (
            {"__class__": "x", "__reduce__": "y", "__dict__": {}},
            (None, {"__class__": 3}),
            (None, {"__dict__": 3}),
            3,
            {"__setstate__": "z"},
        )
    ):
        body = pickle.dumps(state, protocol=2)[2:-1]
        path = tmp_path / f"run{number}.pt"
        path.write_bytes(b"\x80\x02" + make + body + b"b" + body + b"b.")
        with pytest.raises(ModelError) as caught:  # there are no tensors, whatever becomes of it
            read_checkpoint(path)
        assert caught.value.code == "model.unreadable"


def test_a_namespace_of_strange_names_does_no_harm(tmp_path: Path) -> None:
    arguments = argparse.Namespace(heads=2)
    strange: dict[Any, Any] = {"__class__": "x", "__dict__": "y", 3: 4}  # no names of attributes
    vars(arguments).update(strange)
    torch.save(lightning(arguments), tmp_path / "run.ckpt")
    metadata = read_checkpoint(tmp_path / "run.ckpt").metadata
    assert json.loads(metadata[ARGUMENTS_KEY]) == {"heads": 2, "__class__": "x", "__dict__": "y"}


def test_a_cut_short_file_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    torch.save(lightning(argparse.Namespace(heads=2)), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    assert caught.value.code == "model.unreadable"


def test_what_torch_may_read_is_as_before(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    torch.save(lightning(argparse.Namespace(heads=2)), path)
    before = set(torch.serialization.get_safe_globals())
    read_checkpoint(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with torch.serialization.safe_globals([argparse.Namespace]):
        read_checkpoint(path)
        assert argparse.Namespace in torch.serialization.get_safe_globals()


def test_many_threads_may_read_such_files_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    torch.save(lightning(argparse.Namespace(heads=2)), path)
    troubles: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(20):
                read_checkpoint(path)
        except ModelError as error:
            troubles.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []


AVERAGE = {name: value + 1 for name, value in STATE.items()}


@pytest.mark.parametrize(
    ("saved", "chosen"),
    [
        ({"model": STATE, "ema": AVERAGE, "opt": {}}, AVERAGE),
        ({"ema": AVERAGE}, AVERAGE),
        ({"model": STATE, "ema": {"decay": 0.99}}, STATE),
        ({"model": STATE | {"b": torch.ones(1)}, "ema": AVERAGE}, STATE | {"b": torch.ones(1)}),
    ],
)
def test_the_moving_average_of_a_whole_network_goes_first(
    saved: dict[str, object], chosen: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(saved, tmp_path / "run.pt")
    tensors = read_checkpoint(tmp_path / "run.pt").tensors
    assert tensors.keys() == chosen.keys()
    assert all(torch.equal(tensors[name], chosen[name]) for name in chosen)
