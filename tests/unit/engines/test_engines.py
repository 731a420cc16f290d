"""Engines are other bodies of the same network: the numbers stay."""

from __future__ import annotations

import subprocess
import sys

import pytest

from segma.checkpoints.fill import made_up_state
from segma.checkpoints.match import fit, shapes_of
from segma.engines.catalog import ENGINES, start
from segma.errors import ModelError
from segma.models.sam.config import SamConfig
from segma.models.sam.model import Sam
from segma.runtime import Runtime


def made_up(config: SamConfig) -> Sam:
    network = Sam(config)
    fit(network, made_up_state(shapes_of(network)), "toy")
    return network.eval().requires_grad_(False)


PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")  # torch.compile warns about its own parts
import torch
import segma
pixels = torch.linspace(-1, 1, 3 * 1024 * 1024).view(1, 3, 1024, 1024)
plain, other = (segma.load(device="cpu", engine=name).network for name in ("eager", sys.argv[1]))
with torch.inference_mode():
    print((plain.encode_image(pixels).embedding - other.encode_image(pixels).embedding).abs().max().item())
"""


@pytest.mark.slow  # the compiler takes most of a minute
@pytest.mark.parametrize("engine", sorted(set(ENGINES) - {"eager"}))
def test_every_engine_gives_the_numbers_of_the_network(engine: str) -> None:
    # In a process of its own: the type checker of the tests cannot be traced.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, engine], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-4


def test_compile_says_that_it_needs_a_compiler(
    toy_config: SamConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ModelError, match="compiler"):
        start(made_up(toy_config), Runtime(device="cpu", engine="compile"))
