"""Clips out of video files, and a tokenizer trained on a tree without labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from stubs.clips import frames_of, scene, write_clip

from segma.errors import InputError
from segma.models.omnitokenizer.config import VARIANTS
from segma.models.omnitokenizer.model import OmniTokenizer
from segma.runtime import Runtime
from segma.samples import VideoSample
from segma.training.catalog import recipe
from segma.training.config import CodesConfig, OptimConfig, TrainConfig
from segma.training.data import Samples, read_parts, read_samples
from segma.training.pixel_exam import PixelExam
from segma.training.pixel_loader import PixelBatches, PixelPool, pixel_batches, read_frames
from segma.training.start import start

CPU = Runtime(device="cpu", precision="fp32")
CONFIG = TrainConfig(
    name="t", batch=2, steps=30, workers=0, codes=CodesConfig(sizes=(32,), frames=9, clips=1)
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of pictures and of videos; one video is broken, one class is empty."""
    root = tmp_path_factory.mktemp("media")
    for name, first in (("dogs", 0), ("cats", 40)):
        (root / name).mkdir()
        for number in range(4):
            cv2.imwrite(str(root / name / f"{number}.jpg"), scene(first + 3 * number, 64, 72))
            write_clip(root / name / f"v{number}.mp4", 12, draw=lambda index, at=first: scene(at + index))
    (root / "dogs" / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(400))
    (root / "nothing").mkdir()
    return root


def samples_of(*videos: Path, claimed: int = 12) -> Samples:
    clips = tuple(VideoSample(name=v.stem, size=(48, 64), num_frames=claimed, video=v) for v in videos)
    return Samples((), clips, read_samples(videos[0].parent, labelled=False).report)


def test_frames_are_those_of_the_file(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 12)
    real = frames_of(path)
    (clip,) = samples_of(path).clips
    found = read_frames(clip, lambda total: [total - 1, 3, 3, 0])
    assert [
        int(np.abs(a.astype(int) - real[b]).max()) <= 2 for a, b in zip(found, (11, 3, 3, 0), strict=True)
    ]
    assert np.array_equal(found[1], found[2]) and not np.array_equal(found[0], found[3])


def test_a_share_of_pictures_and_of_clips_is_kept(tree: Path) -> None:
    parts = read_parts([tree], "train", 0.25, labelled=False)
    assert (len(parts.train.pictures), len(parts.kept.pictures)) == (6, 2)
    assert (len(parts.train.clips), len(parts.kept.clips)) == (6, 2)
    assert not {each.name for each in parts.train.clips} & {each.name for each in parts.kept.clips}
    assert parts.train.report.counts == {"unreadable video": 1}
    again = read_parts([tree], "train", 0.25, labelled=False)
    assert again.kept.clips == parts.kept.clips
    assert not read_parts([tree], "train", 0.0, labelled=False).kept.clips


def test_a_tree_that_says_what_to_keep_is_parted_so(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "val" / "b").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "train" / "1.jpg"), scene(0))
    cv2.imwrite(str(tmp_path / "val" / "b" / "1.jpg"), scene(1))
    write_clip(tmp_path / "val" / "b" / "2.mp4", 3)
    parts = read_parts([tmp_path], "train", 0.5, labelled=False)
    assert [each.file_name for each in parts.train.pictures] == ["train/1.jpg"] and not parts.train.clips
    assert (len(parts.kept.pictures), len(parts.kept.clips)) == (1, 1)


def test_videos_are_opened_where_they_are_drawn(tree: Path) -> None:
    samples = read_samples(tree, labelled=False)
    config = replace(CONFIG, video_share=0.5, codes=replace(CONFIG.codes, panned=0.0), workers=1)
    made = list(pixel_batches(PixelPool.of(samples.pictures, samples.clips), config, range(6)))
    here = PixelBatches(PixelPool.of(samples.pictures, samples.clips), config)
    assert all(torch.equal(each.pixels, here[number].pixels) for number, each in enumerate(made))
    shapes = {tuple(each.pixels.shape) for each in made}
    assert shapes == {(2, 1, 3, 32, 32), (1, 9, 3, 32, 32)}
    clip = next(each.pixels for each in made if each.pixels.shape[1] == 9)
    assert not torch.equal(clip[:, 0], clip[:, 1]) and not any(each.unreadable for each in made)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_short_video_is_gone_through_to_and_fro(tmp_path: Path, length: int) -> None:
    samples = samples_of(write_clip(tmp_path / "a.mp4", length))  # its header claims more
    config = replace(CONFIG, video_share=1.0)
    pixels = PixelBatches(PixelPool.of((), samples.clips), config)[0].pixels
    assert pixels.shape == (1, 9, 3, 32, 32)
    assert len({each.numpy().tobytes() for each in pixels[0]}) == length


def test_without_pictures_frames_are_taken_for_them(tmp_path: Path) -> None:
    samples = samples_of(write_clip(tmp_path / "a.mp4", 12))
    batches = PixelBatches(PixelPool.of((), samples.clips), CONFIG)
    assert batches[0].pixels.shape == (2, 1, 3, 32, 32)
    assert not torch.equal(batches[0].pixels[0], batches[0].pixels[1])


def test_a_video_that_does_not_decode_counts_as_unreadable(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.mp4", 12)
    bad = write_clip(tmp_path / "bad.mp4", 12, damaged=range(1, 12))
    config = replace(CONFIG, video_share=1.0)
    both = PixelBatches(PixelPool.of((), samples_of(good, bad).clips), config)
    assert sum(both[number].unreadable for number in range(12)) > 0
    (tmp_path / "bad.mp4").write_text("gone")
    only = PixelBatches(PixelPool.of((), samples_of(bad).clips), config)
    with pytest.raises(InputError, match="Hardly any"):
        only[0]


def test_the_exam_takes_the_first_frames_of_videos(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    sizes = replace(
        VARIANTS["omnitokenizer_smaller"], dim=32, heads=2, head_dim=16, mlp_dim=40, window=2, num_codes=64
    )
    network = OmniTokenizer(replace(sizes, decoder_spatial="cc"))
    good, short = write_clip(tmp_path / "good.mp4", 12), write_clip(tmp_path / "short.mp4", 3)
    exam = PixelExam.of(samples_of(good, short), pictures=3, clips=3, size=32, frames=5)
    scores = exam.scores(network, CPU)
    assert {"clip_psnr_codes", "clip_psnr_latent", "codes_used"} == scores.keys()
    assert "short is not measured" in caplog.text
    assert not PixelExam.of(samples_of(good, claimed=4), pictures=3, clips=3, size=32, frames=5)


def test_a_tokenizer_is_trained_on_a_tree(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segma.training.code_course._SETTLING", 2)
    config = replace(
        recipe("omnitokenizer_small"),
        variant="omnitokenizer_smaller",
        data=(str(tree),),
        batch=2,
        steps=2,
        workers=0,
        held_out=0.25,
        video_share=0.5,
        validate_objects=1,
        validate_clips=1,
        codes=CodesConfig(sizes=(64,), frames=5, clips=1, panned=0.0),
        optim=OptimConfig(lr=1e-3, warmup=1),
    )
    report = start(config, tmp_path, CPU).report
    data = report["data"]
    assert (data["pictures"], data["clips"]) == (6, 6)
    assert (data["held_out_pictures"], data["held_out_clips"]) == (2, 2)
    assert data["skipped"] == {"unreadable video": 1} and "dogs/broken.mp4" in data["skipped_summary"]
    scores = report["held_out"]["after"]
    assert {"psnr_codes", "psnr_latent", "clip_psnr_codes", "clip_psnr_latent"} <= scores.keys()
    assert json.loads((tmp_path / "report.json").read_text())["steps"] == 2
