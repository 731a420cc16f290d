from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stubs.shapes_folder import TINY

from segma.checkpoints.load import load
from segma.models.sam2.model import Sam2
from segma.nn.view_judge import ViewJudge
from segma.runtime import Runtime
from segma.samples import PictureFile
from segma.tasks.second_look import usual_look
from segma.tasks.segment import ImageSession
from segma.training.choosing import Clicks, fit, gather, learn_choice
from segma.training.config import TrainConfig
from segma.training.data import read_samples
from segma.training.start import start

RUNTIME = Runtime(device="cpu", precision="fp32")
LOOKING = replace(TINY, views=(50,), view_judge_width=8)


@pytest.fixture
def model() -> Sam2:
    torch.manual_seed(0)
    return Sam2(LOOKING).eval()


def test_a_judge_learns_what_tells_good_from_bad() -> None:
    random = np.random.default_rng(0)
    features = random.normal(5, 3, (400, 6)).astype(np.float32)
    right = (features[:, 1] > 5).astype(int)
    iou = np.where(np.arange(2) == right[:, None], 0.9, 0.2).astype(np.float32)
    judge = ViewJudge(num_features=6, num_masks=2, width=16)
    fit(judge, Clicks(features[:300], iou[:300]))
    assert int(judge.clicks) == 300
    with torch.inference_mode():
        found = judge(torch.from_numpy(features[300:])).argmax(1).numpy()
    assert (found == right[300:]).mean() > 0.9
    again = ViewJudge(num_features=6, num_masks=2, width=16)
    fit(again, Clicks(features[:300], iou[:300]))
    for name, value in judge.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_clicks_are_gathered_from_pictures_that_can_be_read(model: Sam2, shapes: Path) -> None:
    pictures = read_samples(shapes).pictures
    unreadable = replace(pictures[0], picture=PictureFile(shapes / "gone.jpg"))
    found = gather(model, [*pictures, unreadable], 8, RUNTIME)
    assert len(found.iou) >= 8
    assert model.view_judge is not None
    assert found.features.shape[1] == len(model.view_judge.mean)
    assert found.iou.shape[1] == 8
    assert ((found.iou >= 0) & (found.iou <= 1)).all()
    assert not gather(model, [unreadable], 8, RUNTIME).iou.size


def test_before_it_has_learned_a_model_looks_once(model: Sam2) -> None:
    assert model.views == ()
    session = ImageSession(model, np.zeros((64, 64, 3), np.uint8), look=usual_look(model.input_spec))
    session.segment(points=[(30.0, 30.0)])
    assert len(session.parts) <= 1


def test_a_run_ends_with_the_choice(shapes: Path, tmp_path: Path) -> None:
    config = TrainConfig(
        name="a", data=(str(shapes),), image_size=64, batch=1, steps=1, workers=0, validate_objects=2,
        choice_clicks=80,
    )  # fmt: skip
    outcome = start(config, tmp_path / "run", RUNTIME)
    told = outcome.report["fitted"]
    assert told["clicks"] >= 80
    assert 0 <= told["chosen"] <= told["best"] <= 100
    module = load(str(outcome.weights)).module
    assert isinstance(module, Sam2)
    assert module.views == (0.36, 0.2)
    session = ImageSession(module, np.zeros((64, 64, 3), np.uint8), look=usual_look(module.input_spec))
    session.segment(points=[(30.0, 30.0)])
    assert len(session.parts) > 0


def test_a_model_without_views_has_nothing_to_learn(shapes: Path) -> None:
    assert learn_choice(Sam2(TINY), read_samples(shapes).pictures, 80, RUNTIME) == {}
