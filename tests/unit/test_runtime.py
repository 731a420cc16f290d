from __future__ import annotations

import pytest
import torch
from torch import nn

from segma.errors import MemoryLimitError, ModelError
from segma.runtime import Runtime, memory_errors


class Parts(nn.Module):
    low_precision = ("large",)

    def __init__(self) -> None:
        super().__init__()
        self.large = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Conv2d(1, 1, 1))
        self.small = nn.Linear(2, 2)


def test_only_layers_of_the_named_parts_change_type() -> None:
    parts = Parts()
    Runtime(device="cpu", precision="bf16").place(parts)
    types = {name: parameter.dtype for name, parameter in parts.named_parameters()}
    low = {name for name, dtype in types.items() if dtype == torch.bfloat16}
    assert low == {"large.0.weight", "large.0.bias", "large.2.weight", "large.2.bias"}


def test_threads_are_set() -> None:
    before = torch.get_num_threads()
    try:
        Runtime(device="cpu", threads=1).place(nn.Linear(1, 1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "toaster"}, "toaster"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"device": "cpu", "precision": "fp16"}, "fp16"),
        ({"threads": 0}, "threads"),
    ],
)
def test_what_is_not_there_is_said(options: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        Runtime(**options)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.code == "model.device"


@pytest.mark.parametrize(
    "cause",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_failed_allocations_become_memory_errors(cause: Exception) -> None:
    with pytest.raises(MemoryLimitError) as caught, memory_errors():
        raise cause
    assert caught.value.code == "memory.cpu"


def test_a_real_allocation_that_cannot_be() -> None:
    with pytest.raises(MemoryLimitError), memory_errors():
        torch.empty(1 << 50)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors():
        raise RuntimeError("shape")


def test_a_description_names_device_and_type() -> None:
    assert Runtime(device="cpu", precision="fp32").describe().startswith("cpu, float32, ")
