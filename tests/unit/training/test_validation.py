from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from stubs.shapes_folder import TINY, write_shapes

from segma.masks.mask import Mask, Masklet
from segma.models.sam2.model import Sam2
from segma.runtime import Runtime
from segma.samples import ImageSample, PictureFile, TrackSample, VideoSample
from segma.training.data import read_samples
from segma.training.validation import Exam, ask, follow, questions

CPU = Runtime(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def model() -> Sam2:
    torch.manual_seed(0)
    return Sam2(TINY).eval()


@pytest.fixture
def pictures(tmp_path: Path) -> Sequence[ImageSample]:
    return read_samples(write_shapes(tmp_path / "some", 4)).pictures


def moving_box(folder: Path, frames: int = 4) -> VideoSample:
    folder.mkdir()
    masks: dict[int, Mask] = {}
    for frame in range(frames):
        mask = np.zeros((48, 64), bool)
        mask[12:30, 8 + 4 * frame : 30 + 4 * frame] = True
        cv2.imwrite(str(folder / f"{frame:05}.png"), np.where(mask, 220, 40).astype(np.uint8))
        masks[frame] = Mask.from_dense(mask)
    masklet = Masklet(size=(48, 64), masks=masks)
    files = sorted(folder.glob("*.png"))
    return VideoSample(
        name="box",
        size=(48, 64),
        num_frames=frames,
        frame_names=tuple(path.name for path in files),
        pictures=tuple(PictureFile(path) for path in files),
        objects=(TrackSample(object_id=1, masklet=masklet),),
    )


def test_questions_come_evenly_from_the_sources_and_are_the_same_again(
    pictures: Sequence[ImageSample],
) -> None:
    many = [replace(sample, source="many") for sample in pictures[:3]]
    few = [replace(pictures[3], source="few")]
    asked = questions([*many, *few], 4, seed=1)
    assert sorted(question.sample.source for question in asked) == ["few", "many"]
    assert all(len(question.objects) == 2 for question in asked)
    assert asked == questions([*many, *few], 4, seed=1)
    assert len(questions(pictures, 100)) == 4
    assert questions([], 5) == []


def test_pictures_that_cannot_be_read_or_do_not_fit_are_left_out(
    pictures: Sequence[ImageSample], model: Sam2, caplog: pytest.LogCaptureFixture
) -> None:
    asked = questions(pictures, 8)
    whole = ask(model, asked, CPU)
    assert set(whole) == {"click1", "oracle1", "click3", "box"}
    assert all(0 <= value <= 100 for value in whole.values())
    assert whole["oracle1"] >= whole["click1"]
    first, second, *rest = asked
    file = first.sample.picture
    assert file is not None
    file.path.write_bytes(b"")
    odd = replace(second, sample=replace(second.sample, size=(7, 7)))
    assert ask(model, [first, odd, *rest], CPU) == ask(model, rest, CPU)
    assert len(caplog.records) == 2
    assert ask(model, [first], CPU) == {}


def test_objects_of_clips_are_followed(tmp_path: Path, model: Sam2) -> None:
    clip = moving_box(tmp_path / "clip")
    scores = follow(model, [clip], CPU)
    assert 0 <= scores["jf"] <= 100
    assert follow(model, [], CPU) == {}
    gone = replace(clip, pictures=tuple(PictureFile(tmp_path / "no") for _ in clip.pictures))
    assert follow(model, [gone], CPU) == {}


def test_an_exam_leaves_the_network_as_it_was_and_trainable(
    tmp_path: Path, pictures: Sequence[ImageSample], model: Sam2
) -> None:
    exam = Exam(tuple(questions(pictures, 2)), (moving_box(tmp_path / "clip"),))
    model.train()
    assert set(exam.scores(model, CPU)) == {"click1", "oracle1", "click3", "box", "jf"}
    assert model.training
    loss = model.encode_image(torch.rand(1, 3, 64, 64)).embedding.sum()
    torch.autograd.backward([loss])
    model.eval()
    assert not Exam(())
