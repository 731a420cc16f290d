"""The language model over codes: how its matrices lie in memory while it samples."""

from __future__ import annotations

from pathlib import Path

import torch
from stubs.generators import PLAIN, toy_gpt

from segma.checkpoints.load import load
from segma.checkpoints.save import save
from segma.runtime import Runtime


def test_sampling_turns_the_matrices_and_changes_no_value(tmp_path: Path) -> None:
    network, ids = toy_gpt(PLAIN), torch.arange(12).view(2, 6)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    logits = network(ids)
    with torch.inference_mode():
        cache = network.new_cache(2, 6)
        found = network.extend(ids, 0, cache)
    assert network.get_parameter("blocks.0.mlp.0.weight").stride() == (1, 96)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    torch.testing.assert_close(found, logits, atol=1e-5, rtol=1e-5)
    assert network.get_parameter("blocks.0.mlp.2.weight").is_contiguous(), "it is quicker as it is"
    assert network.new_cache(3, 6).keys.shape[1] == 3
    assert network.head.weight.is_contiguous(), "of many rows they lie as before"
    network.new_cache(1, 6)
    path = save(network, PLAIN, tmp_path / "x.safetensors", origin="a test", licence="MIT")
    again = load(path).module.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in again.items())


def test_a_network_in_training_is_left_alone() -> None:
    network = toy_gpt(PLAIN).requires_grad_(True)
    network.new_cache(1, 3)
    assert network.head.weight.is_contiguous()


def test_half_precision_is_close() -> None:
    network, ids = toy_gpt(PLAIN), torch.arange(6)[None]
    exact = network(ids)
    Runtime(device="cpu", precision="bf16").place(network)
    assert network.head.weight.dtype == torch.bfloat16
    assert network.ln_f.weight.dtype == torch.float32
    found = network.extend(ids, 0, network.new_cache(1, 6))
    assert found.dtype == torch.float32
    assert 0 < float((found - exact).abs().max()) < 0.1 * float(exact.abs().max())
