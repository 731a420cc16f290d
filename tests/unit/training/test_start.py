from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from stubs.shapes_folder import TINY

from segma.checkpoints.load import inspect, load
from segma.errors import InputError, ModelError
from segma.runtime import Runtime
from segma.training import network
from segma.training.config import OptimConfig, TrainConfig
from segma.training.network import blend, build
from segma.training.start import Outcome, start

CPU = Runtime(device="cpu", precision="fp32")


def losses(outcome: Outcome) -> list[float]:
    lines = (outcome.folder / "log.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


def test_training_lowers_the_loss_and_leaves_weights_and_a_report(
    tmp_path: Path, tiny_run: TrainConfig, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segma.training.loop._LOG_SECONDS", 0.0)
    config = replace(tiny_run, steps=16, validate_objects=2)
    outcome = start(config, tmp_path, CPU, check=[shapes])
    curve = losses(outcome)
    assert len(curve) == 16
    assert sum(curve[-4:]) < 0.85 * sum(curve[:4])

    report = json.loads((tmp_path / "report.json").read_text())
    assert report == outcome.report
    assert (report["recipe"], report["steps"], report["start"]) == ("tiny", 16, "tiny.safetensors")
    assert (report["data"]["pictures"], report["data"]["held_out_pictures"]) == (10, 2)
    assert report["held_out"]["after"]["box"] > report["held_out"]["before"]["box"]
    assert set(report["elsewhere"]["shapes"]["after"]) == {"click1", "oracle1", "click3", "box"}
    assert str(shapes.parent) not in (tmp_path / "report.json").read_text()

    facts = inspect(outcome.weights)
    assert facts.sha256 == report["weights"]["sha256"]
    assert (facts.dtypes, facts.licence) == (("float16",), "CC0-1.0")
    assert facts.origin.startswith("segma train tiny, 16 steps on shapes")
    assert load(outcome.weights).config == TINY


def test_a_run_that_is_over_is_not_run_again(tmp_path: Path, tiny_run: TrainConfig) -> None:
    config = replace(tiny_run, steps=1, held_out=0.0)
    first = start(config, tmp_path, CPU)
    assert first.report["held_out"] == first.report["elsewhere"] == "not measured"
    weights = load(first.weights).module.state_dict()
    second = start(config, tmp_path, CPU)
    assert second.report["steps"] == 1
    again = load(second.weights).module.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    with pytest.raises(ModelError, match="another recipe"):
        start(replace(config, seed=1), tmp_path, CPU)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": ()}, "needs data"),
        ({"steps": 0}, "steps is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"blend": 1.5}, "blend is 1.5"),
        ({"start": "", "blend": 0.5}, "blend needs weights"),
        ({"start": "", "frozen": ("image_encoder.",)}, "but has none"),
        ({"frozen": ("",)}, "Every weight is frozen"),
    ],
)
def test_settings_that_make_no_sense_are_told(
    tmp_path: Path, tiny_run: TrainConfig, change: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        start(replace(tiny_run, **change), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_frozen_parts_stay_and_memory_is_not_touched_by_pictures(
    tmp_path: Path, tiny_run: TrainConfig
) -> None:
    config = replace(tiny_run, steps=2, held_out=0.0, frozen=("image_encoder.",), optim=OptimConfig(ema=0.0))
    before, after = load(tiny_run.start).module, load(start(config, tmp_path, CPU).weights).module
    old, new = before.state_dict(), after.state_dict()
    moved = {name for name in old if not torch.equal(old[name].half().float(), new[name])}
    assert any(name.startswith("sam_mask_decoder.") for name in moved)
    assert not any(name.startswith(("image_encoder.", "memory_", "obj_ptr")) for name in moved)


def test_a_network_can_begin_with_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "VARIANTS", MappingProxyType({"tiny": TINY}))
    config = TrainConfig(name="new", variant="tiny", image_size=32)
    first, second = build(config), build(config)
    assert (first.config.image_size, first.original) == (32, None)
    assert torch.equal(*(each.module.get_parameter("no_mem_embed") for each in (first, second)))
    with pytest.raises(ModelError, match='No size "huge"'):
        build(replace(config, variant="huge"))


def test_another_size_of_pictures_keeps_the_weights(tiny_run: TrainConfig) -> None:
    own, larger = build(tiny_run), build(replace(tiny_run, image_size=96))
    assert (own.config.image_size, larger.module.input_spec.size) == (64, 96)
    one, other = own.module.state_dict(), larger.module.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_only_sam2_can_be_trained() -> None:
    with pytest.raises(ModelError):
        build(TrainConfig(name="old", start="no_such_model"))


def test_blending_is_between_the_original_and_the_trained() -> None:
    module = torch.nn.Linear(2, 2)
    original = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    trained = {name: value.clone() for name, value in module.state_dict().items()}
    blend(module, original, 0.25)
    for name, value in module.state_dict().items():
        assert torch.allclose(value, 0.25 * trained[name])


def test_bfloat16_trains_too(tmp_path: Path, tiny_run: TrainConfig) -> None:
    config = replace(tiny_run, steps=2, held_out=0.0)
    outcome = start(config, tmp_path, Runtime(device="cpu", precision="bf16"))
    assert outcome.report["steps_left_out"] == 0
    assert losses(outcome)[0] > 0
