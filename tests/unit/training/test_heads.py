from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stubs.shapes_folder import TINY

from segma.checkpoints.load import load
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.samples import ImageSample
from segma.training.batch import ImageBatch
from segma.training.config import LossConfig, TrainConfig
from segma.training.data import read_samples
from segma.training.heads import Student, vocabulary
from segma.training.kinds import step_of
from segma.training.loader import ImageBatches, Pool
from segma.training.start import WEIGHTS, start


@pytest.fixture
def named(shapes: Path) -> list[ImageSample]:
    """The pictures many times over, every first object called "first", the second one by its picture."""
    found: list[ImageSample] = []
    for number, sample in enumerate(read_samples(shapes).pictures * 3):
        labels = ("first", f"rare {number}")
        objects = zip(sample.objects, labels, strict=True)
        found.append(replace(sample, objects=tuple(replace(each, label=label) for each, label in objects)))
    return found


def batch_of(samples: Sequence[ImageSample]) -> ImageBatch:
    return ImageBatches(Pool.of(samples), TrainConfig(name="a", image_size=64, batch=4, seed=3))[0]


def test_frequent_names_are_numbered(named: list[ImageSample]) -> None:
    assert vocabulary(named) == {"first": 0}
    assert vocabulary(named[:10]) == {}
    assert set(batch_of(named).names.tolist()) == {0, -1}


def test_without_weights_there_are_no_heads(named: list[ImageSample]) -> None:
    network = Sam2(TINY)
    assert Student.of(network, named, LossConfig()) is network
    assert isinstance(Student.of(network, named, LossConfig(edges=0.1)), Student)


def test_heads_learn_and_teach_the_encoder(named: list[ImageSample]) -> None:
    torch.manual_seed(0)
    student = Student(Sam2(TINY), 2)
    batch = batch_of(named)
    weights = LossConfig(edges=1.0, names=1.0)
    config = TrainConfig(name="a", losses=weights)
    step = step_of(config, Runtime(device="cpu", precision="fp32"))
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    told: list[dict[str, float]] = []
    for _ in range(8):
        optimizer.zero_grad()
        result = step(student, batch, torch.Generator().manual_seed(0))
        result.loss.backward()
        told.append(result.numbers)
        optimizer.step()
    assert told[-1]["names"] < 0.5 * told[0]["names"]
    assert told[-1]["edges"] < told[0]["edges"]
    trunk = next(student.network.image_encoder.parameters())
    assert trunk.grad is not None and trunk.grad.any()


def test_a_batch_without_names_costs_nothing(shapes: Path) -> None:
    batch = batch_of(read_samples(shapes).pictures)
    student = Student(Sam2(TINY), 0)
    features = student.network.encode_image(torch.zeros(4, 3, 64, 64))
    assert float(student.losses(features, batch).names.detach()) == 0


def test_weights_of_a_run_with_heads_have_none(tiny_run: TrainConfig, tmp_path: Path) -> None:
    config = replace(tiny_run, steps=2, losses=LossConfig(edges=0.1, names=0.1))
    outcome = start(config, tmp_path / "run", Runtime(device="cpu", precision="fp32"))
    assert outcome.weights == tmp_path / "run" / WEIGHTS
    module = load(str(outcome.weights)).module
    assert isinstance(module, Sam2)
    assert "after" in outcome.report["held_out"]
    again = start(replace(config, steps=3), tmp_path / "more", Runtime(device="cpu", precision="fp32"))
    assert again.report["steps"] == 3
