"""The strict fit: everything by name and shape, or a report and an untouched network."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segma.checkpoints.match import Misfit, compare, fit, shapes_of
from segma.errors import MisfitError, ModelError


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_a_network_without_numbers_takes_the_tensors_themselves() -> None:
    state = {name: value.clone() for name, value in small().state_dict().items()}
    with torch.device("meta"):
        module = small()
    fit(module, state, "file.pt")
    for name, value in module.state_dict().items():
        assert value.data_ptr() == state[name].data_ptr(), name
    assert isinstance(module.get_parameter("0.weight"), nn.Parameter)


def test_floating_numbers_become_float32_unless_asked_otherwise() -> None:
    state = {name: value.clone() for name, value in small().half().state_dict().items()}
    module, kept = small(), small()
    fit(module, state, "file.pt")
    fit(kept, state, "file.pt", dtype=None)
    assert module.get_parameter("0.weight").dtype == torch.float32
    assert module.get_buffer("1.num_batches_tracked").dtype == torch.int64
    assert kept.get_parameter("0.weight").dtype == torch.float16


def broken() -> dict[str, Tensor]:
    state = dict(small().state_dict())
    del state["0.weight"], state["0.bias"]
    return {**state, "1.weight": torch.ones(5), "head.weight": torch.ones(1)}


def test_a_misfit_names_everything_that_is_wrong() -> None:
    module = small()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(MisfitError) as caught:
        fit(module, broken(), Path("folder/file.pt"), looks_like="sam_vit_l, try --model sam_vit_l")
    error = caught.value
    assert error.code == "model.mismatch"
    assert error.missing == ("0.weight", "0.bias")
    assert error.unexpected == ("head.weight",)
    assert error.misshapen == (("1.weight", (5,), (2,)),)
    assert str(error) == (
        "file.pt: 2 tensors missing, 1 unexpected, 1 misshapen; it looks like sam_vit_l, "
        "try --model sam_vit_l. First missing: 0.weight."
    )
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_misfit_survives_the_way_to_another_process() -> None:
    with pytest.raises(MisfitError) as caught:
        fit(small(), broken(), "file.pt")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, MisfitError)
    assert (again.missing, again.unexpected, again.misshapen) == (
        caught.value.missing,
        caught.value.unexpected,
        caught.value.misshapen,
    )
    assert str(again) == str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "found", "text", "first"),
    [
        ({"a": (1,)}, {"a": (1,)}, "all tensors fit", ""),
        ({"a": (1,)}, {}, "1 tensor missing", "First missing: a"),
        ({}, {"b": (1,), "c": (1,)}, "2 tensors unexpected", "First unexpected: b"),
        ({"a": (1, 2)}, {"a": (2, 1)}, "1 tensor misshapen", "First misshapen: a is [2, 1], not [1, 2]"),
    ],
)
def test_differences_are_counted_in_words(
    wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]], text: str, first: str
) -> None:
    misfit = compare(wanted, found)
    assert (str(misfit), misfit.first) == (text, first)
    assert bool(misfit) == bool(first)


def test_whole_numbers_are_no_weights() -> None:
    state = {**small().state_dict(), "0.bias": torch.ones(2, dtype=torch.int8)}
    with pytest.raises(ModelError, match=r"file\.pt: 0\.bias is int8, not float32\.") as caught:
        fit(small(), state, "file.pt")
    assert caught.value.code == "model.mismatch"


def test_shapes_of_a_network_are_those_of_its_state() -> None:
    assert shapes_of(nn.Linear(3, 2)) == {"weight": (2, 3), "bias": (2,)}
    assert not Misfit(missing=(), unexpected=(), misshapen=())
