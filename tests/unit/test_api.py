"""The facade with the model in the package: everything here is about plumbing, not about masks."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segma
from segma.errors import InputError, ModelError, PromptError


@pytest.fixture(scope="module")
def model() -> segma.Model:
    return segma.load(precision="fp32")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (60, 80, 3), np.uint8)


def test_the_default_says_what_it_is(model: segma.Model) -> None:
    assert model.name == "default"
    assert "card" in model.note


def test_all_kinds_of_input_give_the_same_answer(
    model: segma.Model, picture: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "a picture.png"
    Image.fromarray(picture).save(path)
    data = path.read_bytes()
    kinds = [path, data, io.BytesIO(data), Image.open(path), picture, torch.from_numpy(picture)]
    answers = [model.segment(kind, points=[(30, 20)], candidates=3) for kind in kinds]
    assert all(answer.masks == answers[0].masks for answer in answers)
    assert answers[0].source == "a picture.png"
    assert len(answers[0]) == 3
    assert list(answers[0].predicted_iou) == sorted(answers[0].predicted_iou, reverse=True)


def test_sessions_refine_earlier_answers(model: segma.Model, picture: np.ndarray) -> None:
    with model.image(picture) as image:
        first = image.segment(points=[(30, 20)], candidates=3)
        again = image.segment(points=[(30, 20)], candidates=3)
        better = image.segment(points=[(30, 20), (60, 40)], labels=[1, 0], previous=first[1])
    assert first == again
    assert len(better) == 1
    assert better.masks != first[:1].masks


def test_everything_takes_the_official_options(model: segma.Model, picture: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    found = model.everything(
        picture,
        points_per_side=3,
        crop_n_layers=0,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert found.counts["points"] == 9
    assert found.counts["candidates"] == 36, "four masks of each click, as one is a hedge"
    assert seen[-1] == (9, 9)
    assert len(found) + found.counts["duplicate"] + found.counts["at_edge"] == 36


def test_cancelling_stops_between_batches(model: segma.Model, picture: np.ndarray) -> None:
    cancel = threading.Event()
    with pytest.raises(segma.SegmaError) as caught:
        model.everything(picture, points_per_side=4, on_progress=lambda *_: cancel.set(), cancel=cancel)
    assert caught.value.code == "cancelled"


def test_prompts_are_checked_before_the_picture_is_read(model: segma.Model) -> None:
    with pytest.raises(PromptError, match="No prompt"):
        model.segment("no such file.jpg")
    with pytest.raises(InputError, match="no such file"):
        model.segment("no such file.jpg", points=[(1, 1)])


def test_many_threads_get_the_answers_of_one(model: segma.Model, picture: np.ndarray) -> None:
    clicks = [(5 * i + 3, 4 * i + 2) for i in range(8)]
    with model.image(picture) as image:
        expected = [image.segment(points=[click]) for click in clicks]
    found: dict[int, segma.Prediction] = {}

    def ask(number: int) -> None:
        found[number] = image.segment(points=[clicks[number]])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(clicks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, wanted in enumerate(expected):  # other threads may sum in another order
        answer = found[number].best
        assert answer.points == wanted.best.points
        assert answer.predicted_iou == pytest.approx(wanted.best.predicted_iou, abs=1e-5)
        assert (answer.mask != wanted.best.mask).mean() < 1e-3


def test_unknown_models_and_engines_are_named() -> None:
    with pytest.raises(ModelError, match="Nearest: sam_vit_b"):
        segma.load("sam_vit_bb")
    with pytest.raises(ModelError, match="warp"):
        segma.load(engine="warp")
