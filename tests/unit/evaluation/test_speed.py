"""Timers, peak memory, facts of the machine, tables, and the rows of `segma bench`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from segma.evaluation.protocols import speed
from segma.evaluation.protocols.speed import SpeedRow, Timing
from segma.models.interfaces import Decoded, DynamicChoice, ImageFeatures, InputSpec, PromptTensors
from segma.runtime import Runtime


class Disc:
    """A network that paints a disc round the click."""

    input_spec = InputSpec(size=64, mask_size=16, fit="pad")
    mask_threshold = 0.0
    dynamic_choice: DynamicChoice | None = None
    low_precision: tuple[str, ...] = ()

    def encode_image(self, pixels: Float[Tensor, "batch 3 size size"]) -> ImageFeatures:
        return ImageFeatures(pixels[:, :, ::16, ::16])

    def share(self, features: ImageFeatures) -> None:
        return None

    def decode(self, features: ImageFeatures, prompts: PromptTensors, shared: None = None) -> Decoded:
        assert prompts.coords is not None
        centres = prompts.coords[:, 0] / 4
        return Decoded(predicted_iou=torch.ones(len(centres), 4), state=centres)

    def render_masks(
        self, decoded: Decoded, prompt_index: Int[Tensor, " k"], mask_index: Int[Tensor, " k"]
    ) -> Float[Tensor, "k side side"]:
        y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
        centres = decoded.state[prompt_index]
        squares = (x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2
        return 20 * (9 - squares)


def test_a_timing_gives_the_middle_and_the_best() -> None:
    timing = Timing(seconds=(0.3, 0.1, 0.2))
    assert (timing.median, timing.best) == (0.2, 0.1)


def test_warm_up_does_not_count() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        if len(calls) == 1:
            time.sleep(0.2)

    timing = speed.measure(call, repeats=3, warm_up=1)
    assert len(calls) == 4
    assert len(timing.seconds) == 3
    assert max(timing.seconds) < 0.1


def test_programs_take_turns() -> None:
    order: list[str] = []
    found = speed.take_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=2, warm_up=1
    )
    assert order == ["a", "b"] * 3
    assert {name: len(timing.seconds) for name, timing in found.items()} == {"a": 2, "b": 2}


def test_time_is_that_of_the_call() -> None:
    found = speed.take_turns({"slow": lambda: time.sleep(0.05), "fast": lambda: None}, repeats=2)
    assert found["slow"].best >= 0.05 > found["fast"].best


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says so exactly")
def test_peak_memory_sees_what_was_given_back() -> None:
    # In a process of its own: here the C library may have kept what earlier tests gave back.
    program = """
import numpy as np
from segma.evaluation.protocols import speed
assert speed.reset_peak_memory()
before = speed.peak_memory()
np.ones(40_000_000, np.uint8)
after = speed.peak_memory()
assert speed.reset_peak_memory()
print(before, after, speed.peak_memory())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after, reset = (int(number) for number in done.stdout.split())
    assert 36_000_000 < after - before < 120_000_000
    assert reset < after - 20_000_000


def test_without_the_process_folder_the_whole_life_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(speed, "_PROCESS", tmp_path / "none")
    most = speed.peak_memory()
    assert most is not None
    assert 10**7 < most < 10**12
    assert not speed.reset_peak_memory()


def test_facts_name_processor_units_memory_and_versions() -> None:
    facts = speed.machine_facts(("torch", "no-such-package"))
    assert facts["processor"]
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 10**8
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["versions"]["no-such-package"] is None
    assert json.loads(json.dumps(facts)) == facts


def test_units_are_those_the_system_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listing = tmp_path / "cpuinfo"
    core = "processor\t: {}\nmodel name\t: Quick 9000\nflags\t\t: fpu avx2 amx_tile amx_bf16 avx512f\n\n"
    listing.write_text(core.format(0) + core.format(1), encoding="utf-8")
    monkeypatch.setattr(speed, "_PROCESSOR", listing)
    facts = speed.machine_facts()
    assert facts["processor"] == "Quick 9000"
    assert facts["units"] == ["avx2", "avx512f", "amx_bf16", "amx_tile"]


def test_a_system_without_such_a_list_still_has_facts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(speed, "_PROCESSOR", tmp_path / "none")
    facts = speed.machine_facts()
    assert facts["processor"]
    assert facts["units"] == []


def test_tables_line_up() -> None:
    table = speed.text_table(["what", "ms", "MB"], [["a click", "9", "12"], ["b", "1000", ""]])
    assert table.splitlines() == ["what       ms  MB", "a click     9  12", "b        1000"]


def test_the_picture_is_the_one_that_reference_numbers_are_recorded_for() -> None:
    picture = speed.computed_picture()
    assert picture.shape == (700, 500, 3)
    assert zlib.crc32(picture.tobytes()) == 1050815092


def test_bench_rows_of_a_network() -> None:
    image = speed.computed_picture()[:96, :128]
    rows = speed.bench_rows(Disc(), image, runtime=Runtime(device="cpu", threads=1), repeats=2)
    assert [(row.name, row.unit) for row in rows] == [
        ("encode", "ms"),
        ("click", "ms"),
        ("everything, 8 x 8 clicks", "clicks/s"),
        ("peak memory", "MB"),
    ]
    encode, click, everything, memory = rows
    assert 0 < value(encode.best) <= encode.value < 5000
    assert 0 < value(click.best) <= click.value < 5000
    assert 0 < everything.value <= value(everything.best)
    assert 10 < memory.value < 10**6
    assert memory.best is None


def test_a_row_is_json() -> None:
    row = SpeedRow(name="encode", value=212.5, unit="ms", best=200.0)
    assert json.loads(json.dumps(row.to_dict())) == {
        "name": "encode", "value": 212.5, "unit": "ms", "best": 200.0
    }  # fmt: skip


def value(number: float | None) -> float:
    assert number is not None
    return number
