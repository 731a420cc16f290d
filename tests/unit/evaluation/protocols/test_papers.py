"""Tables of the paper: what it says, what is measured, and why something is not."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stubs.tokenizer import SMALL, smooth_clip, toy_tokenizer

from segma.errors import InputError, MissingExtraError, ModelError
from segma.evaluation.data import unlabelled
from segma.evaluation.metrics import networks
from segma.evaluation.metrics.frechet import frechet_distance, moments
from segma.evaluation.metrics.psnr_ssim import psnr
from segma.evaluation.paper_tables import TABLES
from segma.evaluation.pixels import squashed_frames, squashed_picture
from segma.evaluation.protocols.papers import NOT_MEASURED, PaperInputs, PaperLine, run
from segma.runtime import Runtime
from segma.samples import ImageSample, PictureFile, VideoSample

CPU = Runtime(device="cpu", precision="fp32")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Any]:
    for number in range(3):
        Image.fromarray(smooth_clip(1, 40, 64, seed=number)[0]).save(tmp_path / f"{number}.png")
    return list(unlabelled(tmp_path))


def clip(folder: Path, frames: int) -> VideoSample:
    folder.mkdir()
    for index, frame in enumerate(smooth_clip(frames, 24, 40)):
        Image.fromarray(frame).save(folder / f"{index}.png")
    files = tuple(PictureFile(folder / f"{index}.png") for index in range(frames))
    return VideoSample(name=folder.name, size=(24, 40), num_frames=frames, pictures=files)


class Stats(SimpleNamespace):
    """What cd-fvd keeps of one side."""

    def get_mean_cov(self) -> Any:
        return moments(np.stack(self.rows))

    @property
    def num_items(self) -> int:
        return len(self.rows)


class Fvd:
    """The mean colour in place of the logits of I3D."""

    def __init__(self, model: str, **options: object) -> None:
        assert model == "i3d"
        self.fake_stats, self.real_stats = Stats(rows=[]), Stats(rows=[])

    def add_fake_stats(self, clips: np.ndarray) -> None:
        self.fake_stats.rows += list(clips.mean((1, 2, 3)))

    def add_real_stats(self, clips: np.ndarray) -> None:
        self.real_stats.rows += list(clips.mean((1, 2, 3)))


class Lpips(torch.nn.Module):
    """The mean difference in place of LPIPS."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        assert net == "alex"

    def forward(self, made: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
        assert made.abs().max() <= 1
        return (made - true).abs().mean((1, 2, 3), keepdim=True)


def calculate_metrics(*, input1: str, input2: str = "", **options: Any) -> dict[str, float]:
    """The difference of mean values in place of FID, the mean in place of IS."""
    assert options["cache"] is False
    means = [
        np.mean([np.asarray(Image.open(path)) for path in Path(folder).glob("*.png")])
        for folder in (input1, input2)
        if folder
    ]
    if options.get("isc"):
        return {"inception_score_mean": float(means[0])}
    return {"frechet_inception_distance": float(abs(means[0] - means[1]))}


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the packages."""
    for name, members in (
        ("torch_fidelity", {"calculate_metrics": calculate_metrics}),
        ("lpips", {"LPIPS": Lpips}),
        ("cdfvd", {}),
        ("cdfvd.fvd", {"cdfvd": Fvd}),
    ):
        module = ModuleType(name)
        module.__spec__ = SimpleNamespace(name=name)  # type: ignore[assignment]
        for member, value in members.items():
            setattr(module, member, value)
        monkeypatch.setitem(sys.modules, name, module)


def ours(lines: tuple[PaperLine, ...], data: str, metric: str) -> PaperLine:
    [line] = [line for line in lines if (line.data, line.metric, line.is_ours) == (data, metric, True)]
    return line


@pytest.mark.parametrize("table", TABLES)
def test_without_anything_the_paper_stands_alone(table: str) -> None:
    report = run(table, PaperInputs())
    told = [line for line in report.lines if not line.is_ours]
    rows = TABLES[table].rows
    assert {(line.data, line.metric, line.method, line.value) for line in told} == {
        (row.data, row.metric, row.method, row.value) for row in rows
    }
    own = [line for line in report.lines if line.is_ours]
    assert own and all(line.value is None and "no data (--data" in line.why for line in own)
    assert report.text().count(NOT_MEASURED) == len(own)
    json.dumps(report.to_dict(), allow_nan=False)


def test_the_claims_of_the_paper_follow_from_its_tables() -> None:
    def value(table: str, data: str, method: str) -> float:
        [row] = [row for row in TABLES[table].rows if (row.data, row.method) == (data, method)]
        return row.value

    codes = "OmniTokenizer, codes"
    assert 1 - value("images", "imagenet", codes) / value("images", "imagenet", "ViT-VQGAN") == (
        pytest.approx(0.133, abs=0.001)
    )
    assert 1 - value("videos", "ucf101", codes) / value("videos", "ucf101", "MAGVIT") == (
        pytest.approx(0.27, abs=0.005)
    )


def test_a_reconstruction_is_measured_where_packages_are(pictures: list[Any], packages: None) -> None:
    network = toy_tokenizer()
    inputs = PaperInputs(data={"imagenet": pictures}, tokenizer=network, name="toy")
    told: list[tuple[int, int]] = []
    report = run("images", inputs, runtime=CPU, on_progress=lambda *at: told.append(at))
    for metric in ("rFID", "PSNR", "SSIM", "LPIPS"):
        found = ours(report.lines, "imagenet", metric)
        assert found.value is not None and found.method == "toy"
    shown = [squashed_picture(each, 256)[0] for each in pictures]
    assert shown[0].shape == (256, 256, 3)
    assert psnr(shown[0], shown[1]) < 40
    assert ours(report.lines, "ffhq", "rFID").value is None and told[-1] == (3, 3)


def test_generation_is_measured_against_the_true(pictures: list[Any], packages: None, tmp_path: Path) -> None:
    report = run("made-images", PaperInputs(data={"imagenet": pictures}, made=pictures))
    assert ours(report.lines, "imagenet", "gFID").value == 0
    score = ours(report.lines, "imagenet", "IS").value
    assert score is not None and score > 1
    clips = [clip(tmp_path / name, 17 + number) for number, name in enumerate("abc")]
    report = run("made-videos", PaperInputs(data={"ucf101": clips}, made=clips))
    assert ours(report.lines, "ucf101", "gFVD").value == pytest.approx(0, abs=1e-6)
    assert squashed_frames(clips[0], 64, 17).shape == (17, 64, 64, 3)
    assert (
        "no samples" in ours(run("made-videos", PaperInputs(data={"k600": clips})).lines, "k600", "gFVD").why
    )
    alone = run("made-videos", PaperInputs(data={"ucf101": clips[:1]}, made=clips[:1]))
    assert "2 clips" in ours(alone.lines, "ucf101", "gFVD").why
    short = run("made-videos", PaperInputs(data={"ucf101": [clip(tmp_path / "d", 5)]}, made=clips))
    assert short.skipped == ("d: 5 frames, expected 17 or more",)


def test_of_samples_alone_there_is_an_inception_score_and_no_fid(pictures: list[Any], packages: None) -> None:
    lines = run("made-images", PaperInputs(made=pictures, name="mine")).lines
    score, distance = (ours(lines, "imagenet", metric) for metric in ("IS", "gFID"))
    assert score.value is not None and score.value > 1 and score.why == ""
    assert distance.value is None and distance.why == "no data (--data imagenet=FOLDER)"
    alone = run("made-images", PaperInputs(made=pictures[:1])).lines
    assert "1 pictures, expected 2" in ours(alone, "imagenet", "IS").why


def test_lpips_of_nothing_is_refused(packages: None) -> None:
    meter = networks.LpipsMeter()
    with pytest.raises(InputError, match="nothing to compare"):
        meter.result()
    meter.add(*np.zeros((2, 1, 8, 8, 3), np.uint8))
    assert meter.result() == 0


def test_without_packages_the_reason_is_one_line(
    pictures: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    inputs = PaperInputs(data={"imagenet": pictures[:1]}, tokenizer=toy_tokenizer(SMALL))
    report = run("images", inputs, runtime=CPU)
    why = ours(report.lines, "imagenet", "rFID").why
    assert why.endswith('pip install "segma[metrics]"') and "\n" not in why
    assert ours(report.lines, "imagenet", "PSNR").value is not None, "these are always measured"
    for metric in ("FID", "IS", "LPIPS", "FVD"):
        with pytest.raises(MissingExtraError, match=metric):
            networks.check_package(metric)


def test_the_extra_has_the_packages_that_measure_and_no_others(repository: Path) -> None:
    config = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    named = [each.partition(">")[0] for each in config["project"]["optional-dependencies"]["metrics"]]
    modules = {"cd-fvd": "cdfvd", "lpips": "lpips", "torch-fidelity": "torch_fidelity"}
    assert {modules[name] for name in named} == {package for _, package in networks.PACKAGES}


def test_weights_that_cannot_be_fetched_are_a_reason(
    pictures: list[Any], packages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(**options: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(sys.modules["torch_fidelity"], "calculate_metrics", offline)
    report = run("made-images", PaperInputs(data={"imagenet": pictures}, made=pictures))
    assert "could not be fetched (ConnectionError)" in ours(report.lines, "imagenet", "gFID").why
    monkeypatch.setattr(sys.modules["lpips"], "LPIPS", lambda **options: offline())
    with pytest.raises(ModelError, match="fetched"):
        networks.LpipsMeter()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="no table"):
        run("beauty", PaperInputs())
    with pytest.raises(InputError, match="no data"):
        run("images", PaperInputs(data={"ucf101": [ImageSample(file_name="a", size=(1, 1))]}))


def test_the_frechet_distance_by_hand() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 3))
    one, other = moments(features), moments(features + 2)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, other) == pytest.approx(12)
    mean = np.zeros(2)
    assert frechet_distance((mean, np.diag([4.0, 1.0])), (mean, np.diag([1.0, 9.0]))) == pytest.approx(1 + 4)
    with pytest.raises(InputError, match="1 samples"):
        moments(features[:1])
