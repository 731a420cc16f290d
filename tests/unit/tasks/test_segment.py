"""One image, many questions, asked of a model that paints what it is told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from segma.errors import PromptError
from segma.prompts.types import Box, Embedding, MaskPrompt, Points, PromptSet, Text
from segma.results import MaskRecord
from segma.runtime import Runtime
from segma.tasks.segment import ImageSession

CPU = Runtime(device="cpu", precision="fp32")


@pytest.fixture
def session(painter: Any, picture: ndarray) -> ImageSession:
    return ImageSession(painter, picture, CPU, source="photo.png")


def disc(x: float, y: float, radius: float) -> ndarray:
    rows, columns = np.mgrid[:96, :128]
    return np.hypot(columns - x, rows - y) < radius


def is_disc(record: MaskRecord, x: float, y: float, radius: float) -> bool:
    """Up to the steps of its coarse logits."""
    mask, wanted = record.mask, disc(x, y, radius)
    return bool((mask & wanted).sum() > 0.9 * (mask | wanted).sum())


def test_the_picture_is_encoded_once(session: ImageSession, painter: Any) -> None:
    for _ in range(3):
        session.segment(points=[(40, 50)])
    assert painter.encoded == 1


def test_one_click_gets_the_best_of_the_ambiguous_masks(session: ImageSession) -> None:
    prediction = session.segment(points=[(40, 50)])
    assert len(prediction) == 1
    record = prediction[0]
    assert record.predicted_iou == pytest.approx(0.9)
    assert is_disc(record, 40, 50, 15)
    assert record.points == ((40.0, 50.0),)
    assert record.low_res_logits is not None and record.low_res_logits.shape == (32, 32)
    # The rings between radius 14 and 16 are unsure.
    assert record.stability_score == pytest.approx((14 / 16) ** 2, abs=0.1)


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        ({"points": [(40, 50), (60, 50)]}, (50, 50)),
        ({"box": (20, 30, 60, 70)}, (40, 50)),
        ({"box": (20, 30, 60, 70), "points": [(22, 32)], "labels": [0]}, (40, 50)),
        ({"embedding": np.array([[70, 40, 0, 0]], np.float32)}, (70, 40)),
        ({"mask": disc(64, 48, 10)}, (64, 48)),
    ],
)
def test_all_else_gets_the_single_mask(session: ImageSession, asked: Any, at: tuple[int, int]) -> None:
    (record,) = session.segment(**asked)
    assert record.predicted_iou == pytest.approx(0.5)
    assert is_disc(record, *at, 20)


def test_several_candidates_come_best_first(session: ImageSession) -> None:
    questions: list[dict[str, Any]] = [{"points": [(40, 50)]}, {"box": (20, 30, 60, 70)}]
    for asked in questions:
        three = session.segment(**asked, candidates=3)
        assert three.predicted_iou.tolist() == pytest.approx([0.9, 0.8, 0.7])
        assert three.best is three[0]
        for record, radius in zip(three, (15, 20, 10), strict=True):
            assert is_disc(record, 40, 50, radius)
        two = session.segment(**asked, candidates=2)
        assert list(two) == list(three[:2])


@pytest.mark.parametrize("candidates", [0, 4])
def test_there_are_one_to_three_candidates(session: ImageSession, candidates: int) -> None:
    with pytest.raises(PromptError, match="1 to 3"):
        session.segment(points=[(40, 50)], candidates=candidates)


def test_exclude_points_cut_out(session: ImageSession) -> None:
    (record,) = session.segment(points=[(40, 50), (48, 50)], labels=[1, 0])
    assert record.mask[50, 36] and not record.mask[50, 48]


def test_an_earlier_answer_is_fed_back_as_logits(session: ImageSession, painter: Any) -> None:
    first = session.segment(points=[(40, 50)], candidates=3)
    session.segment(points=[(40, 50), (44, 50)], previous=first[1])
    logits = painter.asked[-1].mask_logits
    assert logits is not None and logits.shape == (1, 1, 32, 32)
    np.testing.assert_array_equal(logits[0, 0].numpy(), first[1].low_res_logits)
    # A click is not ambiguous beside an earlier answer.
    (record,) = session.segment(points=[(40, 50)], previous=first[1])
    assert record.predicted_iou == pytest.approx(0.5)


def test_an_answer_read_from_a_file_cannot_be_fed_back_but_its_mask_can(session: ImageSession) -> None:
    (record,) = session.segment(points=[(40, 50)])
    loaded = MaskRecord.from_dict(record.to_dict())
    with pytest.raises(PromptError, match=r"mask=record\.mask"):
        session.segment(points=[(40, 50)], previous=loaded)
    (again,) = session.segment(mask=loaded.mask)
    assert again.mask[50, 40]


def test_a_mask_has_the_size_of_the_picture(session: ImageSession) -> None:
    with pytest.raises(PromptError, match="The mask is 96x128, the image 128x96"):
        session.segment(mask=np.ones((128, 96), bool))


def test_fractions_of_the_picture_stand_for_pixels(session: ImageSession) -> None:
    # 0 is the picture's left edge, half a pixel left of the middle of its first pixel.
    (record,) = session.segment(points=[((40 + 0.5) / 128, (50 + 0.5) / 96)], normalized=True)
    (expected,) = session.segment(points=[(40, 50)])
    assert record.points[0] == pytest.approx((40, 50))
    assert np.array_equal(record.mask, expected.mask)
    box = np.array([20.5 / 128, 30.5 / 96, 60.5 / 128, 70.5 / 96])
    (record,) = session.segment(box=box, normalized=True)
    assert is_disc(record, 40, 50, 20)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"points": [(128, 50)]}, r"Point \(128, 50\) is outside the image \(128x96\)"),
        ({"points": [(40, 50), (-1, 0)]}, r"Point \(-1, 0\) is outside"),
        ({"points": [(1.5, 0.5)], "normalized": True}, "outside"),
        ({"box": (200, 10, 300, 40)}, r"Box \(200, 10, 300, 40\) is outside"),
    ],
)
def test_prompts_outside_the_picture_are_refused(session: ImageSession, asked: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said) as caught:
        session.segment(**asked)
    assert caught.value.code == "prompt.outside"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "prompt.empty"),
        ({"points": [(40, 50)], "labels": [0]}, "prompt.empty"),
        ({"points": [(40, 50)], "labels": [1, 1]}, "prompt.shape"),
        ({"labels": [1]}, "prompt.shape"),
    ],
)
def test_prompts_that_say_nothing_are_refused(session: ImageSession, asked: Any, code: str) -> None:
    with pytest.raises(PromptError) as caught:
        session.segment(**asked)
    assert caught.value.code == code


def test_a_sentence_is_refused_and_nothing_is_decoded(session: ImageSession, painter: Any) -> None:
    with pytest.raises(PromptError, match="text"):
        session.predict([PromptSet(text=Text("the dog"))])
    assert painter.asked == []


def ragged() -> list[PromptSet]:
    logits = np.full((32, 32), -1, np.float32)
    logits[5, 20] = 1
    return [
        PromptSet(points=Points([[40.0, 50.0]])),
        PromptSet(points=Points([[30.0, 30.0], [34.0, 30.0], [31.0, 33.0]], [1, 1, 0])),
        PromptSet(box=Box(10.0, 10.0, 40.0, 40.0)),
        PromptSet(points=Points([[100.0, 20.0]])),
        PromptSet(mask=MaskPrompt(logits)),
        PromptSet(points=Points([[64.0, 64.0]])),
        PromptSet(box=Box(50.0, 10.0, 90.0, 40.0), points=Points([[70.0, 20.0]], [0])),
        PromptSet(embedding=Embedding(np.array([[64, 32, 0]], np.float32))),
        PromptSet(points=Points([[80.0, 80.0]])),
    ]


@pytest.mark.parametrize("candidates", [1, 3])
def test_many_prompts_at_once_are_answered_as_one_by_one(session: ImageSession, candidates: int) -> None:
    together = session.predict(ragged(), candidates=candidates)
    assert [record.prompt_index for record in together] == sorted([*range(len(ragged()))] * candidates)
    for index, prompt in enumerate(ragged()):
        alone = session.predict([prompt], candidates=candidates)
        same = [replace(record, prompt_index=0) for record in together.of_prompt(index)]
        assert same == list(alone)


def test_prompts_that_are_alike_are_decoded_together(session: ImageSession, painter: Any) -> None:
    session.predict(ragged())
    assert sum(len(asked.coords) for asked in painter.asked if asked.coords is not None) == 6
    assert len(painter.asked) < len(ragged())


def test_no_prompt_at_all_has_no_answer(session: ImageSession) -> None:
    assert len(session.predict([])) == 0


def test_a_prediction_says_where_it_comes_from(session: ImageSession, picture: ndarray) -> None:
    with session as inside:
        prediction = inside.segment(points=[(40, 50)])
    assert prediction.source == "photo.png" and prediction.size == (96, 128) == session.size
    assert prediction.image is picture
    assert set(prediction.timings) == {"encode", "decode"}
    assert all(seconds > 0 for seconds in prediction.timings.values())


def test_threads_are_queued_and_get_their_own_answers(make_painter: Any, picture: ndarray) -> None:
    painter = make_painter(seconds=0.002)
    lock = threading.Lock()
    session = ImageSession(painter, picture, CPU, lock=lock)
    places = [(float(x), float(y)) for x in range(10, 120, 20) for y in range(10, 90, 20)]
    expected = [session.segment(points=[place]) for place in places]
    with ThreadPoolExecutor(8) as pool:  # the painter fails if it is asked by two threads at once
        found = list(pool.map(lambda place: session.segment(points=[place]), places))
    assert found == expected
    assert not lock.locked()


def test_an_error_leaves_the_session_usable(session: ImageSession) -> None:
    with pytest.raises(PromptError):
        session.segment(points=[(999, 999)])
    assert len(session.segment(points=[(40, 50)])) == 1
