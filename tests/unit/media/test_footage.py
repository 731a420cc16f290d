"""Pictures and videos alike: what is a picture, sizes, parts, and frames that are broken."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image
from stubs.clips import write_clip
from stubs.tokenizer import smooth_clip

from segma.errors import InputError
from segma.media.footage import Footage, fitted, open_footage


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(smooth_clip(1, 40, 60)[0]).save(path)
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


def pixels(footage: Footage) -> ndarray:
    return np.stack(list(footage.frames()))


def test_a_picture_is_one_whatever_it_comes_as(photo: Path) -> None:
    truth = smooth_clip(1, 40, 60)
    data = photo.read_bytes()
    for source in (photo, str(photo), data, io.BytesIO(data), Image.open(photo), truth[0],
                   torch.tensor(truth[0]), torch.tensor(truth[0]).permute(2, 0, 1) / 255):  # fmt: skip
        footage = open_footage(source)
        assert footage.is_picture and footage.fps is None and footage.num_frames == 1
        assert footage.size == (40, 60) and np.array_equal(pixels(footage), truth)


def test_a_video_is_a_clip_whatever_it_comes_as(video: Path, photo: Path) -> None:
    whole = pixels(open_footage(video))
    for source in (str(video), video.read_bytes(), whole):
        footage = open_footage(source)
        assert not footage.is_picture and footage.num_frames == len(whole) == 12
        assert np.array_equal(pixels(footage), whole)
        footage.close()
    folder = open_footage(photo.parent / "*.png", fps=7)
    assert not folder.is_picture and (folder.fps, folder.num_frames) == (7, 1)


def test_larger_pictures_are_made_smaller_and_small_ones_stay(photo: Path, video: Path) -> None:
    assert pixels(open_footage(photo, longest_side=30)).shape == (1, 20, 30, 3)
    assert open_footage(photo, longest_side=100).size == (40, 60)
    assert pixels(open_footage(video, longest_side=32)).shape == (12, 24, 32, 3)
    assert fitted((1, 5000), 10) == (1, 10)


def test_a_part_of_a_video(video: Path) -> None:
    whole = pixels(open_footage(video))
    part = open_footage(video, frames=(3, 7))
    assert part.num_frames == 5 and np.array_equal(pixels(part), whole[3:8])
    for frames, code in (((3, 12), "input.frame_range"), ((5, 4), "input.value")):
        with pytest.raises(InputError) as caught:
            open_footage(video, frames=frames)
        assert caught.value.code == code


def test_a_broken_frame_is_the_one_before_it(tmp_path: Path) -> None:
    clip = smooth_clip(6, 40, 60)
    for index, frame in enumerate(clip):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    for index in (2, 3, 5):
        path = tmp_path / f"{index}.png"
        path.write_bytes(path.read_bytes()[:150])
    footage = open_footage(tmp_path)
    assert np.array_equal(pixels(footage), clip[[0, 1, 1, 1, 4, 4]])


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (np.full((4, 4, 3), np.nan, np.float32), "input.array"),
        (torch.full((3, 4, 4), float("nan")), "input.array"),
        (torch.full((2, 3, 4, 4), float("inf")), "input.array"),
        (np.zeros((4, 4, 7), np.uint8), "input.array"),
        (np.zeros((2, 3, 4, 4, 3), np.uint8), "input.array"),
        (np.zeros((0, 4, 4, 3), np.uint8), "input.array"),
        ("nothing.png", "input.not_found"),
        ("nothing.mp4", "input.not_found"),
        (b"no picture and no video at all", "input.unreadable"),
        (b"", "input.unreadable"),
        ("http://127.0.0.1:1/a.png", "input.network"),
        (17, "input.array"),
    ],
)
def test_what_is_no_footage_is_told(source: object, code: str) -> None:
    with pytest.raises(InputError) as caught:
        open_footage(source)
    assert caught.value.code == code
    with pytest.raises(InputError):
        open_footage(np.zeros((4, 4, 3), np.uint8), longest_side=0)


def test_a_truncated_picture_is_a_broken_picture_and_no_video(photo: Path) -> None:
    with pytest.raises(InputError, match="truncated or broken"):
        open_footage(photo.read_bytes()[:200])
